"""What several layers of all-MiniLM-L6-v2 say of a text: means of their token vectors.

The last layer's mean is the published sentence vector; the layers below keep what training for likeness has thrown away, such as what
is asked for.

Shapes: N texts, B texts in a batch, L tokens of the longest, E width of a token, F = `NUM_FEATURES`.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Sequence

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from app.bundle import write_file
from app.bundle.texts import padded_tokens, token_batches
from training.data.fetch import cache_dir
from training.encoders import minilm
from training.models.bert import PADDING, SentenceBert

_log = logging.getLogger(__name__)

LAYERS = (6, 5, 4)
"""From the last one down."""
NUM_FEATURES = len(LAYERS) * minilm.EMBEDDING_SIZE
"""F."""

_ARITHMETIC = "1"
"""To be changed with anything here that changes the vectors."""
_TEXTS_PER_FILE = 2048
_CELLS = 2**12
_MASKED = -1e9


class LayerMeans(nn.Module):
    """The means of the token vectors of `LAYERS`, each scaled to length 1, side by side."""

    def __init__(self, bert: SentenceBert) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Vectors, [B, F]; zeros for a text without a token."""
        bert = self.bert
        shown_BL1 = (tokens_BL != PADDING).unsqueeze(2).to(bert.tokens_TE.dtype)
        states_BLE = functional.embedding(tokens_BL, bert.tokens_TE) + bert.positions_LE[: tokens_BL.shape[1]] + bert.segment_E
        states_BLE = bert.norm(states_BLE)
        mask_B11L = ((1.0 - shown_BL1) * _MASKED).transpose(1, 2).unsqueeze(1)
        means = {}
        for number, layer in enumerate(bert.layers, start=1):
            states_BLE = layer(states_BLE, mask_B11L)
            if number in LAYERS:
                means[number] = functional.normalize((states_BLE * shown_BL1).sum(dim=1), dim=1)
        return torch.cat([means[number] for number in LAYERS], dim=1)


def encode_layers(
    texts: Sequence[str], *, max_tokens: int, device: torch.device | None = None, progress: bool = False
) -> np.ndarray:
    """Vectors of `LayerMeans`, float32 [N, F]; from the cache, as far as it has them.

    Args:
        texts: equal ones are encoded once.
        max_tokens: where texts are cut off, special tokens included.
        device: where to compute; None for the CPU.
        progress: a bar on stderr, if there is anything to compute.

    Raises:
        MissingExtra: the weights are not here, and the cache does not have all vectors.
        DataError: the weights are damaged.
    """
    place_of = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    distinct = list(place_of)
    chunks = [distinct[start : start + _TEXTS_PER_FILE] for start in range(0, len(distinct), _TEXTS_PER_FILE)]
    found = [_read(chunk, max_tokens) for chunk in chunks]
    missing = [number for number, vectors_NF in enumerate(found) if vectors_NF is None]
    if missing:
        tokenizer = Tokenizer.from_str(minilm.tokenizer_json())
        tokenizer.enable_truncation(max_tokens)
        module = LayerMeans(minilm.load()).to(device or torch.device("cpu"))
        with Progress(console=Console(stderr=True), disable=not progress) as bar:
            for number in bar.track(missing, description="encoding texts"):
                found[number] = _encode(module, tokenizer, chunks[number], device or torch.device("cpu"))
                _write(chunks[number], max_tokens, found[number])
    whole = [vectors_NF for vectors_NF in found if vectors_NF is not None]
    all_NF = np.concatenate(whole) if whole else np.zeros((0, NUM_FEATURES), dtype=np.float32)
    return all_NF[np.array([place_of[text] for text in texts], dtype=np.int64)]


@torch.inference_mode()
def _encode(module: LayerMeans, tokenizer: Tokenizer, texts: Sequence[str], device: torch.device) -> np.ndarray:
    vectors_NF = np.zeros((len(texts), NUM_FEATURES), dtype=np.float32)
    tokens = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    for rows, batch in token_batches(tokens, _CELLS):
        vectors_NF[rows] = module(torch.from_numpy(padded_tokens(batch)).to(device)).cpu().numpy()
    return vectors_NF


def _digest(texts: Sequence[str], max_tokens: int) -> str:
    digest = hashlib.sha256(f"layers {_ARITHMETIC} {LAYERS} {minilm.EMBEDDING_SIZE} {max_tokens} {len(texts)}".encode())
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


def _read(texts: Sequence[str], max_tokens: int) -> np.ndarray | None:
    """What `_write` wrote; None where there is nothing, or nothing sound."""
    path = cache_dir() / "vectors" / f"{_digest(texts, max_tokens)}.npy"
    try:
        vectors_NF: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        return None
    except (ValueError, EOFError, OSError):
        vectors_NF = np.zeros(0)
    if vectors_NF.shape == (len(texts), NUM_FEATURES) and np.isfinite(vectors_NF).all():
        return vectors_NF
    _log.warning("%s is damaged; its %d texts are encoded again", path, len(texts))
    return None


def _write(texts: Sequence[str], max_tokens: int, vectors_NF: np.ndarray | None) -> None:
    path = cache_dir() / "vectors" / f"{_digest(texts, max_tokens)}.npy"
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(vectors_NF), allow_pickle=False)
    try:
        write_file(path, buffer.getvalue())
    except OSError as error:  # a disk that is full costs time the next time, and nothing now
        _log.warning("%s cannot be written: %s; these vectors are not kept", path, error.strerror)
