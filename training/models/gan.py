"""The two players of a game on preference vectors: what a person would like, given a part of what they liked.

Chae et al. 2018 (CFGAN), with the history as the condition. Shapes: B histories, I items, M members, H hidden units, W = M · H,
D dimensions of the index.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from training.models.layers import normal, with_dropout

_INPUT_SCALE = 0.1
_OUTPUT_SCALE = 0.05
"""Standard deviations of the first weights: inputs are averages over a history, so they may be larger."""
_JUDGE_SCALE = 0.01
"""Of the discriminator's weights of preferences: at first it cannot tell."""


class PreferenceGenerator(nn.Module):
    """G: M networks, trained at once, that each say how much a person would like every item.

    Member m gives item j the logit v_mj · tanh(b_m + x W_m) + a_mj with x the history divided by its length. There is no noise
    vector, as in CFGAN; what is random in training is dropout.

    Args:
        num_items: I.
        num_members: M.
        hidden_size: H.
        dropout: share of hidden units that training switches off.
        output_bias_I: where the item biases start.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_MIH": 1, "output_MHI": 2, "output_bias_MI": 1}

    def __init__(
        self,
        *,
        num_items: int,
        num_members: int,
        hidden_size: int,
        dropout: float,
        output_bias_I: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.input_MIH = normal(num_members, num_items, hidden_size, scale=_INPUT_SCALE, generator=generator)
        self.input_bias_MH = nn.Parameter(torch.zeros(num_members, hidden_size))
        self.output_MHI = normal(num_members, hidden_size, num_items, scale=_OUTPUT_SCALE, generator=generator)
        self.output_bias_MI = nn.Parameter(output_bias_I.repeat(num_members, 1))

    def forward(self, history_MBI: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits of every member, [M, B, I].

        Args:
            history_MBI: 1 where the item is in the history, another history for every member; or [B, I], the same for all.
            generator: switches hidden units off, in training.
        """
        length_MB1 = history_MBI.sum(dim=-1, keepdim=True).clamp(min=1.0)
        hidden_MBH = torch.tanh(history_MBI / length_MB1 @ self.input_MIH + self.input_bias_MH[:, None, :])
        hidden_MBH = with_dropout(hidden_MBH, self.dropout, generator)
        return torch.baddbmm(self.output_bias_MI[:, None, :], hidden_MBH, self.output_MHI)

    def item_vectors(self) -> Tensor:
        """What `GeneratorHead`'s queries are multiplied with for the mean of the members' logits, [I, W + 1]."""
        num_members, _, num_items = self.output_MHI.shape
        outputs_IW = self.output_MHI.detach().permute(2, 0, 1).reshape(num_items, -1) / num_members
        return torch.cat([outputs_IW, self.output_bias_MI.detach().mean(0)[:, None]], dim=1)

    def table(self) -> Tensor:
        """What each item of a history adds to the hidden layers, [1, I, W]."""
        return self.input_MIH.detach().transpose(0, 1).flatten(1)[None]


class GeneratorHead(nn.Module):
    """From the sums of `PreferenceGenerator.table` over a history to the query: the members' hidden layers, and 1 for the bias."""

    bias_W: Tensor

    def __init__(self, trained: PreferenceGenerator) -> None:
        super().__init__()
        self.register_buffer("bias_W", trained.input_bias_MH.detach().flatten())

    def forward(self, sums_BW: Tensor, lengths_B1: Tensor) -> Tensor:
        """Query vectors, [B, W + 1]."""
        hidden_BW = torch.tanh(sums_BW / lengths_B1.clamp(min=1.0) + self.bias_W)
        return torch.cat([hidden_BW, torch.ones_like(lengths_B1)], dim=1)


class Taste(NamedTuple):
    """What a discriminator expects of the person who had a history.

    Attributes:
        weights_MBI: o_j · g(x) + b_j of every item.
        offsets_MB: w · g(x) + c.
    """

    weights_MBI: Tensor
    offsets_MB: Tensor


class PreferenceDiscriminator(nn.Module):
    """D: one judge a member, of whether a preference vector belongs to the person who had the history.

    f(v | x) = Σ_j v_j (o_j · g(x) + b_j) / Σ_j v_j + w · g(x) + c with g = tanh(d + x A), x the history divided by its length, and
    both sums over the entries that are shown. A projection discriminator (Miyato and Koyama 2018) on the mean preferred item: for
    one item drawn from either side, the best logit log p_data(j|x) − log p_model(j|x) has this form.

    Args:
        num_items: I.
        num_members: M.
        hidden_size: H.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_MIH": 1, "output_MHI": 2, "output_bias_MI": 1}

    def __init__(self, *, num_items: int, num_members: int, hidden_size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.input_MIH = normal(num_members, num_items, hidden_size, scale=_INPUT_SCALE, generator=generator)
        self.input_bias_MH = nn.Parameter(torch.zeros(num_members, hidden_size))
        self.output_MHI = normal(num_members, hidden_size, num_items, scale=_JUDGE_SCALE, generator=generator)
        self.output_bias_MI = nn.Parameter(torch.zeros(num_members, num_items))
        self.history_MH1 = nn.Parameter(torch.zeros(num_members, hidden_size, 1))
        self.bias_M1 = nn.Parameter(torch.zeros(num_members, 1))

    def forward(self, history_MBI: Tensor) -> Taste:
        """What is thought of every item, given the history; `verdicts` of any number of vectors follow from it.

        Args:
            history_MBI: 1 where the item is in the history, the condition.
        """
        length_MB1 = history_MBI.sum(dim=-1, keepdim=True).clamp(min=1.0)
        hidden_MBH = torch.tanh(history_MBI / length_MB1 @ self.input_MIH + self.input_bias_MH[:, None, :])
        weights_MBI = torch.baddbmm(self.output_bias_MI[:, None, :], hidden_MBH, self.output_MHI)
        return Taste(weights_MBI, (hidden_MBH @ self.history_MH1)[..., 0] + self.bias_M1)

    @staticmethod
    def verdicts(taste: Taste, vectors_MBI: Tensor, mask_MBI: Tensor) -> Tensor:
        """Logits f of every member, [M, B].

        Args:
            taste: of the same histories.
            vectors_MBI: the preferences to be judged.
            mask_MBI: 1 for the entries that are shown; the others influence nothing.
        """
        shown_MBI = vectors_MBI * mask_MBI
        fits_MB = (shown_MBI * taste.weights_MBI).sum(dim=-1) / shown_MBI.sum(dim=-1).clamp(min=1.0)
        logits_MB: Tensor = fits_MB + taste.offsets_MB
        return logits_MB
