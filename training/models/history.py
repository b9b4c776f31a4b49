"""History encoders: a committee of small networks that score a catalogue for whoever had a history, and the discriminator beside it.

Shapes: B users in the batch, I items, C input channels, M members, H hidden units, N liked events in the batch, L the longest history.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_INPUT_SCALE = 0.1
_OUTPUT_SCALE = 0.05
"""Standard deviations of the first weights: inputs are averages over a history, so they may be larger."""


class HistoryCommittee(nn.Module):
    """M encoders that are trained at once and answer with the mean of their scores.

    Member m scores item j by v_mj · tanh(b_m + Σ_c x_c W_cm) + a_mj with x the history divided by its length, one channel for what
    was liked and, if wanted, one for what was rated low.

    Args:
        num_items: I.
        num_channels: C, 1 or 2.
        num_members: M.
        hidden_size: H.
        dropout: share of hidden units that training switches off.
        log_popularity_I: where the item biases start.
        generator: of the first weights.
    """

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
        self.num_members, self.hidden_size = num_members, hidden_size
        width = num_members * hidden_size
        self.input_XW = nn.Parameter(_INPUT_SCALE * torch.randn(num_channels * num_items, width, generator=generator))
        self.input_bias_W = nn.Parameter(torch.zeros(width))
        self.output_MHI = nn.Parameter(_OUTPUT_SCALE * torch.randn(num_members, hidden_size, num_items, generator=generator))
        self.output_bias_MI = nn.Parameter(log_popularity_I.repeat(num_members, 1))
        self.dropout = nn.Dropout(dropout)

    def hidden(self, channels_BX: Tensor) -> Tensor:
        """Hidden units [M, B, H].

        Args:
            channels_BX: [B, C · I], 1 where the item is in that channel.
        """
        length_B1 = channels_BX.sum(1, keepdim=True).clamp(min=1.0)
        hidden_BW = torch.tanh(channels_BX @ self.input_XW / length_B1 + self.input_bias_W)
        hidden_MBH: Tensor = hidden_BW.view(-1, self.num_members, self.hidden_size).transpose(0, 1)
        return hidden_MBH

    def forward(self, channels_BX: Tensor) -> Tensor:
        """Logits of every member [M, B, I]."""
        logits_MBI: Tensor = torch.baddbmm(
            self.output_bias_MI[:, None, :], self.dropout(self.hidden(channels_BX)), self.output_MHI
        )
        return logits_MBI


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

    def __init__(
        self, *, num_items: int, num_channels: int, hidden_size: int, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.num_items = num_items
        self.input_XH = nn.Parameter(_INPUT_SCALE * torch.randn(num_channels * num_items, hidden_size, generator=generator))
        self.input_bias_H = nn.Parameter(torch.zeros(hidden_size))
        self.output_HI = nn.Parameter(_OUTPUT_SCALE * torch.randn(hidden_size, num_items, generator=generator))
        self.output_bias_I = nn.Parameter(torch.zeros(num_items))
        self.dropout = nn.Dropout(dropout)

    def forward(self, channels_BX: Tensor) -> Tensor:
        """Scores f of all items for every user [B, I]; for items of the first channel, as if they were not in the history."""
        sums_BH = channels_BX @ self.input_XH
        length_B1 = channels_BX.sum(1, keepdim=True)
        hidden_BH = self.dropout(torch.tanh(sums_BH / length_B1.clamp(min=1.0) + self.input_bias_H))
        scores_BI = hidden_BH @ self.output_HI + self.output_bias_I
        users_N, items_N = channels_BX[:, : self.num_items].nonzero(as_tuple=True)
        others_NH = (sums_BH[users_N] - self.input_XH[items_N]) / (length_B1[users_N] - 1.0).clamp(min=1.0)
        hidden_NH = self.dropout(torch.tanh(others_NH + self.input_bias_H))
        left_out_N = (hidden_NH * self.output_HI.T[items_N]).sum(1) + self.output_bias_I[items_N]
        left_out_BI: Tensor = scores_BI.index_put((users_N, items_N), left_out_N)
        return left_out_BI
