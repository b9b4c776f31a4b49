"""What services of these tests answer from."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.bundle import write_bundle
from app.releases import ReleaseStore
from tests.conftest import make_draft


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A folder of releases with a recommender in the slot `champion`."""
    store = ReleaseStore(tmp_path / "releases")
    store.publish(write_bundle(make_draft(), tmp_path / "drafts"), "champion")
    return store.folder
