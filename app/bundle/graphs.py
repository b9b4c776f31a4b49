"""ONNX graphs: opened the same way everywhere."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort


class Graph:
    """An ONNX graph that can be run, and its bytes.

    Args:
        source: a path, or the serialised graph.

    Raises:
        ValueError: it is no graph that ONNX Runtime can run.
    """

    def __init__(self, source: Path | bytes) -> None:
        options = ort.SessionOptions()
        # One thread a call: a service gets its parallelism from requests, and sums keep their order.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._source = source
        wanted = source if isinstance(source, bytes) else str(source)
        try:
            self.session = ort.InferenceSession(wanted, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no base of their own
            raise ValueError(f"no ONNX graph that can be run: {error}") from error

    @property
    def signature(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of its inputs and outputs."""
        return (
            tuple(i.name for i in self.session.get_inputs()),
            tuple(o.name for o in self.session.get_outputs()),
        )

    def content(self) -> bytes:
        """The serialised graph."""
        return self._source if isinstance(self._source, bytes) else self._source.read_bytes()
