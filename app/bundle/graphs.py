"""ONNX graphs: opened the same way everywhere."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

import onnxruntime as ort

_ELSEWHERE = re.compile(rb"\x0a(?:\x08|\x88\x80*\x00)location")
"""The entry that names a tensor's file (onnx.proto: `external_data` of TensorProto): a first field of 8 bytes, its length in any encoding."""


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
        if _names_a_file(source):
            raise ValueError("no ONNX graph that can be run: its weights lie in another file, which nothing vouches for")
        try:
            # What it calls a fallback is the same once more, told on stdout.
            self.session = ort.InferenceSession(wanted, options, providers=["CPUExecutionProvider"], enable_fallback=0)
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


def _names_a_file(source: Path | bytes) -> bool:
    """ONNX Runtime would look for it beside the graph, or in the folder that the process was started in."""
    if isinstance(source, bytes):
        return _ELSEWHERE.search(source) is not None
    with source.open("rb") as file:
        if not source.stat().st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _ELSEWHERE.search(content) is not None
