"""Releases: which bundles are published, which of them answer, and the way back."""

from app.releases.errors import NothingToRollBack, ReleaseConflict, ReleaseError, ReleasesUnusable, SlotInvalid
from app.releases.history import Change
from app.releases.live import LiveRelease
from app.releases.release import RecommenderRelease, Release, RerankRelease, SearchRelease, load_release
from app.releases.store import ReleaseStore

__all__ = [
    "Change",
    "LiveRelease",
    "NothingToRollBack",
    "RecommenderRelease",
    "Release",
    "ReleaseConflict",
    "ReleaseError",
    "ReleaseStore",
    "ReleasesUnusable",
    "RerankRelease",
    "SearchRelease",
    "SlotInvalid",
    "load_release",
]
