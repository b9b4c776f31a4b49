"""The two stages of a ranker whose score is no inner product: a linear first stage that is measured, and the exact rescorer.

Shapes: B queries, C candidates, U users, I items, D dimensions of the index.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import nn

from app.bundle import OnnxRescorer, VectorModel
from training.export.onnx import export_graph

_log = logging.getLogger(__name__)

_TOLERANCE = 1e-6
_EXAMPLES = 5
_TOP = 100
_SMALLEST, _LARGEST = 200, 6400
_FIT_USERS = 2_000
_CELLS = 8_000_000
"""Scores held at once."""
OVERLAP_WANTED = 0.99
"""Of the ranker's own top 100 among the candidates; more candidates are handed on until it is reached."""


def export_rescorer(module: nn.Module, *, dim: int, num_items: int) -> OnnxRescorer:
    """Export `module(queries_BD, items_C) -> (scores_BC, ratings_BC)` and check the graph against it.

    Args:
        module: reads float32 queries and int64 item rows, computes in float64, and gives float64.
        dim: D.
        num_items: I.

    Raises:
        RuntimeError: the graph's answers differ from the module's on random queries in [0, 1); a mistake of ours.
    """
    module = module.eval().cpu()
    rng = np.random.default_rng(0)
    # Between 0 and 1: a coordinate may be a share, and with shares beyond a mix of probabilities is none, whose logarithm may be anything.
    queries_BD = rng.random(size=(_EXAMPLES, dim), dtype=np.float32)
    items_C = rng.permutation(num_items).astype(np.int64)
    inputs = (torch.from_numpy(queries_BD), torch.from_numpy(items_C))
    batch, candidates = torch.export.Dim("batch", min=1), torch.export.Dim("candidates", min=1)
    graph = export_graph(
        module, inputs, OnnxRescorer.INPUTS, OnnxRescorer.OUTPUTS, dynamic_shapes=({0: batch}, {0: candidates})
    )
    rescorer = OnnxRescorer(graph)
    with torch.no_grad():
        expected = module(*inputs)
    for name, found_BC, expected_BC in zip(
        OnnxRescorer.OUTPUTS,
        (rescorer.scores(queries_BD, items_C), rescorer.ratings(queries_BD, items_C)),
        (output.numpy() for output in expected),
        strict=True,
    ):
        assert expected_BC.dtype == found_BC.dtype == np.float64, "a rescorer computes in double precision"
        difference = float(np.abs(found_BC - expected_BC).max())
        if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected_BC).max())):
            raise RuntimeError(f"the exported rescorer's {name} differ from the trained one's by {difference}")
    return rescorer


def fit_first_stage(queries_UD: np.ndarray, scores_UI: np.ndarray, *, ridge: float = 1.0) -> np.ndarray:
    """Item vectors whose inner products with the queries come closest to the ranker's own scores, by ridge regression.

    V = argmin Σ_u ‖s_u − V q_u‖² + λ‖V‖². What of a score is an inner product already is better taken out of `scores_UI` and added to
    the vectors afterwards.

    Args:
        queries_UD: of users to fit on.
        scores_UI: their scores.
        ridge: λ.

    Returns:
        float32 [I, D].
    """
    queries_UD = queries_UD.astype(np.float64)
    penalty_DD = ridge * np.eye(queries_UD.shape[1])
    vectors_DI = np.linalg.solve(queries_UD.T @ queries_UD + penalty_DD, queries_UD.T @ scores_UI.astype(np.float64))
    return np.ascontiguousarray(vectors_DI.T, dtype=np.float32)


def count_candidates(model: VectorModel, queries_BD: np.ndarray) -> tuple[int, float]:
    """How many candidates the first stage should hand on for 100 answers, and how many of the right 100 are then among them.

    Args:
        model: with a rescorer.
        queries_BD: to measure on.

    Returns:
        The smallest number, doubling from 200, with an overlap of `OVERLAP_WANTED`, or the largest worth trying; and its overlap.
    """
    if not len(queries_BD):
        return _SMALLEST, 1.0
    top = min(_TOP, model.num_items)
    width = max(1, _CELLS // model.num_items)
    parts = [_places(model, queries_BD[start : start + width], top) for start in range(0, len(queries_BD), width)]
    places_BK = np.concatenate(parts)
    candidates = _SMALLEST
    while (overlap := float((places_BK < candidates).mean())) < OVERLAP_WANTED and candidates < _LARGEST:
        candidates *= 2
    _log.info("the first stage's %d candidates hold %.3f of the best %d", candidates, overlap, top)
    return candidates, overlap


def _places(model: VectorModel, queries_BD: np.ndarray, top: int) -> np.ndarray:
    """The places from 0 that the first stage gives to each query's own best items, int64 [B, top]."""
    assert model.rescorer is not None
    rows_I = np.arange(model.num_items)
    own_BK = np.argsort(-model.rescorer.scores(queries_BD, rows_I), axis=1, kind="stable")[:, :top]
    order_BI = np.argsort(-model.first_scores(queries_BD), axis=1, kind="stable")
    places_BI = np.empty_like(order_BI)
    np.put_along_axis(places_BI, order_BI, rows_I[None, :], axis=1)
    places_BK: np.ndarray = np.take_along_axis(places_BI, own_BK, axis=1)
    return places_BK


def users_to_fit_on(num_users: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of the users that a first stage is fitted on, all of them or as many as are worth it; ascending, int64."""
    return np.sort(rng.permutation(num_users)[:_FIT_USERS])
