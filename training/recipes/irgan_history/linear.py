"""The linear path beside the committee.

Shapes: N events, I items, R rank, K levels of the rating scale.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.baselines import low_rank_ease
from training.data import Interactions
from training.loop import Run
from training.recipes.irgan_history.config import Config


class RatingScale(NamedTuple):
    """What an event counts by its rating: straight lines between levels, and 1 without a rating.

    Attributes:
        ratings_K: the levels, ascending, at least two.
        weights_K: what an event counts there.
    """

    ratings_K: np.ndarray
    weights_K: np.ndarray

    def weights(self, ratings_N: np.ndarray) -> np.ndarray:
        """The weight of each event, float64 [N]."""
        weights_N: np.ndarray = np.interp(ratings_N, self.ratings_K, self.weights_K)
        return np.where(np.isnan(ratings_N), 1.0, weights_N)


class LinearPath(NamedTuple):
    """EASE, cut to its rank.

    Attributes:
        table_IR: the history's side.
        vectors_IR: the item's side.
        scale: what the events of a history count.
    """

    table_IR: Tensor
    vectors_IR: Tensor
    scale: RatingScale


def linear_path(data: Interactions, config: Config, run: Run) -> LinearPath:
    """The path that the training data give; R is 0 where there is to be none."""
    scale = _scale(data, config)
    if not config.linear_rank or data.num_items > config.linear_max_items:
        return LinearPath(torch.zeros(data.num_items, 0), torch.zeros(data.num_items, 0), scale)
    if config.signal == "positives" or data.ratings is None:
        matrix_UI = data.positives().matrix()
    else:
        matrix_UI = data.matrix(scale.weights(data.ratings))
    left_IR, right_IR = low_rank_ease(matrix_UI, l2=config.linear_l2, rank=config.linear_rank, seed=run.seed)
    return LinearPath(torch.from_numpy(left_IR).float(), torch.from_numpy(right_IR).float(), scale)


def _scale(data: Interactions, config: Config) -> RatingScale:
    """The configured levels, spread evenly over the ratings that there are."""
    if config.signal == "positives" or data.ratings is None or data.ratings.min() == data.ratings.max():
        return RatingScale(np.array([0.0, 1.0]), np.ones(2))
    lowest, highest = float(data.ratings.min()), float(data.ratings.max())
    levels = np.array(config.linear_levels)
    return RatingScale(np.linspace(lowest, highest, len(levels)), levels)
