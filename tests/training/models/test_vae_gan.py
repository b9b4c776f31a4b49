"""The discriminator of bags: its members are apart, its features are of the wanted layer, and how long a bag is says little.

Shapes: B bags, I entries, M members, H units of a layer.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from training.models.vae_gan import BagDiscriminator

I = 7  # noqa: E741 - the legend's letter


def discriminator(layer: int = 1) -> BagDiscriminator:
    random = torch.Generator().manual_seed(0)
    made = BagDiscriminator(num_entries=I, num_members=2, hidden_sizes=(5, 4), similarity_layer=layer, generator=random)
    with torch.no_grad():
        for weights in made.parameters():
            weights.add_(0.5 * torch.randn(weights.shape, generator=random))
    return made


def bags_MBI() -> Tensor:
    counts_MBI = torch.randint(0, 4, (2, 6, I), generator=torch.Generator().manual_seed(1)).float()
    counts_MBI[:, 0] = 0.0
    return counts_MBI


@pytest.mark.parametrize("layer", [1, 2])
def test_features_and_logits_are_those_of_each_member_s_own_layers(layer: int) -> None:
    """Written out: bag / √length through two tanh layers and a line; the features are what comes out of layer l."""
    model, x_MBI = discriminator(layer), bags_MBI()
    with torch.no_grad():
        verdict = model(x_MBI)
        for m in range(2):
            hidden = x_MBI[m] / x_MBI[m].sum(dim=1, keepdim=True).clamp(min=1.0).sqrt()
            outputs = []
            for weight, bias in zip(model.weights, model.biases, strict=True):
                outputs.append(hidden @ weight[m] + bias[m])
                hidden = torch.tanh(outputs[-1])
            torch.testing.assert_close(verdict.features_MBH[m], torch.tanh(outputs[layer - 1]))
            torch.testing.assert_close(verdict.logits_MB[m], outputs[2][:, 0])
    assert torch.isfinite(verdict.logits_MB).all()


def test_generated_bags_need_not_be_whole_numbers_and_carry_gradients() -> None:
    """A distribution times a length is judged like a bag, and every entry of it is felt."""
    bag_MBI = torch.softmax(torch.randn(2, 3, I, generator=torch.Generator().manual_seed(2)), dim=-1).mul(12.0).requires_grad_()
    verdict = discriminator()(bag_MBI)
    (gradient_MBI,) = torch.autograd.grad(verdict.logits_MB.sum(), [bag_MBI])
    assert (gradient_MBI != 0).all()


def test_a_layer_that_does_not_exist_cannot_be_compared() -> None:
    with pytest.raises(AssertionError):
        discriminator(layer=3)
