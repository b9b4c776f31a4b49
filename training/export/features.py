"""From a torch module over features to the ranker that the service runs.

Shapes: C candidates, F features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from app.bundle import FeatureRanker
from training.export.onnx import export_graph

_TOLERANCE = 1e-4


def export_features(module: nn.Module, *, num_features: int) -> FeatureRanker:
    """Export `module(features_CF) -> scores_C`, float32 to float64, as a `FeatureRanker`, and check it.

    Raises:
        RuntimeError: the graph's answers differ from the module's on random features; a mistake of ours.
    """
    module = module.eval().cpu()
    features_CF = torch.from_numpy(np.random.default_rng(0).normal(size=(5, num_features)).astype(np.float32))
    candidates = torch.export.Dim("candidates", min=1)
    graph = export_graph(module, (features_CF,), FeatureRanker.INPUTS, FeatureRanker.OUTPUTS, dynamic_shapes=({0: candidates},))
    with torch.no_grad():
        expected_C = module(features_CF).numpy()
    ranker = FeatureRanker(graph)
    found_C = ranker.scores(features_CF.numpy())
    assert expected_C.dtype == found_C.dtype == np.float64, "a ranker of features answers in double precision"
    difference = float(np.abs(found_C - expected_C).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected_C).max())):
        raise RuntimeError(f"the exported ranker differs from the trained one by {difference}")
    return ranker
