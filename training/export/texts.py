"""From a torch module over tokens to the text encoder that the service runs.

Shapes: B texts, L tokens of the longest, D dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from app.bundle import PADDING, TextEncoder
from training.export.onnx import export_graph

_TOLERANCE = 1e-4
_LENGTHS = (7, 1, 3, 7)
"""Of the texts that graph and module are compared on; the longest twice, so that no length is a constant of the graph."""


def export_text_encoder(
    module: nn.Module, tokenizer_json: str, *, num_tokens: int, query_tokens: int, document_tokens: int
) -> TextEncoder:
    """Export `module(tokens_BL) -> (queries_BD, documents_BD)` and check the graph against it.

    Args:
        module: reads int64 tokens, filled up with `PADDING`, and gives float32 vectors that do not depend on the padding.
        tokenizer_json: the content of a `tokenizer.json` without padding or truncation.
        num_tokens: in the vocabulary, `PADDING` included.
        query_tokens: where queries are cut off, special tokens included.
        document_tokens: where documents are.

    Raises:
        RuntimeError: the graph's answers differ from the module's on random tokens, or depend on the padding; a mistake of ours.
    """
    module = module.eval().cpu()
    rng = np.random.default_rng(0)
    tokens_BL = np.full((len(_LENGTHS), max(_LENGTHS)), PADDING, dtype=np.int64)
    for row, length in enumerate(_LENGTHS):
        tokens_BL[row, :length] = rng.integers(1, num_tokens, length)
    batch, length_dim = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1)
    tokens = torch.from_numpy(tokens_BL)
    graph = export_graph(
        module, (tokens,), TextEncoder.INPUTS, TextEncoder.OUTPUTS, dynamic_shapes=({0: batch, 1: length_dim},)
    )
    encoder = TextEncoder(graph, tokenizer_json, query_tokens=query_tokens, document_tokens=document_tokens)
    with torch.no_grad():
        expected = [vectors_BD.numpy() for vectors_BD in module(tokens)]
    for output, expected_BD in zip(TextEncoder.OUTPUTS, expected, strict=True):
        bound = _TOLERANCE * max(1.0, float(np.abs(expected_BD).max()))
        whole_BD = encoder.graph.session.run([output], {"tokens": tokens_BL})[0]
        alone_D = encoder.graph.session.run([output], {"tokens": tokens_BL[1:2, :1]})[0][0]
        for what, found, wanted in (
            ("differs from the trained one", whole_BD, expected_BD),
            ("depends on the padding", alone_D, whole_BD[1]),
        ):
            difference = float(np.abs(found - wanted).max())
            if not difference <= bound:
                raise RuntimeError(f"the exported text encoder's output {output} {what}, by {difference}")
    return encoder
