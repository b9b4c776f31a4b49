"""A ranker of candidates by their features: an ONNX graph.

Shapes: C candidates, F features.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.bundle.graphs import Graph


class FeatureRanker:
    """An ONNX graph from features to scores, whatever scaling the features need included.

    Its input is `features` float32 [C, F], its output `scores` float64 [C]: a candidate's score depends on its own features alone.

    Args:
        graph: a path, or the serialised graph.
    """

    INPUTS = ("features",)
    OUTPUTS = ("scores",)

    def __init__(self, graph: Path | bytes) -> None:
        self.graph = Graph(graph)
        self.num_features = int(self.graph.session.get_inputs()[0].shape[-1])

    def scores(self, features_CF: np.ndarray) -> np.ndarray:
        """Scores, float64 [C]; the greater, the better."""
        features_CF = np.ascontiguousarray(features_CF, dtype=np.float32)
        if not len(features_CF):
            return np.zeros(0)
        scores_C: np.ndarray = self.graph.session.run(["scores"], {"features": features_CF})[0]
        return scores_C
