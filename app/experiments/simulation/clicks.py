"""How people click on a ranked answer: cascade models over grades of relevance.

Shapes: N answers, K positions, G grades.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class ClickModel:
    """A person reads from the top, clicks on an item with a chance that its relevance sets, and after a click may have enough.

    The dependent click model of Guo, Liu and Wang 2009, as Hofmann, Whiteson and de Rijke 2011 use it to simulate interleaving.

    Attributes:
        name: of the model.
        click_G: chance of a click on an item that is read, by grade.
        stop_G: chance of reading no further after a click, by the grade of what was clicked.
    """

    name: str
    click_G: tuple[float, ...]
    stop_G: tuple[float, ...]


CLICK_MODELS: dict[str, ClickModel] = {
    model.name: model
    for model in (
        ClickModel("perfect", (0.0, 0.2, 0.4, 0.8, 1.0), (0.0, 0.0, 0.0, 0.0, 0.0)),
        ClickModel("navigational", (0.05, 0.3, 0.5, 0.7, 0.95), (0.2, 0.3, 0.5, 0.7, 0.9)),
        ClickModel("informational", (0.4, 0.6, 0.7, 0.8, 0.9), (0.1, 0.2, 0.3, 0.4, 0.5)),
    )
}
"""With the chances that Schuth et al. 2014 and others use for five grades: someone who reads everything and errs in nothing, someone
who looks for one thing, and someone who gathers much, and clicks on much that is not relevant."""


def clicked(grades_NK: np.ndarray, model: ClickModel, rng: np.random.Generator) -> np.ndarray:
    """Draw the clicks on N answers, bool [N, K].

    Args:
        grades_NK: of the items, int from 0, best position first.
        model: who clicks.
        rng: draws.
    """
    click_NK = rng.random(grades_NK.shape) < np.array(model.click_G)[grades_NK]
    stop_NK = click_NK & (rng.random(grades_NK.shape) < np.array(model.stop_G)[grades_NK])
    stopped_before_NK = np.cumsum(stop_NK, axis=1) - stop_NK
    read_NK: np.ndarray = click_NK & (stopped_before_NK == 0)
    return read_NK


def click_chances(grades_NK: np.ndarray, model: ClickModel) -> np.ndarray:
    """The chance of a click at each position, exactly, float64 [N, K].

    Args:
        grades_NK: as in `clicked`.
        model: who clicks.
    """
    click_NK, stop_NK = np.array(model.click_G)[grades_NK], np.array(model.stop_G)[grades_NK]
    going_on_NK = np.cumprod(1.0 - click_NK * stop_NK, axis=1)
    chances_NK: np.ndarray = click_NK * np.concatenate([np.ones((len(grades_NK), 1)), going_on_NK[:, :-1]], axis=1)
    return chances_NK
