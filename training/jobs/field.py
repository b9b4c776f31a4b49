"""A bundle of every ranker on the same data: what is there already is taken, what is missing is trained with its defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from app.bundle import BundleError, RecommenderManifest, read_manifest
from training.config import RankerConfig
from training.data import Split
from training.errors import DataError
from training.jobs.train import train_ranker
from training.loop import Run
from training.registry import RECOMMENDERS, RankerSpec


def whole_field(split: Split, *, bundles: Path, run: Callable[[str], Run], announce: Callable[[str], None]) -> list[Path]:
    """The bundles of all rankers that the data suit, in the registry's order.

    Args:
        split: every ranker learns from its training part.
        bundles: where bundles are looked for and written to, as `NAME/VERSION` with the ranker's own name.
        run: where and how one of them, named, is trained.
        announce: told of each ranker that is trained, taken or left out, and why.

    Raises:
        InputError: what no other ranker would change: `bundles` is no folder, or another process trains in the same place.
        OSError: a bundle cannot be written; those before it are kept, and found the next time.
    """
    paths = []
    fingerprint = split.train.fingerprint()
    for spec in RECOMMENDERS.values():
        own_run, config = run(spec.name), spec.config()()
        path = _there(spec, config, fingerprint, own_run.seed, bundles)
        if path is not None:
            announce(f"{spec.name}: {path}")
        else:
            announce(f"{spec.name}: training")
            try:
                path = train_ranker(spec, split, config, own_run, bundles=bundles).bundle
            except DataError as error:  # ratings where there are none, a catalogue too large: no reason to lose the others
                announce(f"{spec.name} is left out: {error}")
                continue
        paths.append(path)
    return paths


def _there(spec: RankerSpec, config: RankerConfig, fingerprint: str, seed: int, bundles: Path) -> Path | None:
    """The latest bundle that this very training would make again."""
    values = config.model_dump(mode="json")
    found = [
        (manifest.created, path)
        for path, manifest in _manifests(bundles / spec.name)
        if (manifest.ranker, manifest.seed, manifest.data.fingerprint) == (spec.name, seed, fingerprint)
        and manifest.config == values
    ]
    return max(found)[1] if found else None


def _manifests(folder: Path) -> Iterator[tuple[Path, RecommenderManifest]]:
    for path in sorted(folder.glob("*/manifest.json")):
        try:
            manifest = read_manifest(path.parent)
        except BundleError:
            continue  # whatever it is, it is no bundle to take
        if isinstance(manifest, RecommenderManifest):
            yield path.parent, manifest
