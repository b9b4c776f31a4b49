"""The linear path beside the committee.

Shapes: I items, R rank.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from training.baselines import low_rank_ease
from training.data import Interactions
from training.loop import Run
from training.recipes.irgan_history.config import Config


def linear_path(data: Interactions, config: Config, run: Run) -> tuple[Tensor, Tensor]:
    """Low-rank EASE, float32 [I, R] each for the history's and the item's side; R is 0 where there is none."""
    if not config.linear_rank or data.num_items > config.linear_max_items:
        return torch.zeros(data.num_items, 0), torch.zeros(data.num_items, 0)
    if config.signal == "all":
        matrix_UI = data.matrix(np.where(data.is_positive, 1.0, config.linear_low_weight))
    else:
        matrix_UI = data.positives().matrix()
    left_IR, right_IR = low_rank_ease(matrix_UI, l2=config.linear_l2, rank=config.linear_rank, seed=run.seed)
    return torch.from_numpy(left_IR).float(), torch.from_numpy(right_IR).float()
