"""Optimised interleaving against the linear programme of its paper, and at the lengths that are served.

Shapes: L lists, K positions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.experiments.interleaving.optimisation import _PULLS, _Pair, optimised

optimize = pytest.importorskip("scipy.optimize", reason="the linear programme is solved with scipy, of the extra experiments")


def pairs(k: int, count: int) -> Iterator[_Pair]:
    """Random rankings that share many items, and some that share few."""
    rng = np.random.default_rng(0)
    for pool in (k, k + 2, 2 * k, 5 * k):
        for _ in range(count):
            yield _Pair(*(rng.permutation(pool)[:k].tolist() for _ in range(2)), k)


def all_lists(pair: _Pair, k: int, pull: float) -> tuple[np.ndarray, np.ndarray]:
    """Every list that can be, as what clicks on its items count, float64 [L, K], and its chance by the policy, float64 [L]."""
    chances, _ = pair.policy(k, pull)
    found: dict[tuple[tuple[int, int], ...], tuple[list[float], float]] = {}

    def go_on(states: tuple[tuple[int, int], ...], counts: list[float], chance: float) -> None:
        if len(counts) == k:
            before = found.get(states, (counts, 0.0))[1]
            found[states] = (counts, before + chance)
            return
        i, j = states[-1]
        first = chances[len(counts)].get((i, j), 0.0)
        go_on((*states, pair.after(i, j, 0)), [*counts, pair.of_first[i]], chance * first)
        go_on((*states, pair.after(i, j, 1)), [*counts, pair.of_second[j]], chance * (1.0 - first))

    go_on(((0, 0),), [], 1.0)
    return np.array([counts for counts, _ in found.values()]), np.array([chance for _, chance in found.values()])


def sensitivities(counts_LK: np.ndarray) -> np.ndarray:
    """How open it is whom a single click speaks for, if it falls on position p with a chance in proportion to 1 / p, bits [L]."""
    weights_K = 1.0 / np.arange(1, counts_LK.shape[1] + 1)
    for_first_L, for_second_L = ((weights_K / weights_K.sum() * (sign * counts_LK > 1e-12)).sum(axis=1) for sign in (1, -1))
    decided_L = np.maximum(for_first_L + for_second_L, 1e-300)
    parts_2L = np.stack([for_first_L, for_second_L]) / decided_L
    return -decided_L * (parts_2L * np.log2(np.maximum(parts_2L, 1e-300))).sum(axis=0)


def test_it_is_nearly_as_sensitive_as_can_be() -> None:
    """The linear programme of Radlinski and Craswell 2013 over all lists: the most sensitivity without bias at any position."""
    quotients = []
    for pair in pairs(5, 15):
        pull = next((pull for pull in _PULLS if not any(pair.policy(5, pull)[1])), None)
        if pull is None:
            continue
        counts_LK, chances_L = all_lists(pair, 5, pull)
        open_L = sensitivities(counts_LK)
        solved = optimize.linprog(-open_L, A_eq=np.vstack([counts_LK.T, np.ones(len(open_L))]), b_eq=np.eye(6)[5])
        assert solved.status == 0
        assert np.abs(chances_L @ counts_LK).max() < 1e-8
        if solved.fun < 0:
            quotients.append(chances_L @ open_L / -solved.fun)
    assert len(quotients) >= 55
    assert min(quotients) > 0.85
    assert np.mean(quotients) > 0.95


@pytest.mark.parametrize("k", [5, 10])
def test_no_position_is_biased_in_lists_of_usual_length(k: int) -> None:
    """The expected count of each position is followed over the states, and is what the policy says is left: mostly nothing."""
    num_left = num_policies = 0
    for pair in pairs(k, 25):
        for pull in _PULLS:
            chances, excesses = pair.policy(k, pull)
            states = {(0, 0): 1.0}
            for chance_of, excess in zip(chances, excesses, strict=True):
                count, following = 0.0, dict[tuple[int, int], float]()
                for (i, j), weight in states.items():
                    for turn, part in ((0, weight * chance_of[i, j]), (1, weight * (1.0 - chance_of[i, j]))):
                        if part > 0.0:
                            count += part * (pair.of_second[j] if turn else pair.of_first[i])
                            state = pair.after(i, j, turn)
                            following[state] = following.get(state, 0.0) + part
                states = following
                assert sum(states.values()) == pytest.approx(1.0)
                assert count == pytest.approx(excess, abs=1e-8)
        num_policies += 1
        num_left += any(excesses)
    assert num_policies == 100
    assert num_left <= 5


def test_long_lists_have_no_bias_either() -> None:
    """Reranking mixes all candidates. The mean count of each position over many answers, within five standard errors of zero."""
    rng = np.random.default_rng(0)
    first, second = list(range(80)), rng.permutation(80).tolist()
    assert any(_Pair(first, second, 80).policy(80, _PULLS[0])[1])
    margins_NK = np.array([optimised([first, second], 80, rng).margins for _ in range(400)])
    error_K = margins_NK.std(axis=0) / np.sqrt(400)
    assert (np.abs(margins_NK.mean(axis=0)) <= 5.0 * error_K + 1e-9).all()
