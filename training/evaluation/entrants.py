"""Bundles that are to be judged, and whether a split may judge them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from app.bundle import Bundle, BundleNotFound, DataInfo, RerankBundle, SearchBundle, read_manifest, read_recommender
from training.data import Split
from training.errors import ConfigError, DataError
from training.evaluation.study import Curves, Entrant

_MANIFEST = "manifest.json"

AnyBundleType = TypeVar("AnyBundleType", Bundle, SearchBundle, RerankBundle)


def bundle_folder(path: Path) -> Path:
    """The bundle at `path`: the folder itself where it is `NAME/VERSION`, or the version made last where it is `NAME`.

    Raises:
        BundleNotFound: neither.
        BundleError: the manifest of a version cannot be read, so nobody can say which is the latest.
    """
    if (path / _MANIFEST).is_file():
        return path
    versions = sorted(found.parent for found in path.glob(f"*/{_MANIFEST}") if not found.parent.name.startswith("."))
    if not versions:
        raise BundleNotFound(
            f"{path} is no bundle and holds none; expected a bundle's folder NAME/VERSION, or NAME for its latest version"
        )
    return max(versions, key=lambda version: (read_manifest(version).created, version.name))


def read_bundles(paths: Sequence[Path]) -> dict[str, Bundle]:
    """Read bundles of recommenders and name them, see `named_apart`.

    Raises:
        BundleError: one cannot be read.
        ConfigError: one is given twice.
    """
    return named_apart([read_recommender(bundle_folder(path)) for path in paths])


def named_apart(bundles: Sequence[AnyBundleType]) -> dict[str, AnyBundleType]:
    """Bundles by NAME where that is distinct, else by NAME@VERSION.

    Raises:
        ConfigError: one is given twice.
    """
    names = [bundle.manifest.name for bundle in bundles]
    named: dict[str, AnyBundleType] = {}
    for bundle, name in zip(bundles, names, strict=True):
        distinct = name if names.count(name) == 1 else f"{name}@{bundle.manifest.version}"
        if distinct in named:
            raise ConfigError(
                f"{named[distinct].path} and {bundle.path} are both {name}, version {bundle.manifest.version}; "
                "give each bundle once"
            )
        named[distinct] = bundle
    return named


def common_data(bundles: Mapping[str, Bundle]) -> DataInfo:
    """What all of the bundles learned from.

    Raises:
        DataError: they learned from different events.
    """
    first, *others = bundles.values()
    for other in others:
        if other.manifest.data.fingerprint != first.manifest.data.fingerprint:
            raise DataError(
                f"{first.path} learned from {_told(first.manifest.data)}, {other.path} from {_told(other.manifest.data)}; "
                "only rankers that learned from the same events can be compared on what the others did not see"
            )
    return first.manifest.data


def common_threshold(bundles: Mapping[str, Bundle]) -> float | None:
    """The rating from which an item counted as liked in training; None where there were no ratings.

    Raises:
        ConfigError: the bundles differ.
    """
    thresholds = {name: bundle.manifest.history.positive_threshold for name, bundle in bundles.items()}
    distinct = {threshold for threshold in thresholds.values() if threshold > 0}  # 0 stands for data without ratings
    if len(distinct) > 1:
        told = ", ".join(f"{name}: {threshold:g}" for name, threshold in thresholds.items())
        raise ConfigError(
            f"the rankers learned with different thresholds of what counts as liked ({told}); "
            "say with --positive-threshold what is to count as relevant"
        )
    return distinct.pop() if distinct else None


def check_trained_on(bundles: Mapping[str, Bundle], split: Split) -> None:
    """Refuse bundles that did not learn from exactly the training part of a split: they may have seen its test part.

    Raises:
        DataError: other users, items or events.
    """
    train = split.train
    asked = f"{split.dataset}, split {split.name}"
    for bundle in bundles.values():
        for kind, own, wanted in (("users", bundle.users, train.users), ("items", bundle.items, train.items)):
            if own != wanted:
                raise DataError(
                    f"{bundle.path} has other {kind} ({len(own):,}) than the data {asked} ({len(wanted):,}); it learned from "
                    f"{_told(bundle.manifest.data)}: evaluate it on that, with the same options as in training"
                )
        if bundle.manifest.data.fingerprint != train.fingerprint():
            raise DataError(
                f"{bundle.path} did not learn from the training part of {asked}, so it may have learned from its test part; "
                f"it learned from {_told(bundle.manifest.data)}: evaluate it on that, with the same options as in training"
            )


def entrants_of(bundles: Mapping[str, Bundle]) -> list[Entrant]:
    """The bundles as a study takes them."""
    return [
        Entrant(
            name=name,
            ranker=bundle.manifest.ranker,
            bundle=str(bundle.path),
            model=bundle.model,
            curves=_curves(bundle.manifest.training.get("curves")),
        )
        for name, bundle in bundles.items()
    ]


def entrant_name(bundles: Mapping[str, Bundle], given: str) -> str:
    """Which of the bundles a person means by a name, NAME/VERSION or a path.

    Raises:
        ConfigError: none or several.
    """
    meant = [
        name
        for name, bundle in bundles.items()
        if given in {name, bundle.manifest.name, f"{bundle.manifest.name}/{bundle.manifest.version}"}
        or Path(given) in {bundle.path, bundle.path.parent}
    ]
    if given in bundles or len(meant) == 1:
        return given if given in bundles else meant[0]
    problem = "is none of the bundles" if not meant else "names several of the bundles"
    raise ConfigError(f"the baseline {given!r} {problem}; expected one of {', '.join(bundles)}")


def _told(data: DataInfo) -> str:
    parameters = ", ".join(f"{key} {value}" for key, value in data.split.parameters.items())
    cut = f"{data.split.name} ({parameters})" if parameters else data.split.name
    return f"{data.name}, split {cut}, {data.num_interactions:,} events"


def _curves(found: Any) -> Curves:
    """The training curves of a manifest; whatever does not look like one is left out."""
    if not isinstance(found, dict):
        return {}
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, points in found.items():
        try:
            numbers = [(float(epoch), float(value)) for epoch, value in points]
        except (TypeError, ValueError):
            continue
        if numbers and all(math.isfinite(value) for point in numbers for value in point):
            curves[name] = numbers
    return curves
