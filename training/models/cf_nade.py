"""CF-NADE: an autoregressive model of the ratings that somebody gave (Zheng et al. 2016, arXiv 1605.09477).

A *history* is whatever was rated together: the ratings of one user over the items (user-based form) or those of one item over the users
(item-based form). The model doesn't know which; its *columns* are items in the one and users in the other.

Levels are whole numbers: 0 for no rating, 1 … K from the lowest rating to the highest.

Shapes: B histories, C columns, K levels, M members, H hidden units, G units of the last hidden layer, J rank of factored weights,
N events, S of which are seen and P not, over all members.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from training.models.layers import with_dropout

_INPUT_SCALE = 0.1
"""Standard deviation of what a rating first adds to a hidden unit."""


def level_steps(levels: Tensor, num_levels: int) -> Tensor:
    """True where a rating has reached level k, [..., K, C] from levels [..., C]; the sum over k is the level."""
    thresholds_K1 = torch.arange(1, num_levels + 1, dtype=levels.dtype, device=levels.device)[:, None]
    reached: Tensor = levels[..., None, :] >= thresholds_K1
    return reached


class Events(NamedTuple):
    """The ratings of B histories, one after the other.

    Attributes:
        rows_N: the history of each, int64.
        columns_N: what was rated, int64.
        levels_N: from 1, int64.
        num_rows: B.
    """

    rows_N: Tensor
    columns_N: Tensor
    levels_N: Tensor
    num_rows: int


class CFNADE(nn.Module):
    """M models that are trained at once. Each has a conditional over the K levels for every column, given the ratings seen so far.

    h = tanh(c + n^−p Σ_i Σ_{j ≤ r_i} W^j_{:,m_i})   (and a second layer tanh(c' + W' h), if wanted)
    s^k_m = Σ_{j ≤ k} (b^j_m + V^j_m · h + (α^j + β^j_m) d),   p(r_m = k | h) = softmax(s_m)_k

    W, V and b are shared across levels (the paper's section *Sharing parameters between different ratings*): a level adds to the
    levels below it.

    Differs from the paper: the sum is divided by a power p of the number n of ratings seen (0 gives the paper's), and there is one
    linear unit beside the hidden ones, the offset d = Σ_i (r_i − mean of column m_i) / (n + λ): whether this history's ratings are
    higher or lower than those of others.

    Args:
        num_columns: C.
        num_levels: K.
        num_members: M.
        hidden_sizes: H of one layer or two.
        rank: J of W^j = A^j B and V^j = P Q^j, with B and P shared by all columns and levels (the paper's section on large data sets);
            0 for weights that are not factored.
        history_exponent: p.
        offset_shrinkage: λ; None for no offset.
        dropout: share of hidden units that training switches off.
        log_frequencies_KC: logarithms of how often each column has each level; the model without hidden units starts there.
        mean_levels_C: what d compares with.
        generator: of the first weights.
        columns: what they are, for a warm start.
    """

    mean_levels_C: Tensor

    def __init__(
        self,
        *,
        num_columns: int,
        num_levels: int,
        num_members: int,
        hidden_sizes: Sequence[int],
        rank: int,
        history_exponent: float,
        offset_shrinkage: float | None,
        dropout: float,
        log_frequencies_KC: Tensor,
        mean_levels_C: Tensor,
        generator: torch.Generator,
        columns: Literal["item", "user"] = "item",
    ) -> None:
        super().__init__()
        axes = {"input_MKCH": 2, "output_MCKG": 1, "bias_MKC": 2, "offset_MKC": 2}
        self.item_axes, self.user_axes = (axes, {}) if columns == "item" else ({}, axes)
        self.num_columns, self.num_levels, self.num_members = num_columns, num_levels, num_members
        self.history_exponent = history_exponent
        self.offset_shrinkage = offset_shrinkage
        self.dropout = dropout
        first, last = hidden_sizes[0], hidden_sizes[-1]
        self.num_units = last

        def normal(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*shape, generator=generator))

        input_scale = _INPUT_SCALE / math.sqrt(num_levels)  # as many steps add up
        self.input_MKCH = normal(num_members, num_levels, num_columns, rank or first, scale=input_scale)
        self.input_basis_MJH = normal(num_members, rank, first, scale=rank**-0.5) if rank else None
        # Zeros: a column that nobody rated keeps its prior.
        self.output_MCKG = nn.Parameter(torch.zeros(num_members, num_columns, num_levels, rank or last))
        self.output_basis_MGJ = normal(num_members, last, rank, scale=rank**-0.5) if rank else None
        self.hidden_bias_MH = nn.Parameter(torch.zeros(num_members, first))
        self.second_MHG = normal(num_members, first, last, scale=first**-0.5) if len(hidden_sizes) > 1 else None
        self.second_bias_MG = nn.Parameter(torch.zeros(num_members, last)) if len(hidden_sizes) > 1 else None
        first_level_1C = torch.zeros_like(log_frequencies_KC[:1])  # it is no step up from anything
        steps_KC = torch.cat([first_level_1C, log_frequencies_KC.diff(dim=0)])
        self.bias_MKC = nn.Parameter(steps_KC.repeat(num_members, 1, 1))
        self.register_buffer("mean_levels_C", mean_levels_C)
        has_offset = offset_shrinkage is not None
        slopes_K = torch.ones(num_levels).index_fill(0, torch.tensor([0]), 0.0)
        self.offset_MK = nn.Parameter(slopes_K.repeat(num_members, 1)) if has_offset else None
        self.offset_MKC = nn.Parameter(torch.zeros(num_members, num_levels, num_columns)) if has_offset else None

    def weights_and_biases(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What a weight decay should draw to zero, and what not: biases, and the slope of the offset that all columns share."""
        biases = [self.bias_MKC, self.hidden_bias_MH, self.second_bias_MG, self.offset_MK]
        kept = {id(bias) for bias in biases}
        return [p for p in self.parameters() if id(p) not in kept], [bias for bias in biases if bias is not None]

    def input_table(self) -> Tensor:
        """What a rating of each level adds to the hidden sum, Σ_{j≤k} W^j, [M, K, C, H]."""
        steps: Tensor = self.input_MKCH
        if self.input_basis_MJH is not None:
            steps = torch.einsum("mkcj,mjh->mkch", steps, self.input_basis_MJH)
        return steps.cumsum(dim=1)

    def output_table(self) -> Tensor:
        """Σ_{j≤k} of b^j, α^j + β^j and V^j, behind each other, [M, K, C, 2 + G]: s = table · [1, d, h]."""
        steps: Tensor = self.output_MCKG
        if self.output_basis_MGJ is not None:
            steps = torch.einsum("mgj,mckj->mckg", self.output_basis_MGJ, steps)
        parts = [self.bias_MKC[..., None], self._slopes()[..., None], steps.transpose(1, 2)]
        return torch.cat(parts, dim=-1).cumsum(dim=1)

    def _slopes(self) -> Tensor:
        """α + β, [M, K, C]; zeros without the offset."""
        if self.offset_MK is None or self.offset_MKC is None:
            return torch.zeros_like(self.bias_MKC)
        return self.offset_MK[..., None] + self.offset_MKC

    def sums(self, levels_MBC: Tensor) -> Tensor:
        """Σ_i Σ_{j≤r_i} W^j_{:,m_i} [M, B, H] of the ratings seen, linear in their number."""
        steps_MBX = level_steps(levels_MBC, self.num_levels).flatten(2).to(self.input_MKCH.dtype)
        sums_MBH = steps_MBX @ self.input_MKCH.flatten(1, 2)
        return sums_MBH if self.input_basis_MJH is None else sums_MBH @ self.input_basis_MJH

    def offsets(self, levels_MBC: Tensor) -> Tensor:
        """The offset d of each history, [M, B]; of an empty one 0."""
        is_rated_MBC = levels_MBC > 0
        above_MB = ((levels_MBC - self.mean_levels_C) * is_rated_MBC).sum(dim=-1)
        return self.shrunk(above_MB, is_rated_MBC.sum(dim=-1))

    def shrunk(self, above: Tensor, lengths: Tensor) -> Tensor:
        """The offset d from how far the ratings lie above their columns' means altogether, and how many they are."""
        if self.offset_shrinkage is None:
            return torch.zeros_like(above)
        # Without shrinkage an empty history would divide by zero.
        return above / (lengths + self.offset_shrinkage).clamp(min=1e-6)

    def hidden(self, sums_MBH: Tensor, lengths_MB: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The last hidden layer [M, B, G] from the hidden sums and the numbers of ratings."""
        scaled_MBH = sums_MBH / lengths_MB.clamp(min=1.0)[..., None] ** self.history_exponent
        hidden = with_dropout(torch.tanh(scaled_MBH + self.hidden_bias_MH[:, None]), self.dropout, generator)
        if self.second_MHG is None or self.second_bias_MG is None:
            return hidden
        return with_dropout(torch.tanh(hidden @ self.second_MHG + self.second_bias_MG[:, None]), self.dropout, generator)

    def forward(self, levels_MBC: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Scores s of every level and column, given the ratings seen, [M, B, K, C].

        Args:
            levels_MBC: levels of the ratings seen, 0 elsewhere; every member may see others.
            generator: switches hidden units off, in training.
        """
        lengths_MB = (levels_MBC > 0).sum(dim=-1).to(self.input_MKCH.dtype)
        hidden_MBG = self.hidden(self.sums(levels_MBC), lengths_MB, generator)
        if self.output_basis_MGJ is not None:
            hidden_MBG = hidden_MBG @ self.output_basis_MGJ
        steps_MBX = hidden_MBG @ self.output_MCKG.flatten(1, 2).mT
        steps_MBKC = steps_MBX.unflatten(2, (self.num_columns, self.num_levels)).transpose(2, 3) + self.bias_MKC[:, None]
        if self.offset_shrinkage is not None:
            steps_MBKC = steps_MBKC + self.offsets(levels_MBC)[..., None, None] * self._slopes()[:, None]
        scores_MBKC: Tensor = steps_MBKC.cumsum(dim=2)
        return scores_MBKC

    def scores_of_hidden(self, events: Events, is_visible_MN: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Scores of the events that are not visible, given those that are: what `forward` gives, without the rest of its columns.

        Args:
            events: of the histories.
            is_visible_MN: which of them each member sees.
            generator: switches hidden units off, in training.

        Returns:
            One row for each hidden event, member by member in the order of the events, [P, K].
        """
        members_S, seen_S = is_visible_MN.nonzero(as_tuple=True)
        cells_S = (members_S * self.num_levels + events.levels_N[seen_S] - 1) * self.num_columns + events.columns_N[seen_S]
        table_XH = self.input_MKCH.cumsum(dim=1).flatten(0, 2)
        places_S = members_S * events.num_rows + events.rows_N[seen_S]
        shape_MB = (self.num_members, events.num_rows)
        sums_MBH = table_XH.new_zeros(math.prod(shape_MB), table_XH.shape[1])
        sums_MBH = sums_MBH.index_add(0, places_S, table_XH.index_select(0, cells_S)).unflatten(0, shape_MB)
        if self.input_basis_MJH is not None:
            sums_MBH = sums_MBH @ self.input_basis_MJH
        lengths_MB = torch.bincount(places_S, minlength=math.prod(shape_MB)).view(shape_MB).to(sums_MBH.dtype)
        hidden_MBG = self.hidden(sums_MBH, lengths_MB, generator)
        if self.output_basis_MGJ is not None:
            hidden_MBG = hidden_MBG @ self.output_basis_MGJ
        members_P, events_P = (~is_visible_MN).nonzero(as_tuple=True)
        columns_P, rows_P = events.columns_N[events_P], members_P * events.num_rows + events.rows_N[events_P]
        outputs_PKG = self.output_MCKG.flatten(0, 1).index_select(0, members_P * self.num_columns + columns_P)
        hidden_PG = hidden_MBG.flatten(0, 1).index_select(0, rows_P)
        steps_PK = (outputs_PKG @ hidden_PG[..., None])[..., 0] + self.bias_MKC[members_P, :, columns_P]
        if self.offset_MK is not None and self.offset_MKC is not None:
            above_S = events.levels_N[seen_S] - self.mean_levels_C[events.columns_N[seen_S]]
            above_MB = (
                torch.zeros_like(lengths_MB).flatten().index_add(0, places_S, above_S.to(lengths_MB.dtype)).view(shape_MB)
            )
            slopes_PK = self.offset_MK[members_P] + self.offset_MKC[members_P, :, columns_P]
            steps_PK = steps_PK + self.shrunk(above_MB, lengths_MB).flatten()[rows_P, None] * slopes_PK
        return steps_PK.cumsum(dim=1)

    def log_likelihood(self, levels_BC: Tensor, order_D: Tensor) -> Tensor:
        """The log-likelihood of the ratings in the columns of `order_D`, by the chain rule in that order, nats, [M, B].

        Args:
            levels_BC: a rating in each of those columns; others are not looked at.
            order_D: columns, each at most once.
        """
        levels_MBC = levels_BC.expand(self.num_members, -1, -1)
        seen_MBC = torch.zeros_like(levels_MBC)
        total_MB = torch.zeros(levels_MBC.shape[:2], dtype=self.bias_MKC.dtype)
        for column in order_D.tolist():
            log_probs_MBK = self(seen_MBC)[..., column].log_softmax(dim=-1)
            total_MB = total_MB + log_probs_MBK.gather(-1, levels_MBC[..., column, None].long() - 1)[..., 0]
            seen_MBC = seen_MBC.index_copy(2, torch.tensor([column]), levels_MBC[..., column, None])
        return total_MB
