"""The trained RBM as two graphs: histories to hidden units, and hidden units to the scores and ratings of candidates.

Shapes: B queries, C candidates, K levels, I items, H hidden units, D = H + 1 dimensions of the index.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from training.models.rbm_cf import SoftmaxRBM


class Head(nn.Module):
    """Σ (W + D) over a history and its length n to the query [σ(c + g Σ / n^p); 1]."""

    bias_H: Tensor

    def __init__(self, model: SoftmaxRBM, scale: float, exponent: float) -> None:
        super().__init__()
        self.register_buffer("bias_H", model.hidden_bias_H.detach())
        self.scale = scale
        self.exponent = exponent

    def forward(self, sums_BH: Tensor, lengths_B1: Tensor) -> Tensor:
        """Queries [B, D]."""
        hidden_BH = torch.sigmoid(self.bias_H + self.scale * lengths_B1.clamp(min=1.0) ** -self.exponent * sums_BH)
        return torch.cat([hidden_BH, torch.ones_like(lengths_B1)], dim=1)


class Rescorer(nn.Module):
    """Scores and expected ratings of candidates, in double precision.

    score = exposure_weight · logit p(rated | h) + rating_weight · (log P(rating ≥ threshold | h), or the expected rating).

    Args:
        model: trained.
        values_K: what each level stands for.
        first_liked: the lowest level that counts as liked.
        rank_by: which of the two.
        rating_weight: its weight.
        exposure_weight: that of the log-odds.
    """

    weights_IKD: Tensor
    rated_ID: Tensor
    values_K: Tensor

    def __init__(
        self,
        model: SoftmaxRBM,
        *,
        values_K: Tensor,
        first_liked: int,
        rank_by: Literal["liked", "expected"],
        rating_weight: float,
        exposure_weight: float,
    ) -> None:
        super().__init__()
        bias_IK1 = model.visible_bias_IK.detach()[..., None]
        self.register_buffer("weights_IKD", torch.cat([model.weights().detach().permute(1, 0, 2), bias_IK1], dim=2).double())
        rated_IH = torch.zeros_like(bias_IK1[:, 0]).expand(-1, len(model.hidden_bias_H))
        rated_IH = rated_IH if model.rated_IH is None else model.rated_IH.detach()
        self.register_buffer("rated_ID", torch.cat([rated_IH, model.rated_bias_I.detach()[:, None]], dim=1).double())
        self.register_buffer("values_K", values_K.double())
        self.first_liked = first_liked
        self.rank_by = rank_by
        self.rating_weight = rating_weight
        self.exposure_weight = exposure_weight

    def linear_part(self) -> Tensor:
        """What of a score is an inner product of the query with a vector of the item, [I, D]."""
        return self.exposure_weight * self.rated_ID

    def forward(self, queries_BD: Tensor, items_C: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and expected ratings, [B, C]."""
        queries_BD = queries_BD.double()
        weights_CKD = self.weights_IKD[items_C]
        logits_BX = queries_BD @ weights_CKD.flatten(0, 1).T
        logits_BCK = logits_BX.view(-1, *weights_CKD.shape[:2])
        log_probs_BCK = torch.log_softmax(logits_BCK, 2)
        expected_BC = (log_probs_BCK.exp() * self.values_K).sum(2)
        rated_BC = queries_BD @ self.rated_ID[items_C].T + torch.logsumexp(logits_BCK, 2)
        liked_BC = torch.logsumexp(log_probs_BCK[:, :, self.first_liked :], 2)
        rating_BC = liked_BC if self.rank_by == "liked" else expected_BC
        return self.exposure_weight * rated_BC + self.rating_weight * rating_BC, expected_BC
