"""Losses of learning to rank, list by list and pair by pair, and the pair-wise form of IRGAN's game.

Shapes: R lists (of all members of a committee), C candidates of the longest list, M members, P pairs of candidates of one query.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def listnet_loss(log_probs_RC: Tensor, targets_RC: Tensor, weights_R: Tensor) -> Tensor:
    """−Σ_q w_q Σ_j P_y(j) log P_s(j): the cross entropy of top-one probabilities (Cao et al. 2007, ListNet).

    Args:
        log_probs_RC: log P_s(j) = s_j − log Σ_k exp s_k, nats.
        targets_RC: P_y, a distribution in each row.
        weights_R: w.
    """
    return -(weights_R * (targets_RC * log_probs_RC).sum(dim=1)).sum()


def top_one_probs(grades_RC: Tensor, absent_RC: Tensor) -> Tensor:
    """P_y(j) = exp(y_j) / Σ_k exp(y_k), ListNet's target; 0 where no candidate stands."""
    return torch.softmax(grades_RC.masked_fill(absent_RC, float("-inf")), dim=1)


def ranknet_loss(better_MP: Tensor, worse_MP: Tensor, weights_P: Tensor) -> Tensor:
    """−Σ w log σ(s_i − s_j) over pairs with i better than j: RankNet's cross entropy with certain targets (Burges et al. 2005)."""
    return (weights_P * functional.softplus(worse_MP - better_MP)).sum()


def picked_pairs_loss(better_MP: Tensor, picked_MP: Tensor, pick_probs_MP: Tensor, weights_P: Tensor) -> Tensor:
    """Pair-wise discriminator against the generator's picks: −Σ w p_θ(d_k|q) log σ(f_φ(d_i) − f_φ(d_k)).

    It is what the official code trains: every relevant document d_i stands before every document d_k that the generator picks. The
    expectation over picks is computed exactly.

    Args:
        better_MP: f_φ of relevant documents.
        picked_MP: f_φ of documents that the generator may pick.
        pick_probs_MP: with which probability it does.
        weights_P: w.
    """
    return (weights_P * pick_probs_MP * functional.softplus(picked_MP - better_MP)).sum()


def fake_pairs_loss(
    *,
    better_MP: Tensor,
    worse_MP: Tensor,
    weights_P: Tensor,
    picked_MS: Tensor,
    partner_MS: Tensor,
    fake_probs_MS: Tensor,
) -> Tensor:
    """Pair-wise discriminator of the paper, section on the pair-wise case: true pairs against fake ones.

    −Σ_⟨i,j⟩ w log σ(f_φ(d_i) − f_φ(d_j)) − Σ_⟨k,j⟩ p log(1 − σ(f_φ(d_k) − f_φ(d_j))): in a fake pair ⟨d_k, d_j⟩ the generator has put its
    own pick d_k in the place of the better document. Both expectations are computed exactly; S pairs are fake.

    Args:
        better_MP: f_φ of the better documents of true pairs.
        worse_MP: f_φ of the others.
        weights_P: w.
        picked_MS: f_φ of d_k.
        partner_MS: f_φ of d_j.
        fake_probs_MS: p, with which probability that pair is made, times its weight.
    """
    return ranknet_loss(better_MP, worse_MP, weights_P) + (fake_probs_MS * functional.softplus(picked_MS - partner_MS)).sum()
