"""Units meet variants by a hash, and changes move as few of them as can be."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from app.experiments.assignment import (
    NUM_POSITIONS,
    Allocation,
    allocated,
    layer_space,
    position,
    positions,
    reallocated,
    rounded,
    variant_space,
)
from app.experiments.spans import Owners, minus, num_positions, union

UNITS = [f"user-{number}" for number in range(100_000)]

weights = st.lists(st.floats(0.001, 1000.0), min_size=4, max_size=4).map(lambda given: dict(zip("abcd", given, strict=True)))


def test_a_position_is_what_the_documentation_says_it_is():
    """Recomputed from the words of the module: BLAKE2b of 8 bytes over SPACE/UNIT, big-endian, modulo a million."""
    for space, unit in ((layer_space("search"), "42"), (variant_space("salt"), "Zoë/7")):
        digest = hashlib.blake2b(f"{space}/{unit}".encode(), digest_size=8).hexdigest()
        assert position(space, unit) == int(digest, 16) % 1_000_000
    assert (layer_space("search"), variant_space("salt")) == ("layer/search", "experiment/salt")


def test_positions_never_change():
    """Golden numbers: another hash would give every unit of every running experiment another variant."""
    assert [position("experiment/checkout", unit) for unit in ("1", "2", "Zoë")] == [492674, 757074, 804399]
    assert positions("experiment/checkout", ["1", "2"]).tolist() == [position("experiment/checkout", u) for u in ("1", "2")]


def test_positions_are_uniform():
    """100,000 ids over 50 bins; the seedless hash gives one fixed χ², far from the tails."""
    counts = np.bincount(positions("experiment/uniform", UNITS) // (NUM_POSITIONS // 50), minlength=50)
    assert stats.chisquare(counts).pvalue > 0.01


def test_parallel_experiments_and_their_layers_are_independent():
    """Each pair of spaces over 100,000 ids, cut in four: χ² of independence."""
    spaces = (variant_space("one"), variant_space("two"), layer_space("one"), layer_space("two"))
    quarters = {space: positions(space, UNITS) // (NUM_POSITIONS // 4) for space in spaces}
    for first in spaces:
        for second in spaces:
            table = np.zeros((4, 4))
            np.add.at(table, (quarters[first], quarters[second]), 1)
            if first < second:
                assert stats.chi2_contingency(table).pvalue > 0.001
    same = np.zeros((4, 4))
    np.add.at(same, (quarters[spaces[0]], quarters[spaces[0]]), 1)
    assert np.count_nonzero(same) == 4  # the test would see dependence


@given(weights)
def test_the_first_allocation_is_by_the_weights_to_one_position(weights):
    variants = allocated(weights)
    assert union(*variants.values()) == ((0, NUM_POSITIONS),)
    assert sum(map(num_positions, variants.values())) == NUM_POSITIONS
    for name, weight in weights.items():
        assert abs(num_positions(variants[name]) - weight / sum(weights.values()) * NUM_POSITIONS) < 1.0


@settings(max_examples=50)
@given(st.lists(weights, min_size=2, max_size=6))
def test_other_weights_move_exactly_the_difference(steps):
    """After each step: all positions have one owner, counts are those of a first allocation, and half the sum of differences moved."""
    variants = allocated(steps[0])
    for before, after in pairwise(steps):
        moved = reallocated(variants, after)
        counts = dict(zip(after, rounded(list(after.values())), strict=True))
        former = dict(zip(before, rounded(list(before.values())), strict=True))
        assert {name: num_positions(spans) for name, spans in moved.items()} == counts
        assert union(*moved.values()) == ((0, NUM_POSITIONS),)
        changed = sum(num_positions(minus(spans, variants[name])) for name, spans in moved.items())
        assert changed == sum(abs(counts[name] - former[name]) for name in counts) // 2
        variants = moved


def test_a_thousand_changes_leave_few_pieces():
    """What a bandit does in weeks must not make looking up slow."""
    rng = np.random.default_rng(0)
    variants = allocated(dict.fromkeys("abc", 1.0))
    for _ in range(1000):
        variants = reallocated(variants, dict(zip("abc", rng.dirichlet([2.0, 2.0, 2.0]).tolist(), strict=True)))
    assert sum(map(len, variants.values())) < 100


def test_an_allocation_survives_json():
    allocation = Allocation(((0, 500_000),), allocated({"a": 1, "b": 2}), {"a": "x/1", "b": "y/1"})
    assert Allocation.from_json(allocation.as_json()) == allocation
    assert allocation.traffic == 0.5
    assert allocation.shares == {"a": 0.333333, "b": 0.666667}


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(1, 50)), max_size=8))
def test_owners_are_found_at_every_position(starts):
    """Against asking each span."""
    spans_of, taken = [], ()
    for number, (start, length) in enumerate(starts):
        spans = minus(((start, start + length),), taken)
        spans_of.append((spans, number))
        taken = union(taken, spans)
    owners = Owners(spans_of)
    for wanted in range(1100):
        expected = next((owner for spans, owner in spans_of if any(start <= wanted < end for start, end in spans)), None)
        assert owners.at(wanted) == expected
