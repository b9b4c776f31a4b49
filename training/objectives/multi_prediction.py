"""Training an energy model through its own inference: fill in what is hidden, and follow the gradient through mean-field steps.

Goodfellow, Mirza, Courville, Bengio 2013, Multi-prediction deep Boltzmann machines.

Shapes: B users in the batch, I items.
"""

from __future__ import annotations

import torch
from torch import Tensor


def multi_prediction_loss(logits_BI: Tensor, hidden_BI: Tensor, *, excluded_BI: Tensor, user_weight_exponent: float) -> Tensor:
    """−Σ_u |hid_u|^−e Σ_hid log softmax(logits)_i over the items that are not excluded, divided by B; nats.

    Differs from the paper: it predicts which of the unseen items were hidden, one softmax over all of them, and not each unit's state by
    itself. For a ranking the order of items counts, not how many of them there are.

    Args:
        logits_BI: b + Wᵀh of all items.
        hidden_BI: 1 for the hidden positives.
        excluded_BI: true for the visible ones, which are no candidates.
        user_weight_exponent: e; 0 counts hidden items alike, 1 users alike.
    """
    # Finite, so that no gradient turns into NaN.
    log_probs_BI = torch.log_softmax(logits_BI.masked_fill(excluded_BI, -1e30), dim=1)
    weights_B = hidden_BI.sum(dim=1).clamp(min=1.0) ** -user_weight_exponent
    return -(weights_B * (log_probs_BI * hidden_BI).sum(dim=1)).mean()
