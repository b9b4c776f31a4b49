"""Whatever the method: what can stand in an answer, how likely it is, and that clicks which ignore the items favour nobody.

Shapes: V rankers, K positions.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from itertools import chain, combinations, permutations
from typing import Any

import numpy as np
import pytest

from app.experiments.interleaving import METHODS, Interleaved, Method, credit, interleave

Rankings = Sequence[Sequence[Hashable]]

PAIRS: list[Rankings] = [("abcd", "".join(other)) for other in permutations("abcd")]
PAIRS += [("abcd", other) for other in ("efgh", "aefg", "bcde", "dcef", "edba", "cefa")]
SHORT: list[Rankings] = [("ab", "cdef"), ("abcd", "b"), ("", "abc"), ("ab", "ba"), ("abc", "cd")]
TRIPLES: list[Rankings] = [
    ("abcd", "abcd", "abcd"),
    ("abcd", "bcda", "efgh"),
    ("ab", "abcd", "cbef"),
    ("a", "a", "bcd"),
    ("abc", "", "cab"),
]
EVERYTHING = [
    *((method, pair) for method in METHODS for pair in (*PAIRS, *SHORT)),
    *(("team-draft", rankings) for rankings in TRIPLES),
]


def outcomes(rankings: Rankings, k: int, method: Method, *, draws: int = 700) -> list[Interleaved]:
    """Every answer that can be, each once: their chances must add up to one, which proves that none is missing and all chances are right."""
    rng = np.random.default_rng(0)
    found = {}
    for _ in range(draws):
        shown = interleave(rankings, k, rng, method)
        found[tuple(shown.items), tuple(shown.teams)] = shown
    assert sum(shown.propensity for shown in found.values()) == pytest.approx(1.0, abs=1e-12)
    return list(found.values())


def expected(shown: list[Interleaved], *, positions: Sequence[int] = (), clicked: Sequence[Hashable] = ()) -> np.ndarray:
    """The expected credit of each ranker for clicks at these positions and on these items, exactly, float64 [V]."""
    found_V = np.zeros(shown[0].num_rankers)
    for each in shown:
        found_V += each.propensity * credit(each, [*clicked, *(each.items[position] for position in positions)])
    return found_V


def subsets(values: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(chain.from_iterable(combinations(values, size) for size in range(len(values) + 1)))


@pytest.mark.parametrize(("method", "rankings"), EVERYTHING)
def test_each_item_is_the_best_of_its_rankers_that_is_not_there_yet(method: Method, rankings: Rankings) -> None:
    """And stands once; the answer has k items, or all that there are."""
    for shown in outcomes(rankings, 4, method):
        assert len(shown.items) == len(set(shown.items)) == len(shown.teams) == min(4, len(set(chain(*rankings))))
        for position, (item, team) in enumerate(zip(shown.items, shown.teams, strict=True)):
            assert item == next(other for other in rankings[team] if other not in shown.items[:position])


@pytest.mark.parametrize("rankings", [*PAIRS, *SHORT, *TRIPLES])
def test_clicks_that_ignore_the_items_favour_nobody_in_team_draft(rankings: Rankings) -> None:
    """For every pattern of clicked positions. Only as far as all rankers have something to bring, for the others cannot be credited."""
    k = min(4, *(len(ranking) for ranking in rankings)) if set(map(len, rankings)) != {4} else 4
    if not k:
        return
    shown = outcomes(rankings, k, "team-draft")
    for positions in subsets(range(k)):
        found_V = expected(shown, positions=positions)
        np.testing.assert_allclose(found_V, len(positions) / len(rankings), atol=1e-12)


@pytest.mark.parametrize("rankings", [*PAIRS, *SHORT])
@pytest.mark.parametrize("k", [1, 3, 4])
def test_clicks_that_ignore_the_items_favour_nobody_in_optimised(rankings: Rankings, k: int) -> None:
    """For every pattern of clicked positions, also where one ranking is too short."""
    shown = outcomes(rankings, k, "optimised")
    for positions in subsets(range(len(shown[0].items))):
        first, second = expected(shown, positions=positions)
        assert first == pytest.approx(second, abs=1e-9)


@pytest.mark.parametrize("rankings", [("abcdef", "ghijkl"), ("abcdef", "fedcba"), ("abcdef", "ghijkl", "mnopqr")])
def test_in_every_round_each_ranker_brings_one_item(rankings: Rankings) -> None:
    for seed in range(50):
        shown = interleave(rankings, 6, np.random.default_rng(seed))
        for first in range(0, 6, len(rankings)):
            assert sorted(shown.teams[first : first + len(rankings)]) == list(range(len(rankings)))


@pytest.mark.parametrize("method", METHODS)
def test_a_ranker_does_not_beat_itself(method: Method) -> None:
    """For every set of clicked items."""
    shown = outcomes(("abcd", "abcd"), 4, method)
    assert all(each.items == list("abcd") for each in shown)
    for clicked in subsets("abcd"):
        first, second = expected(shown, clicked=clicked)
        assert first == pytest.approx(second, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_an_item_that_only_one_ranker_knows_speaks_for_it(method: Method) -> None:
    for shown in outcomes(("abcd", "efgh"), 4, method):
        for item in shown.items:
            first, second = credit(shown, [item])
            assert (first > second) == (item in "abcd")
            assert (first < second) == (item in "efgh")


@pytest.mark.parametrize("rankings", PAIRS)
def test_a_click_never_speaks_for_the_ranker_that_has_the_item_lower(rankings: Rankings) -> None:
    """In `optimised`, as Radlinski and Craswell 2013 demand of the count; all these pairs can be mixed without subtracting anything."""
    first, second = rankings
    for shown in outcomes(rankings, 4, "optimised"):
        for item in shown.items:
            lead = (second + item).index(item) - (first + item).index(item)
            assert np.sign(np.subtract(*credit(shown, [item]))) == np.sign(lead)


def test_optimised_counts_differences_of_ranks() -> None:
    """By hand: K is 4, and an item that a ranking lacks has rank 5 in it."""
    counts = {}
    for shown in outcomes(("abcd", "caef"), 4, "optimised"):
        counts |= dict(zip(shown.items, np.multiply(4, shown.margins or []), strict=True))
    assert counts == pytest.approx({"a": 1, "b": 3, "c": -2, "e": -2})


def test_balanced_credits_as_in_the_paper() -> None:
    """By hand: the lowest click, d, is third in the first ranking and first in the second, so the first item of each counts."""
    shown = Interleaved(
        method="balanced",
        items=list("adbc"),
        teams=[0, 1, 0, 1],
        num_rankers=2,
        propensity=0.5,
        ranks=([1, 3, 2, 0], [3, 1, 0, 2]),
    )
    np.testing.assert_array_equal(credit(shown, ["d"]), [0, 1])
    np.testing.assert_array_equal(credit(shown, ["a", "d"]), [1, 1])
    np.testing.assert_array_equal(credit(shown, ["b", "a"]), [2, 0])
    np.testing.assert_array_equal(credit(shown, ["a", "d", "b"]), [2, 1])
    np.testing.assert_array_equal(credit(shown, ["a", "d", "b", "c"]), [2, 2])


def test_balanced_is_biased_where_one_ranking_is_the_other_moved_up() -> None:
    """Its known flaw (Radlinski, Kurup, Joachims 2008): one click anywhere speaks for the second more often."""
    shown = outcomes(("abcd", "bcda"), 4, "balanced")
    found = [expected(shown, positions=[p]) for p in range(4)]
    first, second = np.sum([np.sign([a - b, b - a]).clip(0) for a, b in found], axis=0)
    assert second > first
    assert sum(np.subtract(*each) for each in found) < -0.5


@pytest.mark.parametrize("method", METHODS)
def test_items_that_a_ranking_repeats_count_once(method: Method) -> None:
    rng = np.random.default_rng(1)
    again = np.random.default_rng(1)
    assert interleave(["aabacd", "bbe"], 4, rng, method) == interleave(["abcd", "be"], 4, again, method)


@pytest.mark.parametrize("method", METHODS)
def test_the_same_generator_gives_the_same_answer(method: Method) -> None:
    first = [interleave(["abcdef", "bdfgah"], 5, np.random.default_rng(seed), method) for seed in range(20)]
    assert first == [interleave(["abcdef", "bdfgah"], 5, np.random.default_rng(seed), method) for seed in range(20)]
    assert len({tuple(shown.items) for shown in first}) > 1


@pytest.mark.parametrize("method", METHODS)
def test_what_an_impression_keeps_is_enough_to_credit_clicks(method: Method) -> None:
    for seed in range(10):
        shown = interleave(["abcdef", "bdfgah"], 5, np.random.default_rng(seed), method)
        kept = Interleaved.from_json(json.loads(json.dumps(shown.as_json())), shown.items)
        assert kept == shown
        for clicked in subsets(shown.items):
            np.testing.assert_array_equal(credit(kept, clicked), credit(shown, clicked))


@pytest.mark.parametrize("method", METHODS)
def test_clicks_on_other_items_and_no_clicks_speak_for_nobody(method: Method) -> None:
    shown = interleave(["abcd", "efgh"], 2, np.random.default_rng(0), method)
    np.testing.assert_array_equal(credit(shown, []), [0, 0])
    np.testing.assert_array_equal(credit(shown, ["z", "d"]), [0, 0])
