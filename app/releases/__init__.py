"""Releases: which bundles are published, which of them answer, and the way back."""

from app.releases.errors import (
    NothingToRollBack,
    ReleaseConflict,
    ReleaseDamaged,
    ReleaseError,
    ReleasesBusy,
    ReleasesReadOnly,
    ReleasesUnusable,
    SlotInvalid,
    UnknownRelease,
)
from app.releases.history import Change
from app.releases.latest import latest_bundle
from app.releases.live import LiveRelease
from app.releases.pruning import prune
from app.releases.release import RecommenderRelease, Release, RerankRelease, SearchRelease, load_release
from app.releases.store import ReleaseStore

__all__ = [
    "Change",
    "LiveRelease",
    "NothingToRollBack",
    "RecommenderRelease",
    "Release",
    "ReleaseConflict",
    "ReleaseDamaged",
    "ReleaseError",
    "ReleaseStore",
    "ReleasesBusy",
    "ReleasesReadOnly",
    "ReleasesUnusable",
    "RerankRelease",
    "SearchRelease",
    "SlotInvalid",
    "UnknownRelease",
    "latest_bundle",
    "load_release",
    "prune",
]
