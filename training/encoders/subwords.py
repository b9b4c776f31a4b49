"""A vocabulary of subwords, learned from the texts that are to be searched."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from app.bundle import PADDING

_PADDING_TOKEN = "<padding>"  # noqa: S105 - no password
_LONGEST = 24
"""Bytes in a subword; what is longer is a link or a table, of which no part need be remembered."""


def learn_subwords(texts: Iterable[str], num_tokens: int) -> str:
    """Byte-pair encoding (Sennrich et al. 2016) over the bytes of lower-case words: every text of every script has tokens.

    Args:
        texts: of the collection; nothing else is learned from.
        num_tokens: of the vocabulary at most, `PADDING` and the 256 bytes included.

    Returns:
        The content of a `tokenizer.json` without padding or truncation.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens,
        special_tokens=[_PADDING_TOKEN],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=_LONGEST,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned: dict[str, Any] = json.loads(tokenizer.to_str())
    assert learned["model"]["vocab"][_PADDING_TOKEN] == PADDING
    learned["added_tokens"] = []  # else a text that spells the padding token out would get it
    return json.dumps(learned, ensure_ascii=False)
