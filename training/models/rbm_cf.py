"""The RBM for ratings: one softmax unit a rated item, none for the others (Salakhutdinov, Mnih, Hinton 2007).

Shapes: B users in the batch, K rating levels, I items, H hidden units.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


class SoftmaxRBM(nn.Module):
    """An energy over the ratings that a user gave, E(v, h) = −Σ_i Σ_k v_ik (b_ik + W_kiᵀh) − Σ_i r_i (a_i + D_iᵀh) − cᵀh.

    v_ik is 1 where the user gave item i the rating k, and r_i is 1 where the user rated it at all; an item without a rating has no
    softmax unit and takes no part. Given r, which is the conditional variant of section 4, this is an RBM over the ratings. With r as
    binary units that are drawn too, it is one over which items are rated and how: p(r_i = 1 | h) has the logit
    a_i + D_iᵀh + log Σ_k exp(b_ik + W_kiᵀh).

    Differs from the paper: Eq. (6) there has a further term Σ_i log Z_i(h), with which p(h_j | v) would not be the sigmoid of Eq. (2);
    and r is given there, so there is no a.

    Args:
        num_levels: K.
        num_hidden: H.
        conditional: whether there is D.
        share_levels: W_k is the sum of what the levels up to k add, so that levels close to each other have weights close to each other.
        init_std: standard deviation of the first weights W.
        init_rated_std: that of the first D.
        init_slope: standard deviation over the hidden units of a part of the first weights that is the same for all items and rises with
            the level, so that from the start the hidden units know how high a history's ratings lie above those of its items.
        level_probs_IK: how often each level of an item is given; where b starts.
        rated_counts_I: how often an item is rated; a starts at its logarithm.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"steps_KIH": 1, "rated_IH": 0, "visible_bias_IK": 0, "rated_bias_I": 0}

    def __init__(
        self,
        *,
        num_levels: int,
        num_hidden: int,
        conditional: bool,
        share_levels: bool,
        init_std: float,
        init_rated_std: float,
        init_slope: float,
        level_probs_IK: Tensor,
        rated_counts_I: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        num_items = len(level_probs_IK)
        self.share_levels = share_levels
        steps_KIH = init_std * torch.randn(num_levels, num_items, num_hidden, generator=generator)
        # Levels as equal steps, those of an item measured from its own mean.
        places_K = torch.arange(num_levels, dtype=level_probs_IK.dtype)
        slopes_KI = places_K[:, None] - level_probs_IK @ places_K
        sloped_KIH = slopes_KI[..., None] * (init_slope * torch.randn(num_hidden, generator=generator))
        steps_KIH = steps_KIH + (torch.cat([sloped_KIH[:1], sloped_KIH.diff(dim=0)]) if share_levels else sloped_KIH)
        self.steps_KIH = nn.Parameter(steps_KIH)
        rated_IH = init_rated_std * torch.randn(num_items, num_hidden, generator=generator)
        self.rated_IH = nn.Parameter(rated_IH) if conditional else None
        log_probs_IK = torch.log(level_probs_IK)
        # With every hidden unit undecided the levels have their frequencies.
        self.visible_bias_IK = nn.Parameter(log_probs_IK - 0.5 * self.weights().detach().sum(-1).T)
        self.rated_bias_I = nn.Parameter(torch.log(rated_counts_I + 0.5) - torch.logsumexp(log_probs_IK, 1))
        self.hidden_bias_H = nn.Parameter(torch.zeros(num_hidden))

    def weights(self) -> Tensor:
        """W [K, I, H]."""
        return self.steps_KIH.cumsum(0) if self.share_levels else self.steps_KIH

    def table(self) -> Tensor:
        """What an item rated k adds to the logits of the hidden units, W_ki + D_i, [K, I, H]."""
        return self.weights() if self.rated_IH is None else self.weights() + self.rated_IH

    def hidden_sums(self, visible_BKI: Tensor, also_rated_BI: Tensor | None = None) -> Tensor:
        """Σ_i (Σ_k v_ik W_ki + r_i D_i), [B, H].

        Args:
            visible_BKI: v.
            also_rated_BI: 1 where r is and v is not: known to be rated, the rating unknown.
        """
        sums_BH = visible_BKI.flatten(1) @ self.table().flatten(0, 1)
        if also_rated_BI is None or self.rated_IH is None:
            return sums_BH
        return sums_BH + also_rated_BI @ self.rated_IH

    def hidden_logits(self, visible_BKI: Tensor, also_rated_BI: Tensor | None = None) -> Tensor:
        """The logits of p(h_j = 1 | v, r), [B, H]."""
        return self.hidden_bias_H + self.hidden_sums(visible_BKI, also_rated_BI)

    def visible_logits(self, hidden_BH: Tensor) -> Tensor:
        """Those of p(v_ik = 1 | h), a softmax over the levels, [B, K, I]."""
        weights_KIH = self.weights()
        logits_BX = hidden_BH @ weights_KIH.flatten(0, 1).T
        return logits_BX.view(len(hidden_BH), *weights_KIH.shape[:2]) + self.visible_bias_IK.T

    def rated_logits(self, hidden_BH: Tensor, visible_logits_BKI: Tensor) -> Tensor:
        """Those of p(r_i = 1 | h), whichever level, [B, I].

        Args:
            hidden_BH: h.
            visible_logits_BKI: what `visible_logits` says of it.
        """
        logits_BI = self.rated_bias_I + torch.logsumexp(visible_logits_BKI, 1)
        return logits_BI if self.rated_IH is None else logits_BI + hidden_BH @ self.rated_IH.T

    def free_energy(self, visible_BKI: Tensor, also_rated_BI: Tensor | None = None) -> Tensor:
        """−log Σ_h exp(−E(v, h)), [B], with the given r."""
        rated_BI = visible_BKI.sum(1) if also_rated_BI is None else visible_BKI.sum(1) + also_rated_BI
        biases_B = (visible_BKI * self.visible_bias_IK.T).sum((1, 2)) + rated_BI @ self.rated_bias_I
        return -biases_B - functional.softplus(self.hidden_logits(visible_BKI, also_rated_BI)).sum(1)

    def gibbs_step(self, visible_BKI: Tensor, generator: torch.Generator) -> Tensor:
        """One step v → h → v over the items that have a rating, r as it is, [B, K, I]; without a gradient."""
        with torch.no_grad():
            probs_BH = torch.sigmoid(self.hidden_logits(visible_BKI))
            hidden_BH = (torch.rand(probs_BH.shape, generator=generator).to(probs_BH.device) < probs_BH).to(probs_BH.dtype)
            cumulative_BKI = torch.softmax(self.visible_logits(hidden_BH), 1).cumsum(1)
            num_users, _, num_items = visible_BKI.shape
            uniform_B1I = torch.rand(num_users, 1, num_items, generator=generator).to(visible_BKI.device)
            # The last boundary is 1 up to rounding, so it is left out: every draw is below it.
            levels_B1I = (uniform_B1I >= cumulative_BKI[:, :-1]).sum(1, keepdim=True)
            drawn_BKI = torch.zeros_like(visible_BKI).scatter_(1, levels_B1I, 1.0)
            return drawn_BKI * visible_BKI.sum(1, keepdim=True)
