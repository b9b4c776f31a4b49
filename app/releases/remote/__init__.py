"""Releases in an object store, for several hosts. See `docs/releases.md`."""

from app.releases.remote.cache import default_cache
from app.releases.remote.store import RemoteReleases

__all__ = ["RemoteReleases", "default_cache"]
