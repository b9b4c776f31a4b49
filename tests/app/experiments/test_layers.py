"""Experiments of one layer hold disjoint positions, and traffic moves as few as can be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.experiments.assignment import NUM_POSITIONS
from app.experiments.layers import WHOLE, free_share, resized, wanted_positions
from app.experiments.spans import Spans, minus, num_positions, union


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.001, 1.0)), max_size=20))
def test_ranges_never_meet_and_no_more_moves_than_must(steps):
    """Four experiments grow and shrink in turn; who finds no room stays as it was, and only when there is none."""
    held: dict[int, Spans] = dict.fromkeys(range(4), ())
    for who, traffic in steps:
        taken = union(*(spans for other, spans in held.items() if other != who))
        found = resized(held[who], taken, traffic)
        wanted = wanted_positions(traffic)
        if found is None:
            assert wanted > NUM_POSITIONS - num_positions(taken)
            continue
        assert num_positions(found) == wanted
        assert not num_positions(minus(found, WHOLE)) and num_positions(minus(found, taken)) == wanted
        before = num_positions(held[who])
        assert num_positions(minus(found, held[who])) == max(0, wanted - before)
        assert num_positions(minus(held[who], found)) == max(0, before - wanted)
        held[who] = found


def test_who_comes_back_gets_what_is_free_of_the_former_range():
    """A stopped experiment's positions may belong to others by now."""
    assert resized(((0, 400_000),), ((0, 100_000),), 0.4) == ((100_000, 500_000),)
    assert resized(((0, 400_000),), ((0, 700_000),), 0.4) is None
    assert round(free_share(((0, 700_000),)), 9) == 0.3


def test_the_smallest_traffic_is_one_position():
    assert resized((), (), 1e-9) == ((0, 1),)
