"""Sentence-BERT: a BERT encoder whose token vectors are averaged, and the average scaled to length 1.

Devlin et al. 2019 (arXiv 1810.04805), Reimers & Gurevych 2019 (arXiv 1908.10084).

Shapes: B texts, L tokens of the longest, E width of a token, H heads, D = E / H width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.layers import normal

_LAYER_NORM_EPS = 1e-12
_INIT_STD = 0.02
_MASKED = -1e9
"""Added to the attention towards padding; its exponential is exactly 0 in single precision."""
PADDING = 0


class SentenceBert(nn.Module):
    """Tokens to one vector of length 1 a text; padding changes nothing.

    Args:
        num_tokens: in the vocabulary, `PADDING` included.
        num_positions: the longest text, in tokens.
        embedding_size: E.
        intermediate_size: hidden units of each layer's feed-forward half.
        num_layers: transformer layers.
        num_heads: H.
        generator: the source of the start.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        num_positions: int,
        embedding_size: int,
        intermediate_size: int,
        num_layers: int,
        num_heads: int,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.tokens_TE = normal(num_tokens, embedding_size, scale=_INIT_STD, generator=generator)
        self.positions_LE = normal(num_positions, embedding_size, scale=_INIT_STD, generator=generator)
        # BERT knows two kinds of segment; a text by itself is all of the first, so that its vector is a constant.
        self.segment_E = normal(embedding_size, scale=_INIT_STD, generator=generator)
        self.norm = nn.LayerNorm(embedding_size, eps=_LAYER_NORM_EPS)
        self.layers = nn.ModuleList(
            _Layer(embedding_size=embedding_size, intermediate_size=intermediate_size, num_heads=num_heads, generator=generator)
            for _ in range(num_layers)
        )

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Sentence vectors, float32 [B, E]; zeros for a text without a token.

        Args:
            tokens_BL: int64, filled up with `PADDING`; L no more than `num_positions`.
        """
        shown_BL1 = (tokens_BL != PADDING).unsqueeze(2).to(self.tokens_TE.dtype)
        states_BLE = functional.embedding(tokens_BL, self.tokens_TE) + self.positions_LE[: tokens_BL.shape[1]] + self.segment_E
        states_BLE = self.norm(states_BLE)
        mask_B11L = ((1.0 - shown_BL1) * _MASKED).transpose(1, 2).unsqueeze(1)
        for layer in self.layers:
            states_BLE = layer(states_BLE, mask_B11L)
        # Length 1 makes the division by the number of tokens, which the average would need, of no account.
        return functional.normalize((states_BLE * shown_BL1).sum(dim=1), dim=1)


class _Layer(nn.Module):
    """Self-attention and a feed-forward half, each with its residual and its normalisation after it."""

    def __init__(self, *, embedding_size: int, intermediate_size: int, num_heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.projections = _linear(embedding_size, 3 * embedding_size, generator)
        self.attention_output = _linear(embedding_size, embedding_size, generator)
        self.attention_norm = nn.LayerNorm(embedding_size, eps=_LAYER_NORM_EPS)
        self.intermediate = _linear(embedding_size, intermediate_size, generator)
        self.output = _linear(intermediate_size, embedding_size, generator)
        self.output_norm = nn.LayerNorm(embedding_size, eps=_LAYER_NORM_EPS)

    def forward(self, states_BLE: Tensor, mask_B11L: Tensor) -> Tensor:
        batch, length, width = states_BLE.shape
        heads_BLPHD = self.projections(states_BLE).view(batch, length, 3, self.num_heads, width // self.num_heads)
        query_BHLD, key_BHLD, value_BHLD = heads_BLPHD.permute(2, 0, 3, 1, 4).unbind(0)
        attended_BHLD = functional.scaled_dot_product_attention(query_BHLD, key_BHLD, value_BHLD, attn_mask=mask_B11L)
        attended_BLE = attended_BHLD.transpose(1, 2).reshape(batch, length, width)
        states_BLE = self.attention_norm(states_BLE + self.attention_output(attended_BLE))
        new_BLE: Tensor = self.output_norm(states_BLE + self.output(functional.gelu(self.intermediate(states_BLE))))
        return new_BLE


def _linear(num_inputs: int, num_outputs: int, generator: torch.Generator) -> nn.Linear:
    linear = nn.Linear(num_inputs, num_outputs, device="meta")  # whose own start would draw from the global state
    linear.weight = normal(num_outputs, num_inputs, scale=_INIT_STD, generator=generator)
    linear.bias = nn.Parameter(torch.zeros(num_outputs))
    return linear
