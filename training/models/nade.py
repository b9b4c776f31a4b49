"""NADE: a distribution over binary vectors as a product of conditionals, small networks that share their weights.

Larochelle and Murray 2011, The neural autoregressive distribution estimator; Uria, Côté, Gregor, Murray and Larochelle 2016, Neural
autoregressive distribution estimation, JMLR 17.

Shapes: B rows, D dimensions, H hidden units, I items, M members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.layers import normal, with_dropout

Activation = Literal["sigmoid", "tanh", "relu"]

_ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
}
_CELLS = 8_000_000
"""Hidden activations held at once where no gradient is wanted: rows go through in chunks of as many as fit."""
_OUTPUT_SCALE = 0.1
"""Of the first output weights, over √H: the first conditionals are the dimensions' means, nearly."""
_HISTORY_SCALE = 0.1
_ITEM_SCALE = 0.05
"""Standard deviations of a committee's first weights: its inputs are averages over a history, so they may be larger."""


class Nade(nn.Module):
    """p(x) = Π_d p(x_{o_d} | x_{o_<d}) in an order o, with p(x_{o_d} = 1 | x_{o_<d}) = σ(V_{o_d} · h_d + b_{o_d}), h_d = g(a_d).

    The conditionals share their weights: a_1 = c and a_{d+1} = a_d + W_{:,o_d} x_{o_d}, so that all D of them cost O(D H) together, as
    one pass through an autoencoder does, in place of O(D² H).

    With `sees_mask` the network is told which dimensions m it observes as well, [x ⊙ m, m], so that one set of weights answers for
    every order and every observed subset: a_{d+1} = a_d + W_{:,o_d} x_{o_d} + U_{:,o_d}. A second hidden layer (DeepNADE) costs
    O(D H²).

    Args:
        num_dimensions: D.
        hidden_size: H, of each layer.
        num_layers: hidden layers, 1 or 2.
        activation: g.
        sees_mask: the order-agnostic form; without it the weights have a meaning in the order that they were trained in alone.
        dropout: share of hidden units that training switches off.
        mean_D: mean of each dimension, where the output biases start; in (0, 1).
        generator: of the first weights.
    """

    def __init__(
        self,
        *,
        num_dimensions: int,
        hidden_size: int,
        num_layers: int,
        activation: Activation,
        sees_mask: bool,
        dropout: float,
        mean_D: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        assert num_layers in {1, 2}
        self.num_dimensions, self.hidden_size = num_dimensions, hidden_size
        self.dropout = dropout
        self._activation = _ACTIVATIONS[activation]
        into, across = num_dimensions**-0.5, hidden_size**-0.5
        self.input_DH = normal(num_dimensions, hidden_size, scale=into, generator=generator)
        self.mask_DH = normal(num_dimensions, hidden_size, scale=into, generator=generator) if sees_mask else None
        self.input_bias_H = nn.Parameter(torch.zeros(hidden_size))
        deep = num_layers == 2
        self.second_HH = normal(hidden_size, hidden_size, scale=across, generator=generator) if deep else None
        self.second_bias_H = nn.Parameter(torch.zeros(hidden_size)) if deep else None
        self.output_DH = normal(num_dimensions, hidden_size, scale=_OUTPUT_SCALE * across, generator=generator)
        self.output_bias_D = nn.Parameter(torch.logit(mean_D))

    def forward(self, x_BD: Tensor, order_D: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits of all conditionals in one order.

        Args:
            x_BD: 0 or 1.
            order_D: o, a permutation of the dimensions.
            generator: switches hidden units off, in training; a row's are the same for all of its conditionals.

        Returns:
            [B, D] in the rows' own columns: in column o_d the logit of p(x_{o_d} = 1 | x_{o_<d}).
        """
        earlier_D = order_D[:-1]
        steps_BDH = x_BD[:, earlier_D, None] * self.input_DH[earlier_D]
        if self.mask_DH is not None:
            steps_BDH = steps_BDH + self.mask_DH[earlier_D]
        sums_BDH = torch.cat([self.input_bias_H.expand(len(x_BD), 1, -1), steps_BDH], dim=1).cumsum(dim=1)
        hidden_BDH = self._hidden(sums_BDH, generator)
        logits_BD = torch.einsum("bdh,dh->bd", hidden_BDH, self.output_DH[order_D]) + self.output_bias_D[order_D]
        in_columns_BD: Tensor = logits_BD[:, order_D.argsort()]
        return in_columns_BD

    def conditionals(self, x_BD: Tensor, observed_BD: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits of p(x_i = 1 | the observed part of x) for every dimension i that is not observed, [B, D].

        Without `sees_mask` only the dimension that follows the observed ones in the order of training has a meaning.

        Args:
            x_BD: 0 or 1; anything finite where it is not observed.
            observed_BD: m, 1 where x is observed, 0 elsewhere.
            generator: switches hidden units off, in training.
        """
        sums_BH = torch.addmm(self.input_bias_H, x_BD * observed_BD, self.input_DH)
        if self.mask_DH is not None:
            sums_BH = torch.addmm(sums_BH, observed_BD, self.mask_DH)
        hidden_BH = self._hidden(sums_BH[:, None, :], generator)[:, 0]
        return torch.addmm(self.output_bias_D, hidden_BH, self.output_DH.T)

    @torch.no_grad()
    def log_prob(self, x_BD: Tensor, order_D: Tensor) -> Tensor:
        """Log p(x) in one order, exactly, nats [B]; in chunks of rows, so that memory stays bounded."""
        width = max(1, _CELLS // (self.num_dimensions * self.hidden_size))
        parts = []
        for rows_BD in x_BD.split(width):
            logits_BD = self(rows_BD, order_D)
            parts.append((rows_BD * logits_BD - functional.softplus(logits_BD)).sum(dim=1))
        return torch.cat(parts)

    @torch.no_grad()
    def sample(self, num_rows: int, order_D: Tensor, generator: torch.Generator) -> Tensor:
        """Rows drawn one dimension after the other, 0 or 1, [B, D]."""
        device = self.output_bias_D.device
        uniform_BD = torch.rand(num_rows, self.num_dimensions, generator=generator).to(device)
        x_BD = torch.zeros_like(uniform_BD)
        sums_BH = self.input_bias_H.repeat(num_rows, 1)
        for dimension in order_D.tolist():
            hidden_BH = self._hidden(sums_BH[:, None, :], None)[:, 0]
            probs_B = torch.sigmoid(hidden_BH @ self.output_DH[dimension] + self.output_bias_D[dimension])
            x_BD[:, dimension] = (uniform_BD[:, dimension] < probs_B).to(x_BD.dtype)
            sums_BH = sums_BH + x_BD[:, dimension, None] * self.input_DH[dimension]
            if self.mask_DH is not None:
                sums_BH = sums_BH + self.mask_DH[dimension]
        return x_BD

    def _hidden(self, sums_BDH: Tensor, generator: torch.Generator | None) -> Tensor:
        """The last hidden layer from the sums a; D may be 1."""
        hidden_BDH = self._with_dropout(self._activation(sums_BDH), generator)
        if self.second_HH is None:
            return hidden_BDH
        assert self.second_bias_H is not None
        return self._with_dropout(self._activation(hidden_BDH @ self.second_HH + self.second_bias_H), generator)

    def _with_dropout(self, hidden_BDH: Tensor, generator: torch.Generator | None) -> Tensor:
        if generator is None or self.dropout == 0.0:
            return hidden_BDH
        shape = (len(hidden_BDH), 1, self.hidden_size)
        kept_B1H = torch.rand(shape, generator=generator).to(hidden_BDH.device) >= self.dropout
        return hidden_BDH * kept_B1H / (1.0 - self.dropout)


class NadeCommittee(nn.Module):
    """M order-agnostic NADEs over what users liked, trained at once and asked for the conditionals of all items given some likes.

    What is observed are likes alone: an item that was not liked is not known to be disliked. Then x ⊙ m = m, and both inputs of the
    order-agnostic form are one: member m has logit v_mi · tanh(c_m + W_m m / n^p) + b_mi for item i, with n the number of likes.

    Args:
        num_items: I.
        num_members: M.
        hidden_size: H, of each member.
        length_exponent: p; 0 is the paper's plain sum.
        dropout: share of hidden units that training switches off.
        mean_I: how many of the users like an item, in (0, 1), where the output biases start.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_MIH": 1, "output_MHI": 2, "output_bias_MI": 1}

    def __init__(
        self,
        *,
        num_items: int,
        num_members: int,
        hidden_size: int,
        length_exponent: float,
        dropout: float,
        mean_I: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.length_exponent, self.dropout = length_exponent, dropout
        self.input_MIH = normal(num_members, num_items, hidden_size, scale=_HISTORY_SCALE, generator=generator)
        self.input_bias_MH = nn.Parameter(torch.zeros(num_members, hidden_size))
        self.output_MHI = normal(num_members, hidden_size, num_items, scale=_ITEM_SCALE, generator=generator)
        self.output_bias_MI = nn.Parameter(torch.logit(mean_I).repeat(num_members, 1))

    def forward(self, observed: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits of p(x_i = 1 | observed likes) of every member, [M, B, I].

        Args:
            observed: 1 for the likes that are observed, [B, I], or [M, B, I] with other ones for each member.
            generator: switches hidden units off, in training.
        """
        lengths = observed.sum(dim=-1, keepdim=True).clamp(min=1.0)
        sums_MBH = observed / lengths**self.length_exponent @ self.input_MIH
        hidden_MBH = torch.tanh(sums_MBH + self.input_bias_MH[:, None, :])
        hidden_MBH = with_dropout(hidden_MBH, self.dropout, generator)
        return torch.baddbmm(self.output_bias_MI[:, None, :], hidden_MBH, self.output_MHI)
