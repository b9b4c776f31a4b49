"""Variational autoencoders of bags: a user's items, a document's words, a binary vector.

Kingma & Welling 2014, arXiv 1312.6114; with a softmax over the entries, Liang et al. 2018, arXiv 1802.05814. The networks only give
q(z|x) and the logits of p(x|z): which likelihood stands over the logits is the objective's business. M members are trained at once and
know nothing of each other.

Shapes: B rows in the batch, I entries of a bag, M members, Z latent dimensions, H hidden units of a member, X inputs, Y outputs,
W width of the first layer, D dimensions of the index.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from training.models.layers import with_dropout

_INPUT_SCALE = 0.1
"""Standard deviation of the first weights: inputs are averages over a bag, so it may be larger than 1/√I."""


class Affine(nn.Module):
    """x W_m + b_m for each member m.

    Args:
        num_members: M.
        inputs: X.
        outputs: Y.
        generator: of the first weights.
        scale: their standard deviation; 1/√X if it is left out.
    """

    def __init__(
        self, num_members: int, inputs: int, outputs: int, *, generator: torch.Generator, scale: float | None = None
    ) -> None:
        super().__init__()
        scale = 1.0 / math.sqrt(inputs) if scale is None else scale
        self.weight_MXY = nn.Parameter(scale * torch.randn(num_members, inputs, outputs, generator=generator))
        self.bias_MY = nn.Parameter(torch.zeros(num_members, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """[M, B, Y] of [M, B, X], or of [B, X], which every member sees."""
        if inputs.dim() == 2:
            inputs = inputs.expand(len(self.weight_MXY), -1, -1)
        return torch.baddbmm(self.bias_MY[:, None, :], inputs, self.weight_MXY)


class Encoder(nn.Module):
    """q(z|x) = N(μ(x), diag σ²(x)), the Gaussian posterior of Kingma & Welling 2014, Eq. (9).

    Args:
        num_entries: I.
        num_members: M.
        hidden_size: H tanh units before μ and log σ²; 0 for none, so that both are linear in x.
        embedding_size: Z.
        dropout: share of hidden units that training switches off.
        initial_log_variance: where log σ² starts; below 0 the first codes say more than noise.
        generator: of the first weights.
    """

    def __init__(
        self,
        *,
        num_entries: int,
        num_members: int,
        hidden_size: int,
        embedding_size: int,
        dropout: float,
        initial_log_variance: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = (
            Affine(num_members, num_entries, hidden_size, generator=generator, scale=_INPUT_SCALE) if hidden_size else None
        )
        first = ("hidden",) if hidden_size else ("mean", "log_variance")
        self.item_axes = {f"{layer}.weight_MXY": 1 for layer in first}
        inputs, scale = (hidden_size, None) if hidden_size else (num_entries, _INPUT_SCALE)
        self.mean = Affine(num_members, inputs, embedding_size, generator=generator, scale=scale)
        self.log_variance = Affine(num_members, inputs, embedding_size, generator=generator, scale=scale)
        nn.init.constant_(self.log_variance.bias_MY, initial_log_variance)

    def forward(self, inputs: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """μ and log σ², each [M, B, Z].

        Args:
            inputs: [B, I], or [M, B, I], others for every member.
            generator: switches hidden units off, in training.
        """
        hidden = inputs
        if self.hidden is not None:
            hidden = with_dropout(torch.tanh(self.hidden(inputs)), self.dropout, generator)
        return self.mean(hidden), self.log_variance(hidden)


class Decoder(nn.Module):
    """The logits of p(x|z): linear in z, or in tanh units over z.

    Args:
        num_entries: I.
        num_members: M.
        embedding_size: Z.
        hidden_size: H; 0 for none.
        dropout: share of hidden units that training switches off.
        initial_bias_I: where the logits start, such as the entries' log popularity.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"logits.weight_MXY": 2, "logits.bias_MY": 1}

    def __init__(
        self,
        *,
        num_entries: int,
        num_members: int,
        embedding_size: int,
        hidden_size: int,
        dropout: float,
        initial_bias_I: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.hidden = Affine(num_members, embedding_size, hidden_size, generator=generator) if hidden_size else None
        self.logits = Affine(num_members, hidden_size or embedding_size, num_entries, generator=generator)
        with torch.no_grad():
            self.logits.bias_MY.copy_(initial_bias_I)

    def last_hidden(self, codes_MBZ: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the logits are linear in, [M, B, H] or [M, B, Z]; the generator switches hidden units off, in training."""
        if self.hidden is None:
            return codes_MBZ
        return with_dropout(torch.tanh(self.hidden(codes_MBZ)), self.dropout, generator)

    def forward(self, codes_MBZ: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Logits of every member [M, B, I]."""
        logits_MBI: Tensor = self.logits(self.last_hidden(codes_MBZ, generator))
        return logits_MBI


class Vae(nn.Module):
    """M variational autoencoders.

    Args:
        num_entries: I.
        num_members: M.
        encoder_hidden_size: tanh units of each encoder; 0 for none.
        embedding_size: Z.
        decoder_hidden_size: tanh units of each decoder; 0 for none.
        dropout: share of hidden units that training switches off, in encoder and decoder.
        initial_log_variance: where log σ² of q(z|x) starts.
        initial_bias_I: where the decoder's logits start.
        generator: of the first weights.
    """

    def __init__(
        self,
        *,
        num_entries: int,
        num_members: int,
        encoder_hidden_size: int,
        embedding_size: int,
        decoder_hidden_size: int,
        dropout: float,
        initial_log_variance: float,
        initial_bias_I: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.num_entries, self.num_members, self.embedding_size = num_entries, num_members, embedding_size
        self.encoder = Encoder(
            num_entries=num_entries,
            num_members=num_members,
            hidden_size=encoder_hidden_size,
            embedding_size=embedding_size,
            dropout=dropout,
            initial_log_variance=initial_log_variance,
            generator=generator,
        )
        self.decoder = Decoder(
            num_entries=num_entries,
            num_members=num_members,
            embedding_size=embedding_size,
            hidden_size=decoder_hidden_size,
            dropout=dropout,
            initial_bias_I=initial_bias_I,
            generator=generator,
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [M, B, I] at the mean of q(z|x), which is how a VAE ranks; inputs as the encoder's."""
        mean_MBZ, _ = self.encoder(inputs)
        logits_MBI: Tensor = self.decoder(mean_MBZ)
        return logits_MBI


class VaeQuery(nn.Module):
    """The head of a trained VAE's query, for inputs x divided by their length: the mean of the members' logits is an inner product.

    q = [what every member's logits are linear in, at z = μ(x); 1], and an entry's vector holds its output weights divided by M, and
    the mean of its biases.

    Args:
        vae: trained.
    """

    table_IW: Tensor
    bias_W: Tensor
    item_vectors_ID: Tensor

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae
        first = vae.encoder.mean if vae.encoder.hidden is None else vae.encoder.hidden
        self.register_buffer("table_IW", first.weight_MXY.detach().transpose(0, 1).flatten(1))
        self.register_buffer("bias_W", first.bias_MY.detach().flatten())
        outputs_MYI, bias_MI = vae.decoder.logits.weight_MXY.detach(), vae.decoder.logits.bias_MY.detach()
        vectors_IY = outputs_MYI.flatten(0, 1).T / vae.num_members
        self.register_buffer("item_vectors_ID", torch.cat([vectors_IY, bias_MI.mean(0)[:, None]], dim=1))

    def forward(self, sums_BW: Tensor, lengths_B1: Tensor) -> Tensor:
        """Query vectors [B, D].

        Args:
            sums_BW: the rows of `table_IW` summed over each bag.
            lengths_B1: entries in the bag, counted as often as they are in it.
        """
        first_BW = sums_BW / lengths_B1.clamp(min=1.0) + self.bias_W
        first_MBH = first_BW.unflatten(1, (self.vae.num_members, -1)).transpose(0, 1)
        mean_MBZ = first_MBH if self.vae.encoder.hidden is None else self.vae.encoder.mean(torch.tanh(first_MBH))
        last_MBY = self.vae.decoder.last_hidden(mean_MBZ)
        return torch.cat([last_MBY.transpose(0, 1).flatten(1), torch.ones_like(lengths_B1)], dim=1)
