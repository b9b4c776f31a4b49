"""The likelihood of what was hidden, against sums written out.

Shapes: B users, I items.
"""

from __future__ import annotations

import math

import pytest
import torch

from training.objectives.multi_prediction import multi_prediction_loss


def loss(logits: list[list[float]], hidden: list[list[float]], excluded: list[list[bool]], exponent: float) -> float:
    return float(
        multi_prediction_loss(
            torch.tensor(logits),
            torch.tensor(hidden),
            excluded_BI=torch.tensor(excluded),
            user_weight_exponent=exponent,
        )
    )


def test_it_is_the_log_likelihood_of_the_hidden_items_among_what_is_not_visible() -> None:
    """Probabilities 1/6, 2/6, 3/6 of three candidates, of which the last two are hidden; the fourth item is visible."""
    logits = [[0.0, math.log(2), math.log(3), 9.0]]
    found = loss(logits, [[0.0, 1.0, 1.0, 0.0]], [[False, False, False, True]], 0.0)
    assert found == pytest.approx(-math.log(2 / 6) - math.log(3 / 6))


def test_users_with_many_hidden_items_count_as_the_exponent_says() -> None:
    """Four items alike cost log 4 each: two hidden weigh 2^(1 − e); a user with nothing hidden adds nothing but counts in the mean."""
    logits, none = [[0.0] * 4] * 2, [[False] * 4] * 2
    hidden = [[1.0, 1.0, 0.0, 0.0], [0.0] * 4]
    for exponent in (0.0, 0.5, 1.0):
        assert loss(logits, hidden, none, exponent) == pytest.approx(2 ** (1 - exponent) * math.log(4) / 2)


def test_gradients_are_finite_where_everything_is_visible() -> None:
    logits_BI = torch.zeros(1, 3, requires_grad=True)
    multi_prediction_loss(
        logits_BI, torch.zeros(1, 3), excluded_BI=torch.ones(1, 3, dtype=torch.bool), user_weight_exponent=0.5
    ).backward()
    assert logits_BI.grad is not None
    assert torch.isfinite(logits_BI.grad).all()
