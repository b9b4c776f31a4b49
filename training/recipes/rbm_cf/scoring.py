"""The trained RBM as a graph from hidden units to the scores and ratings of candidates.

Shapes: B queries, C candidates, K levels, I items, M members, H hidden units, W = M · H, D = W + 1 dimensions of the index.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from training.models.rbm_cf import SoftmaxRBM


class Rescorer(nn.Module):
    """Scores and expected ratings of candidates, in double precision.

    score = exposure_weight · logit p(rated | h) + rating_weight · (log P(rating ≥ threshold | h), or the expected rating), with the
    members' mean logits. A mean of inner products is one inner product with all vectors beside each other, divided by M.

    Args:
        models: the members, trained.
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
        models: Sequence[SoftmaxRBM],
        *,
        values_K: Tensor,
        first_liked: int,
        rank_by: Literal["liked", "expected"],
        rating_weight: float,
        exposure_weight: float,
    ) -> None:
        super().__init__()
        bias_IK1 = torch.stack([model.visible_bias_IK.detach() for model in models]).sum(0)[..., None]
        weights_IKD = torch.cat([*(model.weights().detach().permute(1, 0, 2) for model in models), bias_IK1], dim=2)
        self.register_buffer("weights_IKD", weights_IKD.double() / len(models))
        rated_bias_I1 = torch.stack([model.rated_bias_I.detach() for model in models]).sum(0)[:, None]
        rated_ID = torch.cat([*(_rated(model) for model in models), rated_bias_I1], dim=1)
        self.register_buffer("rated_ID", rated_ID.double() / len(models))
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


def _rated(model: SoftmaxRBM) -> Tensor:
    """D [I, H]; zeros where there is none."""
    if model.rated_IH is None:
        return torch.zeros(len(model.rated_bias_I), len(model.hidden_bias_H))
    return model.rated_IH.detach()
