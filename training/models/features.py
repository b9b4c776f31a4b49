"""Scores of candidates from their features: a committee of small networks, and what the service runs of it.

Shapes: N candidates, F features, M members, H hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from training.models.layers import normal, with_dropout

Activation = Literal["relu", "tanh"]

_OUTPUT_SCALE = 0.1
"""Standard deviation of a first score, so that first policies are near uniform."""
_SMALLEST_SCALE = 1e-6
"""A feature that varies less than this on the training part says nothing."""


class Standardiser(nn.Module):
    """Features minus their mean over their standard deviation, both of a training part; features that never vary become 0.

    Args:
        features_NF: of the training part.
    """

    mean_F: Tensor
    factor_F: Tensor

    def __init__(self, features_NF: Tensor) -> None:
        super().__init__()
        exact_NF = features_NF.double()
        mean_F, std_F = exact_NF.mean(dim=0), exact_NF.std(dim=0, correction=0)
        factor_F = torch.where(std_F > _SMALLEST_SCALE, 1.0 / std_F.clamp(min=_SMALLEST_SCALE), 0.0)
        self.register_buffer("mean_F", mean_F.to(features_NF.dtype))
        self.register_buffer("factor_F", factor_F.to(features_NF.dtype))

    def forward(self, features_NF: Tensor) -> Tensor:
        """Standardised features [N, F]."""
        return (features_NF - self.mean_F) * self.factor_F


class FeatureCommittee(nn.Module):
    """M networks that are trained at once; member m scores v_m · a(b_m + x W_m), or v_m · x without hidden units.

    Scores have no bias: rankings of a query's candidates would not feel it.

    Args:
        num_features: F.
        num_members: M.
        hidden_size: H; 0 for linear scores.
        activation: a.
        dropout: share of hidden units that training switches off.
        generator: of the first weights.
    """

    def __init__(
        self,
        *,
        num_features: int,
        num_members: int,
        hidden_size: int,
        activation: Activation,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.hidden_size = hidden_size
        self.activation = torch.relu if activation == "relu" else torch.tanh
        self.dropout = dropout
        last = hidden_size or num_features
        if hidden_size:
            scale = 1.0 / math.sqrt(num_features)
            self.input_MFH = normal(num_members, num_features, hidden_size, scale=scale, generator=generator)
            self.input_bias_M1H = nn.Parameter(torch.zeros(num_members, 1, hidden_size))
        self.output_MH1 = normal(num_members, last, 1, scale=_OUTPUT_SCALE / math.sqrt(last), generator=generator)

    def forward(self, features_NF: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Scores of every member [M, N].

        Args:
            features_NF: standardised.
            generator: switches hidden units off, in training.
        """
        hidden_MNH = features_NF.expand(len(self.output_MH1), *features_NF.shape)
        if self.hidden_size:
            hidden_MNH = self.activation(torch.baddbmm(self.input_bias_M1H, hidden_MNH, self.input_MFH))
            hidden_MNH = with_dropout(hidden_MNH, self.dropout, generator)
        return (hidden_MNH @ self.output_MH1)[..., 0]


class FeatureScorer(nn.Module):
    """What the service runs: the mean score of all members of one or more committees, from features as they are read.

    Args:
        standardiser: of the features.
        committees: trained; each counts alike.
    """

    def __init__(self, standardiser: Standardiser, committees: Sequence[FeatureCommittee]) -> None:
        super().__init__()
        self.standardiser = standardiser
        self.committees = nn.ModuleList(committees)

    def forward(self, features_NF: Tensor) -> Tensor:
        """Scores, float64 [N]."""
        standardised_NF = self.standardiser(features_NF)
        return torch.stack([committee(standardised_NF).double().mean(dim=0) for committee in self.committees]).mean(dim=0)
