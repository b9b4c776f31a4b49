"""Two towers over one body: a text as a query, and a text as a document (Huang et al. 2013, DSSM).

Shapes: B texts, L tokens of the longest, E width of the body, R rank, D dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.models.layers import normal, with_dropout


class DualEncoder(nn.Module):
    """What is exported: score(query, document) = ⟨queries, documents⟩.

    Args:
        body: tokens [B, L] to vectors [B, E].
        query_head: vectors [B, E] to query vectors [B, D].
        document_head: the same for documents.
    """

    def __init__(self, body: nn.Module, query_head: nn.Module, document_head: nn.Module) -> None:
        super().__init__()
        self.body, self.query_head, self.document_head = body, query_head, document_head

    def forward(self, tokens_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Query vectors and document vectors, both float32 [B, D]."""
        vectors_BE = self.body(tokens_BL)
        return self.query_head(vectors_BE), self.document_head(vectors_BE)


class ResidualHead(nn.Module):
    """x + (x A) B, which starts as the identity: weight decay pulls it back to what the body says.

    Args:
        embedding_size: E.
        rank: R; 0 leaves vectors as they are.
        dropout: share of the R components that training switches off.
        generator: the source of the start.
    """

    def __init__(self, *, embedding_size: int, rank: int, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.dropout = dropout
        self.down_ER = normal(embedding_size, rank, scale=embedding_size**-0.5, generator=generator)
        self.up_RE = nn.Parameter(torch.zeros(rank, embedding_size))

    def forward(self, vectors_BE: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Vectors of the same width; a generator switches components off, in training."""
        return vectors_BE + with_dropout(vectors_BE @ self.down_ER, self.dropout, generator) @ self.up_RE


class WithConstant(nn.Module):
    """A head whose vectors get one more dimension, which is the same for all: where a document's bias meets the query.

    Args:
        head: vectors [B, E] to vectors [B, E].
        constant: the last dimension.
    """

    def __init__(self, head: nn.Module, constant: float) -> None:
        super().__init__()
        self.head, self.constant = head, constant

    def forward(self, vectors_BE: Tensor) -> Tensor:
        """Vectors [B, E + 1]."""
        return torch.cat([self.head(vectors_BE), torch.full_like(vectors_BE[:, :1], self.constant)], dim=1)
