"""From text to the terms that lexical search matches: words, without stop words, reduced to their stems."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import get_args

import bm25s.stopwords
import Stemmer

from app.bundle.manifest import Language

LANGUAGES: tuple[str, ...] = get_args(Language)
"""Those with a stemmer and a list of stop words; `none` keeps every word as it is."""

_STOPWORDS: dict[str, tuple[str, ...]] = {
    language: getattr(bm25s.stopwords, f"STOPWORDS_{'EN' if language == 'english' else language.upper()}")
    for language in LANGUAGES
    if language != "none"
}
# Scripts without blanks between words: Kana, Han and Hangul are matched by pairs of characters.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]+|(?:(?![{_UNSPACED}])\w){{2,}}")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_CACHED_WORDS = 2**17
_LONGEST_TERM = 64
"""Characters; longer words are no words, and would let one document fill the vocabulary."""


class Analyzer:
    """What counts as a term in one language.

    Args:
        language: one of `LANGUAGES`.
    """

    def __init__(self, language: Language) -> None:
        self.language: Language = language
        self._stopwords = frozenset(_STOPWORDS.get(language, ()))
        self._stemmer = None if language == "none" else Stemmer.Stemmer(language)
        self._term = lru_cache(maxsize=_CACHED_WORDS)(self._reduced)

    def terms(self, text: str) -> list[str]:
        """The terms of a text in their order, repeated as often as they stand there."""
        return [term for _, _, term in self.places(text)]

    def places(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Each term with the start and the end of what it stands for in the text."""
        for match in _WORD.finditer(text):
            word, start = match.group(), match.start()
            if _IS_UNSPACED.match(word):
                for offset in range(max(1, len(word) - 1)):
                    yield start + offset, start + min(offset + 2, len(word)), word[offset : offset + 2]
            elif term := self._term(word):
                yield start, match.end(), term

    def _reduced(self, word: str) -> str:
        """The term of a word; empty for a stop word."""
        word = unicodedata.normalize("NFKC", word).lower()
        if word in self._stopwords:
            return ""
        stem: str = word if self._stemmer is None else self._stemmer.stemWord(word)
        return stem[:_LONGEST_TERM]
