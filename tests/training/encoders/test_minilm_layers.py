"""Means of several layers: the last one is the sentence vector, padding changes nothing, and the cache gives back what was computed.

Shapes: N texts, B texts in a batch, E width, F features.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from training.encoders import minilm
from training.encoders.minilm_layers import LAYERS, NUM_FEATURES, LayerMeans, encode_layers
from training.models.bert import SentenceBert

TEXTS = ["7 8 9", "3", "7 8 9 10 11 12", "3"]


def small_bert() -> SentenceBert:
    return SentenceBert(
        num_tokens=50,
        num_positions=16,
        embedding_size=minilm.EMBEDDING_SIZE,
        intermediate_size=8,
        num_layers=6,
        num_heads=4,
        generator=torch.Generator().manual_seed(0),
    ).eval()


@pytest.fixture(autouse=True)
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A small network in place of the published one, a cache of the test's own; the list counts how often it was loaded."""
    counted: list[int] = []

    def load() -> SentenceBert:
        counted.append(1)
        return small_bert()

    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0} | {str(word): word for word in range(1, 50)}, unk_token="1"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    monkeypatch.setenv("IRGAN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(minilm, "load", load)
    monkeypatch.setattr(minilm, "tokenizer_json", tokenizer.to_str)
    return counted


@torch.no_grad()
def test_the_last_layer_comes_first_and_is_the_sentence_vector() -> None:
    bert = small_bert()
    tokens_BL = torch.tensor([[7, 8, 9, 0], [3, 4, 5, 6]])
    means_BF = LayerMeans(bert)(tokens_BL)
    assert means_BF.shape == (2, NUM_FEATURES) and LAYERS[0] == 6
    torch.testing.assert_close(means_BF[:, : minilm.EMBEDDING_SIZE], bert(tokens_BL))
    lengths = means_BF.view(2, len(LAYERS), -1).norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones(2, len(LAYERS)))


@torch.no_grad()
def test_a_lower_layer_is_the_sentence_vector_of_the_network_without_those_above() -> None:
    """Cut off after the layer, the network's own mean is that layer's."""
    whole, cut = small_bert(), small_bert()
    cut.layers = cut.layers[:4]
    tokens_BL = torch.tensor([[7, 8, 9, 10]])
    torch.testing.assert_close(LayerMeans(whole)(tokens_BL)[:, 2 * minilm.EMBEDDING_SIZE :], cut(tokens_BL))


@torch.no_grad()
def test_padding_changes_nothing_and_no_token_is_zero() -> None:
    module = LayerMeans(small_bert())
    padded_BF = module(torch.tensor([[7, 8, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0]]))
    torch.testing.assert_close(padded_BF[:1], module(torch.tensor([[7, 8]])))
    assert not padded_BF[2].any()


def test_vectors_are_computed_once(loaded: list[int]) -> None:
    """The second time they come from the cache, to the last bit; equal texts have equal vectors."""
    first_NF = encode_layers(TEXTS, max_tokens=8)
    np.testing.assert_array_equal(encode_layers(TEXTS, max_tokens=8), first_NF)
    assert loaded == [1]
    np.testing.assert_array_equal(first_NF[1], first_NF[3])
    assert not np.array_equal(encode_layers(TEXTS, max_tokens=4)[2], first_NF[2])
    assert loaded == [1, 1]
    assert encode_layers([], max_tokens=8).shape == (0, NUM_FEATURES)


@pytest.mark.parametrize("content", [b"", b"nonsense", "cut"])
def test_a_damaged_file_is_computed_again(
    content: bytes | str, tmp_path: Path, loaded: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    first_NF = encode_layers(TEXTS, max_tokens=8)
    (path,) = (tmp_path / "vectors").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-100] if isinstance(content, str) else content)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(encode_layers(TEXTS, max_tokens=8), first_NF)
    assert loaded == [1, 1] and "is damaged" in caplog.text
