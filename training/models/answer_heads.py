"""Heads over a frozen sentence encoder: its own cosine, and what answers have beside likeness.

Shapes: B texts, E size of the sentence vector, F features of a text, R rank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.layers import normal, with_dropout


class AnswerHeads(nn.Module):
    """s(q, a) = ⟨u_q, u_a⟩ + ⟨A x_q + c, B x_a⟩ + b · x_a.

    u is the sentence encoder's vector and x are features of a text, the vectors of several of the encoder's layers. B and b start at
    zero, so that training starts from the plain cosine; the product of A and B has rank R at most.

    Args:
        num_features: F.
        rank: R.
        dropout: share of the features that training switches off.
        generator: of the first weights.
    """

    def __init__(self, *, num_features: int, rank: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.dropout = dropout
        self.questions_FR = normal(num_features, rank, scale=num_features**-0.5, generator=generator)
        self.questions_R = nn.Parameter(torch.zeros(rank))
        self.answers_FR = nn.Parameter(torch.zeros(num_features, rank))
        self.answers_F1 = nn.Parameter(torch.zeros(num_features, 1))

    def queries(self, sentences_BE: Tensor, features_BF: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Vectors of questions, [B, E + R + 1]."""
        features_BF = with_dropout(features_BF, self.dropout, generator)
        asked_BR = features_BF @ self.questions_FR + self.questions_R
        return torch.cat([sentences_BE, asked_BR, torch.ones_like(asked_BR[:, :1])], dim=1)

    def documents(self, sentences_BE: Tensor, features_BF: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Vectors of answers, [B, E + R + 1]."""
        features_BF = with_dropout(features_BF, self.dropout, generator)
        return torch.cat([sentences_BE, features_BF @ self.answers_FR, features_BF @ self.answers_F1], dim=1)
