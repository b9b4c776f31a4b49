"""A service that is asked as much as it can answer, hour after hour, does not grow."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.bench.soak import TARGET_GROWTH, soak

MINUTES = float(os.environ.get("IRGAN_SOAK_MINUTES", "10"))


@pytest.mark.soak
@pytest.mark.skipif(shutil.which("wrk") is None, reason="the pressure comes from wrk, which is not installed")
def test_memory_does_not_grow_after_the_first_minute(tmp_path):
    """Releases, items and experiments change all the while; `python -m tests.bench.soak` does it for half an hour."""
    soaked = soak(tmp_path, minutes=max(3.0, MINUTES / 2))
    assert soaked.pressure.requests > 1000 and soaked.pressure.failed == 0
    assert soaked.growth("resident")["growth"] < TARGET_GROWTH
    assert soaked.growth("own")["growth"] < TARGET_GROWTH
    for counted in ("descriptors", "threads"):  # a release that is being loaded opens some
        told = soaked.growth(counted)
        assert told["after"] - told["before"] <= 5
