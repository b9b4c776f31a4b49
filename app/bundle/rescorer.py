"""The second stage of a ranker whose own score is no inner product: an ONNX graph over the candidates that the index found.

Shapes: B queries, C candidates, D dimensions of the index.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.bundle.graphs import Graph

_CELLS = 2**21
"""Queries times candidates in one run of the graph; what it needs for each is the graph's affair."""


class OnnxRescorer:
    """An ONNX graph from queries and item rows to the ranker's own scores, and to the ratings that it expects.

    The graph's inputs are `queries` float32 [B, D] and `items` int64 [C]; its outputs are `scores` and `ratings`, float64 [B, C]. It
    computes in double precision, so that an item's score does not depend on which others it is asked for together with.

    Args:
        graph: a path, or the serialised graph.
    """

    INPUTS = ("queries", "items")
    OUTPUTS = ("scores", "ratings")

    def __init__(self, graph: Path | bytes) -> None:
        self.graph = Graph(graph)
        self.dim = int(self.graph.session.get_inputs()[0].shape[-1])

    def scores(self, queries_BD: np.ndarray, items_C: np.ndarray) -> np.ndarray:
        """The ranker's own scores of some items for every query, float64 [B, C]."""
        return self._run("scores", queries_BD, items_C)

    def ratings(self, queries_BD: np.ndarray, items_C: np.ndarray) -> np.ndarray:
        """The ratings that it expects, in the data's own unit, float64 [B, C]."""
        return self._run("ratings", queries_BD, items_C)

    def _run(self, output: str, queries_BD: np.ndarray, items_C: np.ndarray) -> np.ndarray:
        if not len(queries_BD) or not len(items_C):
            return np.zeros((len(queries_BD), len(items_C)))
        width = max(1, _CELLS // len(items_C))
        items_C = np.ascontiguousarray(items_C, dtype=np.int64)
        parts = [
            self.graph.session.run([output], {"queries": queries_BD[start : start + width], "items": items_C})[0]
            for start in range(0, len(queries_BD), width)
        ]
        return np.concatenate(parts)
