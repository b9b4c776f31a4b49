"""One service for all short tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.world import World, world


@pytest.fixture(scope="package")
def asked_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service with limits of its own, which ends a connection soon where nothing more comes."""
    limits = {"IRGAN_MAX_K": "200", "IRGAN_MAX_HISTORY": "50", "IRGAN_RECEIVE_SECONDS": "2"}
    with world(tmp_path_factory.mktemp("fuzz"), **limits) as made:
        yield made
