"""Two towers over one body: a text as a query, and a text as a document (Huang et al. 2013, DSSM).

Shapes: B texts, L tokens of the longest, E width of the body, D dimensions.
"""

from __future__ import annotations

from torch import Tensor, nn


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
