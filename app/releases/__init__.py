"""Releases: which bundles are published, which of them answer, and the way back."""

from app.releases.errors import (
    NothingToRollBack,
    ReleaseConflict,
    ReleaseDamaged,
    ReleaseError,
    ReleasesBusy,
    ReleasesReadOnly,
    ReleasesUnreachable,
    ReleasesUnusable,
    SlotInvalid,
    UnknownRelease,
)
from app.releases.history import Change
from app.releases.kept import KeptReleases, check_slot
from app.releases.latest import latest_bundle
from app.releases.live import LiveRelease
from app.releases.opening import open_releases
from app.releases.pruning import prune
from app.releases.release import RecommenderRelease, Release, RerankRelease, SearchRelease, load_release
from app.releases.store import ReleaseStore

__all__ = [
    "Change",
    "KeptReleases",
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
    "ReleasesUnreachable",
    "ReleasesUnusable",
    "RerankRelease",
    "SearchRelease",
    "SlotInvalid",
    "UnknownRelease",
    "check_slot",
    "latest_bundle",
    "load_release",
    "open_releases",
    "prune",
]
