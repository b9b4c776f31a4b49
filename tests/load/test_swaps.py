"""Releases change under full load: nobody is refused, nobody is answered wrongly, and no event is lost."""

from __future__ import annotations

import os

import pytest

from tests.load.swaps import SWAPS, swap_under_load

MINUTES = float(os.environ.get("IRGAN_SOAK_MINUTES", "10"))


@pytest.mark.soak
def test_slots_are_moved_under_full_load_and_nobody_notices(tmp_path):
    """Ten moves a round, by command and over HTTP, of all three kinds of release; what is right is told by the releases beforehand."""
    outcome = swap_under_load(tmp_path, seconds=MINUTES * 60 / 2)
    assert outcome.found.wrong == [] and outcome.found.failed == [] and outcome.failed == 0
    assert outcome.swaps >= SWAPS and outcome.counted_swaps == outcome.swaps
    assert outcome.lost_events == outcome.stored_twice == 0
    assert outcome.problems == {} and outcome.fallbacks == 0
    assert outcome.returncode == 0 and outcome.log == ""
    assert set(outcome.found.answers) == {"user", "stranger", "history", "batch", "similar", "search", "rerank", "events"}
    assert set(outcome.found.releases) >= {"sample/v4", "texts/v2", "features/v2"}
    assert set(outcome.found.variants) == {"control", "treatment"}
