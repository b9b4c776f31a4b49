"""Losses of answer selection: right answers before those that somebody picks from a pool (Wang et al. 2017, section 4.3; QA-CNN).

Shapes: B questions in the batch, N answers in the batch, P pairs of a question and a right answer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def hinge_loss(scores_BN: Tensor, right_BN: Tensor, picks_BN: Tensor, *, margin: float) -> Tensor:
    """Mean over right answers a⁺ of E_{a⁻ ~ p(·|q)} max(0, m − s(q, a⁺) + s(q, a⁻)), the loss of QA-CNN (Feng et al. 2015).

    With uniform picks it is QA-CNN's training against random negatives. The expectation is computed exactly.

    Args:
        scores_BN: s of every answer to every question.
        right_BN: true where the answer is a right one.
        picks_BN: p, each row a distribution over wrong answers; no gradient flows into it. A row of zeros has no pool and no loss.
        margin: m.
    """
    return _expected(functional.relu(margin - _leads(scores_BN, right_BN)), right_BN, picks_BN)


def logistic_loss(scores_BN: Tensor, right_BN: Tensor, picks_BN: Tensor, *, temperature: float) -> Tensor:
    """Mean over right answers a⁺ of −E_{a⁻ ~ p_θ(·|q)} log σ((s(q, a⁺) − s(q, a⁻)) / τ): the discriminator of IRGAN's pair-wise case.

    Args:
        scores_BN: s, in place of f_φ.
        right_BN: true where the answer is a right one.
        picks_BN: p_θ, as in `hinge_loss`.
        temperature: τ; cosines differ by little, and the sigmoid wants differences of about 1.
    """
    return _expected(functional.softplus(-_leads(scores_BN, right_BN) / temperature), right_BN, picks_BN)


def _leads(scores_BN: Tensor, right_BN: Tensor) -> Tensor:
    """s(q, a⁺) − s(q, a) of every right answer and every answer of the batch, [P, N]."""
    questions_P, answers_P = right_BN.nonzero(as_tuple=True)
    return scores_BN[questions_P, answers_P][:, None] - scores_BN[questions_P]


def _expected(losses_PN: Tensor, right_BN: Tensor, picks_BN: Tensor) -> Tensor:
    questions_P = right_BN.nonzero(as_tuple=True)[0]
    return (picks_BN.detach()[questions_P] * losses_PN).sum() / max(1, len(questions_P))


def deception_rewards(scores_BN: Tensor, right_BN: Tensor, *, margin: float, temperature: float) -> Tensor:
    """What the generator gets for a pick: mean over right answers of 2σ((m − s(q, a⁺) + s(q, a)) / τ) − 1, by the discriminator's s.

    It is near 1 for an answer that the discriminator puts before the right ones. The official code has τ = 1.

    Returns:
        In (−1, 1), [B, N]; no gradient. Zeros for a question without a right answer.
    """
    questions_P = right_BN.nonzero(as_tuple=True)[0]
    with torch.no_grad():
        rewards_PN = 2 * torch.sigmoid((margin - _leads(scores_BN, right_BN)) / temperature) - 1
        sums_BN = torch.zeros_like(scores_BN).index_add(0, questions_P, rewards_PN)
        return sums_BN / right_BN.sum(dim=1, keepdim=True).clamp(min=1)


def right_answers_loss(scores_BN: Tensor, right_BN: Tensor, competing_BN: Tensor, *, temperature: float) -> Tensor:
    """Mean over right answers of −log softmax(s / τ) among the answers that compete for the question; no adversary.

    Args:
        scores_BN: s.
        right_BN: true where the answer is a right one.
        competing_BN: true where the answer competes; right ones do.
        temperature: τ.
    """
    logits_BN = (scores_BN / temperature).masked_fill(~competing_BN, -1e30)
    log_probs_BN = torch.log_softmax(logits_BN, dim=1)
    shares_BN = right_BN / right_BN.sum(dim=1, keepdim=True).clamp(min=1)
    return -(shares_BN * log_probs_BN).sum() / max(1, int(right_BN.any(dim=1).sum()))
