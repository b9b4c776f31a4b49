"""The multinomial likelihood of hidden items: what a generator learns without an adversary.

Shapes: M members, B users, I items.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_log_softmax(logits_MBI: Tensor, excluded_BI: Tensor) -> Tensor:
    """The log of p(item | query) over the items that are candidates; −∞ stands as a very small number, so that 0 · log p stays 0."""
    log_probs_MBI: Tensor = torch.log_softmax(logits_MBI.masked_fill(excluded_BI, -1e9), dim=-1)
    return log_probs_MBI


def multinomial_loss(log_probs_MBI: Tensor, hidden_BI: Tensor, *, exponent: float) -> Tensor:
    """−Σ_j log p(j | visible part) over the hidden items j, mean over members and users (Liang et al. 2018, Eq. 2).

    Args:
        log_probs_MBI: log p of each member.
        hidden_BI: 1 where the item was hidden, else 0.
        exponent: each user's sum is divided by its count of hidden items to this power: 0 counts items alike, 1 users alike.
    """
    num_hidden_B = hidden_BI.sum(dim=-1).clamp(min=1.0)
    losses_MB = -(log_probs_MBI * hidden_BI).sum(dim=-1) / num_hidden_B**exponent
    return losses_MB.mean()
