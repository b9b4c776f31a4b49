"""Subwords: every text has tokens, whatever it is written in, and none of them is the padding."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from app.bundle import PADDING
from training.encoders.subwords import learn_subwords

TEXTS = ["glacier caves form in glaciers", "how are glacier caves formed", "a cave in the ice", "ice, ice and Ice"] * 3


def test_frequent_words_become_one_token_and_case_does_not_matter() -> None:
    tokenizer = Tokenizer.from_str(learn_subwords(TEXTS, 400))
    assert len(tokenizer.encode("glacier").ids) == 1
    assert tokenizer.encode("Glacier ICE").ids == tokenizer.encode("glacier ice").ids
    assert len(tokenizer.encode("iceberg").ids) > 1


@pytest.mark.parametrize("text", ["氷河の洞窟", "שלום עולם", "🙂🙂", "\x00\ufffd", "<padding>", "naïve <padding> [PAD]"])
def test_every_text_has_tokens_and_never_the_padding(text: str) -> None:
    """Bytes are the last resort; a text that spells out the name of the padding gets the letters."""
    ids = Tokenizer.from_str(learn_subwords(TEXTS, 400)).encode(text).ids
    assert len(ids) >= len(text.split())
    assert PADDING not in ids


def test_the_vocabulary_is_as_large_as_wanted_or_as_the_texts_allow() -> None:
    sizes = [len(json.loads(learn_subwords(TEXTS, wanted))["model"]["vocab"]) for wanted in (257, 270, 10_000)]
    assert sizes[:2] == [257, 270]
    assert 270 < sizes[2] < 1_000


def test_an_empty_text_has_no_tokens_and_nothing_can_be_learned_from() -> None:
    tokenizer = Tokenizer.from_str(learn_subwords([], 400))
    assert tokenizer.encode("").ids == []
    assert len(tokenizer.encode("ice").ids) == len(" ice")


def test_the_same_texts_give_the_same_file() -> None:
    assert learn_subwords(TEXTS, 300) == learn_subwords(iter(TEXTS), 300)
