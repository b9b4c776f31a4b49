"""From text to the terms that lexical search matches: words, without stop words, reduced to their stems."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Set
from functools import lru_cache, partial
from typing import Any, get_args

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
# Accents that are characters of their own, vowel signs and points belong to the letter before them.
_MARKS = "".join(re.escape(c) for c in map(chr, range(0x10000)) if unicodedata.category(c) in {"Mn", "Mc"})
_LETTER = rf"[^\W{_UNSPACED}]"
_WORD = re.compile(rf"[{_UNSPACED}]+|{_LETTER}(?:{_LETTER}+|[{_MARKS}]+)+")
_ASCII_WORD = re.compile(r"[A-Za-z0-9_]{2,}")
"""The same for plain text, and faster."""
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
_IS_LETTER = re.compile(_LETTER)
_IS_MARK = re.compile(rf"[{_MARKS}]")
_IS_LETTER_OR_MARK = re.compile(rf"{_LETTER}|[{_MARKS}]")
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
        stopwords = frozenset(_STOPWORDS.get(language, ()))
        stemmer = None if language == "none" else Stemmer.Stemmer(language)
        # Of no method of its own: what holds itself is not freed before somebody looks for such circles.
        self._term = lru_cache(maxsize=_CACHED_WORDS)(partial(_reduced, stopwords, stemmer))

    def terms(self, text: str) -> list[str]:
        """The terms of a text in their order, repeated as often as they stand there."""
        return [term for _, _, term in self.places(text)]

    def places(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Each term with the start and the end of what it stands for in the text."""
        for match in _words(text).finditer(text):
            yield from self._places_in(match.group(), match.start())

    def places_of(self, wanted: Set[str], text: str) -> list[tuple[int, int, str]]:
        """Those of `places` whose terms are wanted; much faster where few of the text's words are."""
        term_of = self._term
        words = [word for word in set(_words(text).findall(text)) if (term := term_of(word)) is None or term in wanted]
        places = [place for word in words for start in _starts(word, text) for place in self._places_in(word, start)]
        return sorted(place for place in places if place[2] in wanted)

    def _places_in(self, word: str, start: int) -> Iterable[tuple[int, int, str]]:
        """The terms of one word, or of one stretch of a script without blanks, that starts there."""
        term = self._term(word)
        if term is None:
            return [(start + i, start + min(i + 2, len(word)), word[i : i + 2]) for i in range(max(1, len(word) - 1))]
        return ((start, start + len(word), term),) if term else ()


def _reduced(stopwords: Set[str], stemmer: Any, word: str) -> str | None:
    """The term of a word; empty for a stop word, None for a stretch of a script without blanks, which has many."""
    if _IS_UNSPACED.match(word):
        return None
    word = unicodedata.normalize("NFKC", word).lower()
    if word in stopwords:
        return ""
    stem: str = word if stemmer is None else stemmer.stemWord(word)
    return stem[:_LONGEST_TERM]


def _words(text: str) -> re.Pattern[str]:
    """What finds the words of a text."""
    return _ASCII_WORD if text.isascii() else _WORD


def _starts(word: str, text: str) -> Iterator[int]:
    """Where a word stands in a text by itself, not as a part of a longer one."""
    letter, more = (_IS_UNSPACED, _IS_UNSPACED) if _IS_UNSPACED.match(word) else (_IS_LETTER, _IS_LETTER_OR_MARK)
    start = text.find(word)
    while start >= 0:
        end, before = start + len(word), start - 1
        while before >= 0 and more is not letter and _IS_MARK.match(text, before):
            before -= 1  # marks without a letter before them belong to no word
        if not (before >= 0 and letter.match(text, before)) and not more.match(text, end):
            yield start
        start = text.find(word, end)
