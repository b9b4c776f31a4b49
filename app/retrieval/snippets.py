"""The part of a text that answers a query best, with the query's words marked."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from app.bundle import Analyzer

_WIDTH = 240
"""Characters of a snippet, about two lines."""
_READ = 20_000
"""Characters of a text that are looked at; a snippet from further down helps nobody to judge a document."""
_LONGEST_END = 30
"""Characters of half a word that are left out at an end."""

_Places = list[tuple[int, int, str]]


def snippet(text: str, weights: Mapping[str, float], analyzer: Analyzer, *, width: int = _WIDTH) -> str:
    """A stretch of the text as HTML: escaped, the words that stand for a term of the query between `<mark>` and `</mark>`.

    The stretch is the one whose distinct matching terms weigh most, the earliest of those; the text's beginning where none matches.

    Args:
        text: of the document.
        weights: of the query's terms, such as their idf.
        analyzer: that of the index.
        width: in characters, before escaping.
    """
    text = " ".join(text[:_READ].split())
    places = analyzer.places_of(weights.keys(), text)
    start, end = _stretch(text, *_best(places, weights, width), width)
    parts, position = ["… " if start else ""], start
    for first, last in _together(places):
        if start <= first and last <= end:
            parts += [escape(text[position:first], quote=False), "<mark>", escape(text[first:last], quote=False), "</mark>"]
            position = last
    parts += [escape(text[position:end], quote=False), " …" if end < len(text) else ""]
    return "".join(parts)


def _best(places: _Places, weights: Mapping[str, float], width: int) -> tuple[int, int]:
    """From where to where the best matches stand, within a width: the start of the first, the end of the last."""
    best, best_weight, left, total = (0, 0), 0.0, 0, 0.0
    held: dict[str, int] = {}
    for _, last, term in places:
        if term not in held:
            held[term] = 0
            total += weights[term]
        held[term] += 1
        while last - places[left][0] > width and places[left][1] < last:
            dropped = places[left][2]
            held[dropped] -= 1
            if not held[dropped]:
                del held[dropped]
                total -= weights[dropped]
            left += 1
        if total > best_weight + 1e-9:  # sums in another order are no better
            best, best_weight = (places[left][0], last), total
    return best


def _stretch(text: str, first: int, last: int, width: int) -> tuple[int, int]:
    """What to show around the best matches: a little before them, the rest of the width behind, and no half words at the ends."""
    spare = max(0, width - (last - first))
    start = max(0, min(first - min(width // 6, spare // 2), len(text) - width))
    end = min(len(text), start + width)
    if start:
        blank = text.find(" ", start - 1, min(first, start + _LONGEST_END))
        start = start if blank < 0 else blank + 1
    if end < len(text):
        blank = text.rfind(" ", max(last, end - _LONGEST_END), end + 1)
        end = end if blank < 0 else blank
    return start, end


def _together(places: _Places) -> list[tuple[int, int]]:
    """Where to mark: pairs of characters that overlap are one mark."""
    marks: list[tuple[int, int]] = []
    for first, last, _ in places:
        if marks and first < marks[-1][1]:
            marks[-1] = (marks[-1][0], last)
        else:
            marks.append((first, last))
    return marks
