"""Acknowledged events survive the end of the process, however sudden."""

from __future__ import annotations

from tests.app.killing import kill_under_load


def test_what_was_acknowledged_survives_kills_and_what_was_not_can_be_sent_again(store_url, tmp_path):
    """Three kills; `python -m tests.bench.events kills` does it a hundred times."""
    told = kill_under_load(store_url, tmp_path, 3)
    assert told.acknowledged >= 3 * 50 and told.retried > 0
    assert (told.lost, told.twice, told.damaged, told.missing) == (0, 0, 0, 0)
    assert told.acknowledged <= told.stored <= told.acknowledged + told.unsure
