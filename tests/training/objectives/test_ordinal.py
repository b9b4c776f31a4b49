"""Costs of ordered ratings against sums written out by hand, and the order-agnostic loss against all orders.

Shapes: N ratings, K levels, B histories.
"""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from training.objectives.ordinal import (
    expected_ratings,
    log_prob_from,
    mixed_cost,
    order_agnostic_loss,
    ordinal_cost,
    softmax_cost,
)


def scores_NK(num: int = 6, levels: int = 4) -> torch.Tensor:
    return torch.randn(num, levels, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_ordinal_cost_of_three_levels_is_that_of_the_rankings_written_out() -> None:
    """True level 1 of 0, 1, 2 with scores log 1, log 2, log 5: 1 ≻ 0 has 2/3, then 0 alone 1; 1 ≻ 2 has 2/7, then 2 alone 1."""
    scores = torch.tensor([[1.0, 2.0, 5.0]], dtype=torch.float64).log()
    assert ordinal_cost(scores, torch.tensor([1])).item() == pytest.approx(-math.log(2 / 3) - math.log(2 / 7))


def test_at_the_ends_of_the_scale_one_of_the_two_rankings_is_certain() -> None:
    """True level 2 with the same scores: 2 ≻ 1 ≻ 0 has 5/8 · 2/3, and nothing lies above; level 0: 0 ≻ 1 ≻ 2 has 1/8 · 2/7."""
    scores = torch.tensor([[1.0, 2.0, 5.0]], dtype=torch.float64).log()
    assert ordinal_cost(scores, torch.tensor([2])).item() == pytest.approx(-math.log(5 / 8 * 2 / 3))
    assert ordinal_cost(scores, torch.tensor([0])).item() == pytest.approx(-math.log(1 / 8 * 2 / 7))


def test_of_two_levels_the_ordinal_cost_is_the_regular_one() -> None:
    """There is nothing to order beyond the two."""
    scores, levels = scores_NK(levels=2), torch.tensor([0, 1, 0, 1, 1, 0])
    torch.testing.assert_close(ordinal_cost(scores, levels), softmax_cost(scores, levels))


def test_costs_of_many_ratings_are_those_of_each_in_a_loop() -> None:
    """Both products of the ordinal cost, level by level."""
    scores, levels = scores_NK(), torch.tensor([0, 1, 2, 3, 1, 2])
    for row, level in zip(scores.tolist(), levels.tolist(), strict=True):
        exps = [math.exp(score) for score in row]
        down = sum(-math.log(exps[j] / sum(exps[: j + 1])) for j in range(level + 1))
        up = sum(-math.log(exps[j] / sum(exps[j:])) for j in range(level, 4))
        one, at = torch.tensor([row], dtype=torch.float64), torch.tensor([level])
        assert ordinal_cost(one, at).item() == pytest.approx(down + up)
        assert softmax_cost(one, at).item() == pytest.approx(-math.log(exps[level] / sum(exps)))
    together = mixed_cost(scores, levels, 0.3)
    torch.testing.assert_close(together, 0.3 * ordinal_cost(scores, levels) + 0.7 * softmax_cost(scores, levels))
    torch.testing.assert_close(mixed_cost(scores, levels, 1.0), ordinal_cost(scores, levels))
    torch.testing.assert_close(mixed_cost(scores, levels, 0.0), softmax_cost(scores, levels))


def test_a_miss_by_two_levels_costs_more_than_a_miss_by_one() -> None:
    """The regular cost cannot tell them apart; that is what the ordinal one is for."""
    near = torch.tensor([[0.0, 3.0, 0.0, 0.0]])
    far = torch.tensor([[0.0, 0.0, 0.0, 3.0]])
    level = torch.tensor([0])
    assert softmax_cost(near, level).item() == pytest.approx(softmax_cost(far, level).item())
    assert ordinal_cost(near, level).item() < ordinal_cost(far, level).item()


def test_large_scores_keep_costs_and_gradients_finite() -> None:
    scores = torch.tensor([[-500.0, 0.0, 500.0], [500.0, -500.0, 0.0]], requires_grad=True)
    cost = mixed_cost(scores, torch.tensor([0, 2]), 0.5).sum()
    cost.backward()
    assert torch.isfinite(cost)
    assert torch.isfinite(scores.grad).all()


def test_the_loss_over_random_parts_is_the_mean_over_all_orders() -> None:
    """Four ratings whose cost depends on which others are visible: all 16 parts with their chances against all 24 orders.

    With a chance of being shown that is uniform, a part of v out of D has the chance v! (D − v)! / (D + 1)!.
    """
    num = 4
    costs = np.random.default_rng(0).random((num, 2**num))  # of each rating, by the set of visible ones

    def cost(rating: int, visible: tuple[int, ...]) -> float:
        return float(costs[rating, sum(1 << other for other in visible)])

    orders = list(permutations(range(num)))
    wanted = sum(cost(order[i], order[:i]) for order in orders for i in range(num)) / len(orders)
    found, total = 0.0, 0.0
    for v in range(num + 1):
        for visible in combinations(range(num), v):
            chance = math.factorial(v) * math.factorial(num - v) / math.factorial(num + 1)
            hidden = [rating for rating in range(num) if rating not in visible]
            loss = order_agnostic_loss(
                torch.tensor([cost(rating, visible) for rating in hidden], dtype=torch.float64),
                torch.zeros(len(hidden), dtype=torch.int64),
                torch.tensor([float(num)], dtype=torch.float64),
                torch.tensor([float(len(hidden))], dtype=torch.float64),
            )
            found, total = found + chance * loss.item(), total + chance
    assert total == pytest.approx(1.0)
    assert found == pytest.approx(wanted)


def test_each_history_gets_its_own_costs() -> None:
    """(D + 1) / (D − v) times the sum of each, 0 where nothing is hidden."""
    loss = order_agnostic_loss(
        torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0, 2, 2]), torch.tensor([3.0, 5.0, 2.0]), torch.tensor([1.0, 0.0, 2.0])
    )
    assert loss.tolist() == pytest.approx([4.0, 0.0, 9.0])


def test_expected_ratings_are_means_and_never_leave_the_scale() -> None:
    """By hand for half stars, and for scores so large that one level has all the chance."""
    values = torch.tensor([0.5, 2.0, 5.0], dtype=torch.float64)
    scores = torch.tensor([[1.0, 1.0, 2.0]], dtype=torch.float64).log()
    assert expected_ratings(scores, values).item() == pytest.approx((0.5 + 2.0 + 2 * 5.0) / 4)
    extreme = expected_ratings(torch.tensor([[900.0, 0.0, 0.0], [0.0, 0.0, 900.0]], dtype=torch.float64), values)
    assert extreme.tolist() == [0.5, 5.0]


def test_the_chance_of_a_level_or_more() -> None:
    scores = torch.tensor([[1.0, 1.0, 2.0]], dtype=torch.float64).log()
    assert log_prob_from(scores, 1).item() == pytest.approx(math.log(3 / 4))
    assert log_prob_from(scores, 0).item() == pytest.approx(0.0)
