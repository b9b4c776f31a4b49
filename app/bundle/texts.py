"""Texts to vectors: a tokenizer and an ONNX graph with an output for queries and one for documents.

Shapes: B texts, L tokens of the longest, D dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from app.bundle.graphs import Graph

PADDING = 0
"""The token that fills up short texts; it stands for nothing, in every tokenizer here."""

_CELLS = 2**14
"""Tokens in one run of the graph, padding included."""


class TextEncoder:
    """A dual encoder: score(query, document) = ⟨queries(query), documents(document)⟩.

    The graph's input is `tokens` int64 [B, L], filled up with `PADDING`; its outputs are `queries` and `documents`, float32 [B, D], of
    which a caller takes one. A text's vector does not depend on what it is encoded together with, but for the last bits of rounding.

    Args:
        graph: a path, or the serialised graph.
        tokenizer: a path, or the content, of a `tokenizer.json` without padding or truncation.
        query_tokens, document_tokens: where texts are cut off, special tokens included.
    """

    INPUTS = ("tokens",)
    OUTPUTS = ("queries", "documents")

    def __init__(self, graph: Path | bytes, tokenizer: Path | str, *, query_tokens: int, document_tokens: int) -> None:
        self.graph = Graph(graph)
        self.dim = int(self.graph.session.get_outputs()[0].shape[-1])
        self.query_tokens, self.document_tokens = query_tokens, document_tokens
        self._tokenizer_json = tokenizer.read_text(encoding="utf-8") if isinstance(tokenizer, Path) else tokenizer
        self._for_queries = _cutting(self._tokenizer_json, query_tokens)
        self._for_documents = _cutting(self._tokenizer_json, document_tokens)

    @property
    def tokenizer_json(self) -> str:
        """The tokenizer as it is kept in `tokenizer.json`."""
        return self._tokenizer_json

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """Query vectors, float32 [B, D]; each text is encoded by itself, so that an answer does not depend on its neighbours."""
        vectors_BD = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors_BD[row] = self._run("queries", [self._for_queries.encode(text).ids])[0]
        return vectors_BD

    def encode_documents(self, texts: Sequence[str]) -> np.ndarray:
        """Document vectors, float32 [B, D]; texts of like length are encoded together."""
        vectors_BD = np.zeros((len(texts), self.dim), dtype=np.float32)
        for rows, tokens in token_batches([self._for_documents.encode(text).ids for text in texts], _CELLS):
            vectors_BD[rows] = self._run("documents", tokens)
        return vectors_BD

    def _run(self, output: str, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        vectors_BD: np.ndarray = self.graph.session.run([output], {"tokens": padded_tokens(tokens)})[0]
        return vectors_BD


def padded_tokens(tokens: Sequence[Sequence[int]]) -> np.ndarray:
    """The batch as a rectangle, int64 [B, L] with L at least 1."""
    width = max(1, max(map(len, tokens), default=1))
    tokens_BL = np.full((len(tokens), width), PADDING, dtype=np.int64)
    for row, ids in enumerate(tokens):
        tokens_BL[row, : len(ids)] = ids
    return tokens_BL


def token_batches(tokens: Sequence[Sequence[int]], cells: int = _CELLS) -> Iterator[tuple[np.ndarray, list[Sequence[int]]]]:
    """Batches of texts of like length, at most so many cells each, the longest first: their places, and their tokens."""
    order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row]))
    start = 0
    while start < len(order):
        size = max(1, cells // max(1, len(tokens[order[start]])))
        rows = order[start : start + size]
        yield np.array(rows, dtype=np.int64), [tokens[row] for row in rows]
        start += size


def _cutting(tokenizer_json: str, most: int) -> Tokenizer:
    # A table of it that is damaged ends the whole process, not only the reading (tokenizers 0.23).
    if _has_table(json.loads(tokenizer_json)):
        raise ValueError("the tokenizer has a normalizer of type Precompiled, which is not read")
    tokenizer = Tokenizer.from_str(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return tokenizer


def _has_table(part: Any) -> bool:
    if isinstance(part, dict):
        return part.get("type") == "Precompiled" or any(map(_has_table, part.values()))
    return isinstance(part, list) and any(map(_has_table, part))
