"""QA-CNN: a text as the maxima of convolutions over its subword embeddings (Feng et al. 2015; dos Santos et al. 2016, section 2.1).

Shapes: B texts, L tokens of the longest, T tokens in the vocabulary, E embedding dimensions, F filters of one width, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.models.layers import normal, with_dropout

_EMBEDDING_SCALE = 0.1
_PADDING = 0


class TextCNN(nn.Module):
    """tanh(max over time of W_k · window_k + b_k) for windows of every width k, side by side.

    A window stands around every token; where it reaches beyond the text it sees zeros. What fills a text up is in no maximum, so a
    text's vector does not depend on what it is encoded together with; the vector of a text without tokens is zero.

    Args:
        num_tokens: T, token 0 being padding.
        embedding_size: E.
        widths: tokens in a window.
        num_filters: F, of each width.
        dropout: share of embedding dimensions and of the outputs that training switches off.
        generator: of the first weights.
        embeddings_TE: where the embeddings start, if not at random.
    """

    def __init__(
        self,
        *,
        num_tokens: int,
        embedding_size: int,
        widths: Sequence[int],
        num_filters: int,
        generator: torch.Generator,
        dropout: float = 0.0,
        embeddings_TE: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.dim = len(self.widths) * num_filters
        self.dropout = dropout
        self.embeddings_TE = normal(num_tokens, embedding_size, scale=_EMBEDDING_SCALE, generator=generator)
        if embeddings_TE is not None:
            self.embeddings_TE.data.copy_(embeddings_TE)
        self.filters = nn.ParameterList(
            normal(num_filters, embedding_size, width, scale=(embedding_size * width) ** -0.5, generator=generator)
            for width in self.widths
        )
        self.bias_D = nn.Parameter(torch.zeros(self.dim))

    def forward(self, tokens_BL: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Vectors, each dimension in (−1, 1), [B, D].

        Args:
            tokens_BL: int64, filled up with 0.
            generator: switches units off, in training.
        """
        is_token_B1L = (tokens_BL != _PADDING)[:, None, :]
        embedded_BEL = functional.embedding(tokens_BL, self.embeddings_TE).transpose(1, 2) * is_token_B1L
        embedded_BEL = with_dropout(embedded_BEL, self.dropout, generator)
        maxima = []
        for width, filters_FEW in zip(self.widths, self.filters, strict=True):
            around_BEL = functional.pad(embedded_BEL, ((width - 1) // 2, width // 2))
            matches_BFL = functional.conv1d(around_BEL, filters_FEW)
            maxima.append(matches_BFL.masked_fill(~is_token_B1L, float("-inf")).amax(dim=2))
        vectors_BD = torch.tanh(torch.cat(maxima, dim=1) + self.bias_D)
        # The maximum over no window is −inf, of which tanh makes −1.
        vectors_BD = vectors_BD * is_token_B1L.any(dim=2)
        return with_dropout(vectors_BD, self.dropout, generator)
