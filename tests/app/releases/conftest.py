"""Releases of both kinds: in a folder, and in an object store."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.releases import KeptReleases, ReleaseStore
from app.releases.remote import RemoteReleases
from tests.object_store import ObjectStore


@pytest.fixture
def remote(s3: ObjectStore, tmp_path: Path) -> RemoteReleases:
    return RemoteReleases(s3.url, tmp_path / "cache")


@pytest.fixture(params=["folder", "s3"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> KeptReleases:
    """Releases of each kind."""
    if request.param == "folder":
        return ReleaseStore(tmp_path / "releases")
    releases: RemoteReleases = request.getfixturevalue("remote")
    return releases


def everything(kept: KeptReleases) -> dict[str, bytes]:
    """All that is kept, by its name; of an object store without what shows how it creates objects."""
    if isinstance(kept, ReleaseStore):
        folder = kept.folder
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert isinstance(kept, RemoteReleases)
    return kept.objects.read(name for name in kept.objects.list("") if name != ".exclusive")
