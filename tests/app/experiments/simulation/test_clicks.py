"""People who click as their model says.

Shapes: N answers, K positions.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from app.experiments.interleaving import METHODS, Method, credit, interleave
from app.experiments.simulation import CLICK_MODELS, ClickModel, click_chances, clicked, differences


def chance(pattern: tuple[bool, ...], grades: tuple[int, ...], model: ClickModel) -> float:
    """Of exactly these clicks, by reading on from the top: a sum over where the person stopped, if at all."""
    going, found = 1.0, 0.0
    for position, (is_clicked, grade) in enumerate(zip(pattern, grades, strict=True)):
        if not is_clicked:
            going *= 1.0 - model.click_G[grade]
            continue
        going *= model.click_G[grade]
        if not any(pattern[position + 1 :]):
            found += going * model.stop_G[grade]
        going *= 1.0 - model.stop_G[grade]
    return found + going


@pytest.mark.parametrize("name", CLICK_MODELS)
def test_clicks_have_the_chances_of_the_model(name: str) -> None:
    """All patterns of clicks on four items, against their chances by enumeration, within five standard errors."""
    model, grades, size = CLICK_MODELS[name], (1, 4, 0, 3), 40_000
    clicks_NK = clicked(np.tile(grades, (size, 1)), model, np.random.default_rng(0))
    total = 0.0
    for pattern in product((False, True), repeat=4):
        expected = chance(pattern, grades, model)
        found = float((clicks_NK == pattern).all(axis=1).mean())
        assert abs(found - expected) <= 5.0 * np.sqrt(expected * (1.0 - expected) / size) + 1e-12
        total += expected
    assert total == pytest.approx(1.0)


@pytest.mark.parametrize("name", CLICK_MODELS)
def test_the_chance_of_a_click_at_a_position_is_exact(name: str) -> None:
    """The sum of the chances of all patterns with a click there."""
    model, grades = CLICK_MODELS[name], (2, 4, 0, 3)
    patterns = np.array(list(product((False, True), repeat=4)))
    expected_K = np.array([chance(tuple(pattern), grades, model) for pattern in patterns]) @ patterns
    np.testing.assert_allclose(click_chances(np.array([grades]), model)[0], expected_K)


def test_a_perfect_reader_clicks_on_all_that_is_best_and_on_nothing_that_is_worst() -> None:
    clicks_NK = clicked(np.array([[0, 4, 0, 4, 4]] * 100), CLICK_MODELS["perfect"], np.random.default_rng(0))
    np.testing.assert_array_equal(clicks_NK, [[False, True, False, True, True]] * 100)


@pytest.mark.parametrize("method", METHODS)
def test_many_answers_are_credited_as_each_of_them(method: Method) -> None:
    rng = np.random.default_rng(0)
    shown = [interleave([rng.permutation(9).tolist(), rng.permutation(9).tolist()], 6, rng, method) for _ in range(300)]
    clicks_NK = rng.random((300, 6)) < 0.3
    expected = [
        np.subtract(*credit(each, [item for item, is_clicked in zip(each.items, clicks, strict=True) if is_clicked])[::-1])
        for each, clicks in zip(shown, clicks_NK, strict=True)
    ]
    np.testing.assert_allclose(differences(shown, clicks_NK), expected, atol=1e-12)
    assert not clicks_NK.any(axis=1).all()
