"""The part of a text that answers a query best, with the query's words marked."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from app.bundle import Analyzer

_WIDTH = 240
"""Characters of a snippet, about two lines."""
_READ = 20_000
"""Characters of a text that are looked at; a snippet from further down helps nobody to judge a document."""


def snippet(text: str, query: str, analyzer: Analyzer, weight: Callable[[str], float], *, width: int = _WIDTH) -> str:
    """A stretch of the text as HTML: escaped, the words that stand for a term of the query between `<mark>` and `</mark>`.

    The stretch is the one whose distinct matching terms weigh most, the earliest of those; the text's beginning where none matches.

    Args:
        text: of the document.
        query: what was searched for.
        analyzer: that of the index.
        weight: of a term, such as its idf.
        width: in characters, before escaping.
    """
    wanted = set(analyzer.terms(query))
    text = text[:_READ]
    places = [place for place in analyzer.places(text) if place[2] in wanted] if wanted else []
    start = _start(places, weight, width)
    end = min(len(text), start + width)
    start, end = _whole_words(text, start, end)
    parts, position = ["… " if start else ""], start
    for first, last, _ in places:
        if first < position or last > end:
            continue
        parts += [escape(text[position:first], quote=False), "<mark>", escape(text[first:last], quote=False), "</mark>"]
        position = last
    parts += [escape(text[position:end], quote=False), " …" if end < len(text) else ""]
    return " ".join("".join(parts).split())


def _start(places: list[tuple[int, int, str]], weight: Callable[[str], float], width: int) -> int:
    """Where the best stretch begins: a little before its first match."""
    best, best_weight, left = 0, 0.0, 0
    held: dict[str, int] = {}
    weights = {term: weight(term) for _, _, term in places}
    for _, last, term in places:
        held[term] = held.get(term, 0) + 1
        while last - places[left][0] > width and places[left][1] < last:
            dropped = places[left][2]
            held[dropped] -= 1
            if not held[dropped]:
                del held[dropped]
            left += 1
        total = sum(weights[one] for one in held)
        if total > best_weight:
            best, best_weight = max(0, places[left][0] - width // 6), total
    return best


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch without the halves of words at its ends, where there is a blank near them."""
    if start:
        blank = text.find(" ", start, start + 30)
        start = start if blank < 0 else blank + 1
    if end < len(text):
        blank = text.rfind(" ", end - 30, end)
        end = end if blank < 0 else blank
    return start, end
