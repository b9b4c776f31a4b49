"""A bundle that ranks a query's candidates by their features: what is in it, writing and reading it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.bundle.features import FeatureRanker
from app.bundle.loading import Needed, check_fit
from app.bundle.manifest import FeatureDataInfo, FileEntry, RerankManifest
from app.bundle.writing import FEATURE_RANKER, Draft, write_folder


@dataclass(frozen=True, slots=True, eq=False)
class RerankBundle:
    """A verified ranker of candidates, in memory; nothing in it changes.

    Attributes:
        path: the folder it was read from.
        manifest: what it says of itself.
        model: the ranker.
    """

    path: Path
    manifest: RerankManifest
    model: FeatureRanker


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankDraft(Draft):
    """Everything that goes into a bundle of reranking.

    Attributes:
        model: as trained.
    """

    data: FeatureDataInfo
    model: FeatureRanker


def write_rerank(draft: RerankDraft, root: Path) -> Path:
    """Write a bundle to `root/NAME/VERSION` and return that path.

    Raises:
        BundleError: the folder exists already.
        OSError: it cannot be written, because the disk is full for instance; nothing is left behind.
    """
    assert draft.model.num_features == draft.data.num_features

    def fill(folder: Path) -> Callable[[list[FileEntry]], RerankManifest]:
        (folder / FEATURE_RANKER).write_bytes(draft.model.graph.content())
        return lambda files: RerankManifest(
            **draft.told(files),
            data=draft.data,
        )

    return write_folder(root / draft.name / draft.version, fill)


def load_rerank(path: Path, manifest: RerankManifest) -> RerankBundle:
    """The content of a verified folder.

    Raises:
        ContentInvalid: the files do not fit together.
    """
    model = FeatureRanker(Needed(path, manifest)(FEATURE_RANKER))
    check_fit(
        path,
        [
            ("inputs and outputs of the ranker", model.graph.signature, (FeatureRanker.INPUTS, FeatureRanker.OUTPUTS)),
            ("number of features", model.num_features, manifest.data.num_features),
        ],
    )
    return RerankBundle(path, manifest, model)
