"""The discriminator of VAE/GAN, whose features measure how alike two bags are (Larsen et al. 2016, arXiv 1512.09300).

Encoder and decoder are those of any variational autoencoder of bags. A bag is a user's items as well as a document's words: counts, of
which the generated ones are no whole numbers.

Shapes: B rows in the batch, I entries of a bag, M members, H hidden units of a layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

_INPUT_SCALE = 0.1
"""Standard deviation of the first weights: a bag divided by the root of its length has norm 1 or so, whatever I is."""


class Verdict(NamedTuple):
    """What the discriminator has to say of some bags.

    Attributes:
        features_MBH: Dis_l(x), the hidden units of the l-th layer.
        logits_MB: of Dis(x), the probability that the bag is real.
    """

    features_MBH: Tensor
    logits_MB: Tensor


class BagDiscriminator(nn.Module):
    """Dis(x): tanh layers over a bag divided by the root of its length, one discriminator for each member.

    Args:
        num_entries: I.
        num_members: M.
        hidden_sizes: units of each layer.
        similarity_layer: l, from 1: the layer whose units are the features.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"weights.0": 1}

    def __init__(
        self,
        *,
        num_entries: int,
        num_members: int,
        hidden_sizes: Sequence[int],
        similarity_layer: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        assert 1 <= similarity_layer <= len(hidden_sizes)
        self.similarity_layer = similarity_layer
        sizes = [num_entries, *hidden_sizes, 1]
        scales = [_INPUT_SCALE] + [1.0 / math.sqrt(inputs) for inputs in sizes[1:-1]]
        self.weights = nn.ParameterList(
            scale * torch.randn(num_members, inputs, outputs, generator=generator)
            for inputs, outputs, scale in zip(sizes[:-1], sizes[1:], scales, strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(num_members, 1, outputs) for outputs in sizes[1:])

    def forward(self, bags_MBI: Tensor) -> Verdict:
        """Features and logits of bags whose entries are at least 0; they need not be whole numbers."""
        hidden = bags_MBI / bags_MBI.sum(dim=-1, keepdim=True).clamp(min=1.0).sqrt()
        features = hidden
        last = len(self.weights)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True), 1):
            hidden = torch.baddbmm(bias, hidden, weight)
            if layer < last:
                hidden = torch.tanh(hidden)
            if layer == self.similarity_layer:
                features = hidden
        return Verdict(features, hidden[..., 0])
