"""The releases of an experiment's variants: which ones, and whether they can answer what they will be asked."""

from __future__ import annotations

from collections.abc import Mapping

from app.bundle import BundleError
from app.experiments.definition import Experiment, Surface
from app.experiments.errors import ReleaseUnsuitable
from app.releases import KeptReleases, ReleaseError

_KINDS: Mapping[Surface, tuple[str, ...]] = {
    "recommendations": ("recommender",),
    "similar": ("recommender",),
    "search": ("recommender", "search"),
    "rerank": ("recommender", "search", "rerank"),
}
"""Which kinds of bundle answer the questions of a surface."""


def resolved(definition: Experiment, store: KeptReleases, former: Mapping[str, str]) -> dict[str, str]:
    """The release NAME/VERSION of each variant.

    Args:
        definition: of the experiment.
        store: where releases are published.
        former: those of an earlier start, which stay: an experiment compares the same rankers all along.

    Raises:
        ReleaseUnsuitable: one is not published, or does not answer the surface's questions.
    """
    found: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for variant in definition.variants:
        release = former.get(variant.name) or _release(store, variant.name, variant.release)
        try:
            manifest = store.manifest(release)
        except BundleError as error:
            raise ReleaseUnsuitable(f"variant {variant.name!r}: {error}; publish it first: irgan publish BUNDLE") from error
        expected = _KINDS[definition.surface]
        if manifest.kind not in expected:
            raise ReleaseUnsuitable(
                f"variant {variant.name!r}: {release} is a ranker of kind {manifest.kind!r}; "
                f"{definition.surface} needs one of kind {' or '.join(map(repr, expected))}"
            )
        found[variant.name], kinds[variant.name] = release, manifest.kind
    if definition.surface == "rerank" and len({kind == "rerank" for kind in kinds.values()}) > 1:
        told = ", ".join(f"{variant} {kind}" for variant, kind in kinds.items())
        raise ReleaseUnsuitable(f"some variants order candidates by features and some by texts ({told}); no request suits both")
    return found


def _release(store: KeptReleases, variant: str, release: str) -> str:
    if "/" in release:
        return release
    try:
        found = store.current(release)
    except ReleaseError as error:
        raise ReleaseUnsuitable(f"variant {variant!r}: {error}") from error
    if found is None:
        raise ReleaseUnsuitable(
            f"variant {variant!r}: nothing is published in slot {release!r}; publish a bundle there, or name a release NAME/VERSION"
        )
    return found
