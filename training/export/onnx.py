"""From a torch module to an ONNX graph that computes the same numbers.

Shapes: B histories, L the longest one, D dimensions.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from app.bundle import Histories, OnnxEncoder

_TOLERANCE = 1e-4


def export_encoder(module: nn.Module, *, num_items: int) -> OnnxEncoder:
    """Export `module(items_BL, ratings_BL) -> vectors_BD` and check the graph against it.

    Args:
        module: reads int64 item rows padded with `num_items`, and float32 ratings, NaN where there is none.
        num_items: the padding row.

    Raises:
        RuntimeError: the graph's answers differ from the module's on random histories; a mistake of ours.
    """
    module = module.eval().cpu()
    example = _example(num_items)
    items_BL, ratings_BL = (torch.from_numpy(array) for array in example.padded(num_items))
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1)
    graph = export_graph(
        module,
        (items_BL, ratings_BL),
        OnnxEncoder.INPUTS,
        (OnnxEncoder.OUTPUT,),
        dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
    )
    encoder = OnnxEncoder(graph, num_items=num_items)
    with torch.no_grad():
        expected_BD = module(items_BL, ratings_BL).numpy()
    difference = float(np.abs(encoder.encode(example) - expected_BD).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected_BD).max())):
        raise RuntimeError(f"the exported encoder differs from the trained one by {difference}")
    return encoder


def export_graph(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    *,
    dynamic_shapes: tuple[dict[int, Any], ...],
) -> bytes:
    """A module in evaluation mode as a serialised ONNX graph; the exporter's own chatter is silenced."""
    # The exporter warns about its own internals and logs each step; neither is news to the person who trains.
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                inputs,
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=dynamic_shapes,
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            graph: bytes = program.model_proto.SerializeToString()
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    return graph


def _example(num_items: int) -> Histories:
    """Random histories: an empty one, a single event, long ones; with and without ratings."""
    rng = np.random.default_rng(0)
    lengths = [0, 1, min(3, num_items), min(20, num_items), min(7, num_items)]
    items = [rng.choice(num_items, size=n, replace=False).tolist() for n in lengths]
    ratings = [rng.choice([1.0, 3.0, 5.0, np.nan], size=n).tolist() for n in lengths]
    return Histories.of(items, ratings)
