"""The two halves of the minimax game over a whole catalogue, with expectations computed exactly instead of sampled.

On a catalogue that fits in memory the generator's distribution is known for every item, so neither player has to sample from it: no
variance, no importance weights. `training.objectives.irgan` has the sampled form of the paper.

Shapes: M members of a generator, B users, I items.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def discriminator_loss(scores_BI: Tensor, true_probs_BI: Tensor, picked_probs_BI: Tensor) -> Tensor:
    """−E_true[log σ(f)] − E_picked[log(1 − σ(f))], mean over users (Wang et al. 2017, Eq. 3).

    Its minimum over f is at f = log(p_true / p_picked), where it is log 4 if the two agree (Goodfellow et al. 2014, Theorem 1).

    Args:
        scores_BI: f.
        true_probs_BI: the distribution of what the user really had, rows summing to 1.
        picked_probs_BI: the generator's, likewise; known positives are among its picks with their probability, not by accident.
    """
    real_B = (functional.softplus(-scores_BI) * true_probs_BI).sum(dim=-1)
    fake_B = (functional.softplus(scores_BI) * picked_probs_BI).sum(dim=-1)
    return (real_B + fake_B).mean()


def rewards(scores_BI: Tensor) -> Tensor:
    """2σ(f) − 1, in (−1, 1): what the generator earns for an item (Wang et al. 2017, Section 3.1, and the official code)."""
    return 2.0 * scores_BI.sigmoid() - 1.0


def expected_reward(probs_MBI: Tensor, rewards_BI: Tensor) -> Tensor:
    """E_{j ~ p}[reward_j] of every member and user, [M, B]; its gradient is the policy gradient without variance."""
    expected_MB: Tensor = (probs_MBI * rewards_BI).sum(dim=-1)
    return expected_MB
