"""What tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.store import Database


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """An empty store, once of each kind."""
    database = Database(store_url)
    yield database
    database.close()
