"""History encoders: a committee of small networks that score a catalogue for whoever had a history, and the discriminator beside it.

Shapes: B users in the batch, I items, C input channels, X = C · I, M members, H hidden units, W = M · H, R rank of the linear path,
N liked events in the batch, L the longest history, D dimensions of the index.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.layers import normal, with_dropout

_INPUT_SCALE = 0.1
_OUTPUT_SCALE = 0.05
"""Standard deviations of the first weights: inputs are averages over a history, so they may be larger."""


class HistoryCommittee(nn.Module):
    """M encoders that are trained at once and answer with the mean of their scores.

    Member m scores item j by v_mj · tanh(b_m + x W_m) + a_mj with x the history divided by its length, in one channel for what was
    liked and, if wanted, one for what was rated low.

    Args:
        num_items: I.
        num_channels: C, 1 or 2.
        num_members: M.
        hidden_size: H.
        dropout: share of hidden units that training switches off.
        log_popularity_I: where the item biases start.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_MXH": 1, "output_MHI": 2, "output_bias_MI": 1}

    def __init__(
        self,
        *,
        num_items: int,
        num_channels: int,
        num_members: int,
        hidden_size: int,
        dropout: float,
        log_popularity_I: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_items, self.num_channels = num_items, num_channels
        self.num_members = num_members
        self.dropout = dropout
        self.input_MXH = normal(num_members, num_channels * num_items, hidden_size, scale=_INPUT_SCALE, generator=generator)
        self.input_bias_MH = nn.Parameter(torch.zeros(num_members, hidden_size))
        self.output_MHI = normal(num_members, hidden_size, num_items, scale=_OUTPUT_SCALE, generator=generator)
        self.output_bias_MI = nn.Parameter(log_popularity_I.repeat(num_members, 1))

    def forward(self, channels_BX: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits of every member [M, B, I].

        Args:
            channels_BX: 1 where the item is in that channel of the history; or [M, B, X], other histories for every member.
            generator: switches hidden units off, in training.
        """
        length_B1 = channels_BX.sum(dim=-1, keepdim=True).clamp(min=1.0)
        hidden_MBH = torch.tanh(channels_BX / length_B1 @ self.input_MXH + self.input_bias_MH[:, None, :])
        hidden_MBH = with_dropout(hidden_MBH, self.dropout, generator)
        return torch.baddbmm(self.output_bias_MI[:, None, :], hidden_MBH, self.output_MHI)


class LeaveOneOutDiscriminator(nn.Module):
    """f(j | history): how well item j fits a whole history, j's own entry taken out.

    It sees what the generator does not: the part of the history that is hidden from the generator. If an item's own entry were left
    in, the discriminator would only have to look it up.

    Args:
        num_items: I.
        num_channels: C; the first channel holds what was liked.
        hidden_size: H.
        dropout: share of hidden units that training switches off.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_XH": 0, "output_HI": 1, "output_bias_I": 0}

    def __init__(
        self, *, num_items: int, num_channels: int, hidden_size: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.num_items = num_items
        self.dropout = dropout
        self.input_XH = normal(num_channels * num_items, hidden_size, scale=_INPUT_SCALE, generator=generator)
        self.input_bias_H = nn.Parameter(torch.zeros(hidden_size))
        self.output_HI = normal(hidden_size, num_items, scale=_OUTPUT_SCALE, generator=generator)
        self.output_bias_I = nn.Parameter(torch.zeros(num_items))

    def forward(self, channels_BX: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Scores f of all items for every user [B, I]; for items of the first channel, as if they were not in the history."""
        sums_BH = channels_BX @ self.input_XH
        length_B1 = channels_BX.sum(1, keepdim=True)
        hidden_BH = torch.tanh(sums_BH / length_B1.clamp(min=1.0) + self.input_bias_H)
        scores_BI = with_dropout(hidden_BH, self.dropout, generator) @ self.output_HI + self.output_bias_I
        users_N, items_N = channels_BX[:, : self.num_items].nonzero(as_tuple=True)
        others_NH = (sums_BH[users_N] - self.input_XH[items_N]) / (length_B1[users_N] - 1.0).clamp(min=1.0)
        hidden_NH = with_dropout(torch.tanh(others_NH + self.input_bias_H), self.dropout, generator)
        left_out_N = (hidden_NH * self.output_HI.T[items_N]).sum(1) + self.output_bias_I[items_N]
        left_out_BI: Tensor = scores_BI.index_put((users_N, items_N), left_out_N)
        return left_out_BI


class HistoryQuery(nn.Module):
    """A trained committee and a linear path as one query vector, so that scores are inner products with item vectors.

    q = [tanh(b + x W); Σ_h w_h T_h; 1], with x as in `HistoryCommittee` and T the linear path's table.

    Args:
        committee: trained.
        linear_table_IR: what each item of a history adds to the linear path; R may be 0.
        linear_vectors_IR: the items' side of it, its weight included.
        positive_threshold: ratings below it are low.
        level_ratings_K: ratings, ascending, at which w is known; straight lines lie between.
        level_weights_K: w there; an event without a rating counts 1.
    """

    table_XW: Tensor
    bias_W: Tensor
    linear_IR: Tensor
    level_ratings_K: Tensor
    level_weights_K: Tensor
    item_vectors_ID: Tensor

    def __init__(
        self,
        committee: HistoryCommittee,
        *,
        linear_table_IR: Tensor,
        linear_vectors_IR: Tensor,
        positive_threshold: float,
        level_ratings_K: Tensor,
        level_weights_K: Tensor,
    ) -> None:
        super().__init__()
        self.num_items = committee.num_items
        self.sees_low = committee.num_channels > 1
        self.positive_threshold = positive_threshold
        # One more row, of zeros, for what pads a history and for what the committee is not shown.
        self.register_buffer("table_XW", _with_zero_row(committee.input_MXH.detach().transpose(0, 1).flatten(1)))
        self.register_buffer("bias_W", committee.input_bias_MH.detach().flatten())
        self.register_buffer("linear_IR", _with_zero_row(linear_table_IR))
        self.register_buffer("level_ratings_K", level_ratings_K)
        self.register_buffer("level_weights_K", level_weights_K)
        members = committee.num_members
        outputs_IW = committee.output_MHI.detach().permute(2, 0, 1).reshape(self.num_items, -1) / members
        bias_I1 = committee.output_bias_MI.detach().mean(0)[:, None]
        self.register_buffer("item_vectors_ID", torch.cat([outputs_IW, linear_vectors_IR, bias_I1], dim=1))

    def forward(self, items_BL: Tensor, ratings_BL: Tensor) -> Tensor:
        """Query vectors [B, D].

        Args:
            items_BL: int64 item rows, padded with I.
            ratings_BL: float32, NaN where there is none.
        """
        low_BL = ratings_BL < self.positive_threshold  # NaN compares false: a click is no complaint
        is_shown_BL = items_BL < self.num_items if self.sees_low else (items_BL < self.num_items) & ~low_BL
        channel_BL = self.num_items * low_BL if self.sees_low else torch.zeros_like(items_BL)
        rows_BL = torch.where(is_shown_BL, items_BL + channel_BL, self.table_XW.shape[0] - 1)
        length_B1 = is_shown_BL.sum(1, keepdim=True).clamp(min=1).to(self.table_XW.dtype)
        hidden_BW = torch.tanh(self.table_XW[rows_BL].sum(1) / length_B1 + self.bias_W)
        linear_BLR = self.linear_IR[torch.where(is_shown_BL, items_BL, self.num_items)]
        linear_BR = (self._weights(ratings_BL)[..., None] * linear_BLR).sum(1)
        return torch.cat([hidden_BW, linear_BR, torch.ones_like(length_B1)], dim=1)

    def _weights(self, ratings_BL: Tensor) -> Tensor:
        """The w of each event [B, L]: from level to level, the share of the step that the rating has climbed."""
        steps_K = self.level_ratings_K.diff()
        climbed_BLK = ((ratings_BL[..., None] - self.level_ratings_K[:-1]) / steps_K).clamp(0.0, 1.0)
        weights_BL = self.level_weights_K[0] + (climbed_BLK * self.level_weights_K.diff()).sum(-1)
        return torch.where(ratings_BL.isnan(), torch.ones_like(ratings_BL), weights_BL)


def _with_zero_row(table_XD: Tensor) -> Tensor:
    return torch.cat([table_XD, table_XD.new_zeros(1, table_XD.shape[1])])
