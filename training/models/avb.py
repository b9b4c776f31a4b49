"""The three networks of adversarial variational Bayes (Mescheder et al. 2017): inference, adversary, decoder.

Shapes: … any leading ones, B histories, X inputs, Z latent dimensions, K noise vectors, S draws, G and H hidden units, J outputs.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

_FIRST_SHAPING = 0.1
"""How far noise is from normal at the start."""
_SMALLEST_VARIANCE = 1e-8
"""A latent dimension without noise would have an infinite density."""


def _linear(num_inputs: int, num_outputs: int, generator: torch.Generator, gain: float = 1.0) -> nn.Linear:
    """A linear layer with a zero bias, and weights of standard deviation gain / √inputs that come from the generator."""
    # Its own first weights would be global randomness.
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, num_inputs, num_outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator) * gain / num_inputs**0.5)
        layer.bias.zero_()
    return layer


class BasisPosterior(nn.Module):
    """z = a_0(x) + Σ_k v_k(ε_k) ⊙ a_k(x): noise vectors of a learned shape with coefficients that depend on x.

    The kind of network that the paper uses with adaptive contrast (its supplementary material): since noise and input meet in a sum
    of products, the moments of z are those of the v_k, which are the same for every x: E[z] = a_0 + Σ_k E[v_k] ⊙ a_k and
    Var[z] = Σ_k Var[v_k] ⊙ a_k². Here v_k(ε) = ε + tanh(ε A_k + b_k) C_k with as many normal numbers as latent dimensions, so that
    draws fill the latent space, and the posterior starts near a Gaussian.

    Args:
        num_inputs: X.
        hidden_size: H, units between x and the coefficients; 0 makes the coefficients linear in x.
        latent_size: Z.
        num_noises: K.
        noise_hidden_size: hidden units of each v_k.
        noise_scale: where the a_k start, so that z's first standard deviation is about √K times it.
        input_scale: standard deviation of the first weights.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_XH": 0}

    def __init__(
        self,
        *,
        num_inputs: int,
        hidden_size: int,
        latent_size: int,
        num_noises: int,
        noise_hidden_size: int,
        noise_scale: float,
        input_scale: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.latent_size, self.num_noises = latent_size, num_noises
        width = (1 + num_noises) * latent_size
        first = hidden_size or width
        self.input_XH = nn.Parameter(input_scale * torch.randn(num_inputs, first, generator=generator))
        self.input_bias_H = nn.Parameter(torch.zeros(first))
        self.coefficients = _linear(hidden_size, width, generator) if hidden_size else None
        with torch.no_grad():
            if self.coefficients is None:
                self.input_XH[:, latent_size:] *= noise_scale
                self.input_bias_H[latent_size:] = noise_scale
            else:
                self.coefficients.weight[latent_size:] *= noise_scale
                self.coefficients.bias[latent_size:] = noise_scale
        inner = torch.randn(num_noises, latent_size, noise_hidden_size, generator=generator) / latent_size**0.5
        self.noise_in_KZG = nn.Parameter(inner)
        self.noise_bias_KG = nn.Parameter(torch.randn(num_noises, noise_hidden_size, generator=generator))
        outer = torch.randn(num_noises, noise_hidden_size, latent_size, generator=generator) / noise_hidden_size**0.5
        self.noise_out_KGZ = nn.Parameter(_FIRST_SHAPING * outer)

    def draw_noise(self, num_draws: int, generator: torch.Generator) -> Tensor:
        """Standard normal numbers for so many draws, [S, K, Z]."""
        return torch.randn(num_draws, self.num_noises, self.latent_size, generator=generator)

    def shaped(self, noise_SKZ: Tensor) -> Tensor:
        """v_k(ε_k) of every draw, [S, K, Z]."""
        hidden_KSG = torch.tanh(noise_SKZ.transpose(0, 1) @ self.noise_in_KZG + self.noise_bias_KG[:, None, :])
        shaped_SKZ: Tensor = noise_SKZ + (hidden_KSG @ self.noise_out_KGZ).transpose(0, 1)
        return shaped_SKZ

    def coefficients_of(self, first: Tensor) -> Tensor:
        """a_0 … a_K from the first layer's weighted sums of inputs, its bias not yet added, […, 1 + K, Z]."""
        first = first + self.input_bias_H
        if self.coefficients is not None:
            first = self.coefficients(torch.tanh(first))
        coefficients: Tensor = first.unflatten(-1, (1 + self.num_noises, self.latent_size))
        return coefficients

    def forward(self, x: Tensor) -> Tensor:
        """The coefficients a_0 … a_K, […, 1 + K, Z], which `place` and `moments` turn into draws and moments."""
        return self.coefficients_of(x @ self.input_XH)

    @staticmethod
    def place(coefficients: Tensor, shaped: Tensor) -> Tensor:
        """Draws of z, […, Z].

        Args:
            coefficients: […, 1 + K, Z].
            shaped: v_k of as many draws, […, K, Z].
        """
        return coefficients[..., 0, :] + (coefficients[..., 1:, :] * shaped).sum(dim=-2)

    @staticmethod
    def moments(coefficients: Tensor, shaped_SKZ: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of z given x, […, Z] both, with the moments of v_k taken over S draws."""
        means_KZ, variances_KZ = shaped_SKZ.mean(dim=0), shaped_SKZ.var(dim=0)
        noisy = coefficients[..., 1:, :]
        mean = coefficients[..., 0, :] + (noisy * means_KZ).sum(dim=-2)
        return mean, ((noisy.square() * variances_KZ).sum(dim=-2) + _SMALLEST_VARIANCE).sqrt()


class Adversary(nn.Module):
    """T(x, z), a logit: above 0 where (x, z) looks like a draw of the posterior, below where it looks like the prior's.

    Args:
        num_inputs: X.
        latent_size: Z.
        hidden_size: H, of both hidden layers.
        input_scale: standard deviation of the first weights of x.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"input_XH": 0}

    def __init__(
        self, *, num_inputs: int, latent_size: int, hidden_size: int, input_scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.input_XH = nn.Parameter(input_scale * torch.randn(num_inputs, hidden_size, generator=generator))
        self.latent = _linear(latent_size, hidden_size, generator)
        self.hidden = _linear(hidden_size, hidden_size, generator)
        self.output = _linear(hidden_size, 1, generator, gain=0.1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """T, […]; x and z need the same leading dimensions, or ones that fit."""
        first = nn.functional.elu(x @ self.input_XH + self.latent(z))
        logits: Tensor = self.output(nn.functional.elu(self.hidden(first)))[..., 0]
        return logits


class Decoder(nn.Module):
    """Logits of p_θ(x|z): one hidden layer, the last layer linear, so that it is an inner product with a vector an output.

    Args:
        latent_size: Z.
        hidden_size: H.
        output_bias_J: where the output biases start.
        output_scale: standard deviation of the first output weights.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"output_HJ": 1, "output_bias_J": 0}

    def __init__(
        self, *, latent_size: int, hidden_size: int, output_bias_J: Tensor, output_scale: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.latent = _linear(latent_size, hidden_size, generator)
        self.output_HJ = nn.Parameter(output_scale * torch.randn(hidden_size, len(output_bias_J), generator=generator))
        self.output_bias_J = nn.Parameter(output_bias_J.clone())

    def hidden(self, z: Tensor) -> Tensor:
        """The hidden layer, […, H]."""
        return torch.tanh(self.latent(z))

    def logits(self, hidden: Tensor) -> Tensor:
        """From the hidden layer to the outputs, […, J]."""
        return hidden @ self.output_HJ + self.output_bias_J

    def forward(self, z: Tensor) -> Tensor:
        """Logits, […, J]."""
        return self.logits(self.hidden(z))


class RankingHead(nn.Module):
    """From the sums of a posterior's first layer over a history to the query: the decoder's hidden layer, and 1 for the bias.

    The hidden layer is averaged over fixed draws of the noise, so that the score, linear in it, is the mean of the decoder's logits.

    Args:
        posterior: trained; its inputs are a history divided by its length.
        decoder: trained.
        noise_SKZ: the draws.
    """

    shaped_SKZ: Tensor

    def __init__(self, posterior: BasisPosterior, decoder: Decoder, noise_SKZ: Tensor) -> None:
        super().__init__()
        self.posterior, self.decoder = posterior, decoder
        with torch.no_grad():
            self.register_buffer("shaped_SKZ", posterior.shaped(noise_SKZ))

    def forward(self, sums_BH: Tensor, lengths_B1: Tensor) -> Tensor:
        """Query vectors, [B, H + 1]."""
        coefficients = self.posterior.coefficients_of(sums_BH / lengths_B1.clamp(min=1.0))
        z_BSZ = self.posterior.place(coefficients[:, None], self.shaped_SKZ)
        return torch.cat([self.decoder.hidden(z_BSZ).mean(dim=1), torch.ones_like(lengths_B1)], dim=1)

    def item_vectors(self) -> Tensor:
        """What queries are multiplied with, [J, H + 1]."""
        return torch.cat([self.decoder.output_HJ.detach().T, self.decoder.output_bias_J.detach()[:, None]], dim=1)
