"""Sets of positions, as spans: sorted, disjoint pairs of a start and an end, the end not included."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Generic, TypeVar

Spans = tuple[tuple[int, int], ...]

Owner = TypeVar("Owner")


def num_positions(spans: Spans) -> int:
    """How many there are."""
    return sum(end - start for start, end in spans)


def union(*sets: Spans) -> Spans:
    """All positions of all sets; spans that touch become one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(span for spans in sets for span in spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return tuple(joined)


def minus(spans: Spans, others: Spans) -> Spans:
    """The positions that are not among the others."""
    left: list[tuple[int, int]] = []
    for start, end in spans:
        begin = start
        for other_start, other_end in others:
            if other_end <= begin or other_start >= end:
                continue
            if other_start > begin:
                left.append((begin, other_start))
            begin = max(begin, other_end)
        if begin < end:
            left.append((begin, end))
    return tuple(left)


def parted(spans: Spans, wanted: int) -> tuple[Spans, Spans]:
    """So many of the positions, and the rest.

    Short spans are taken first, so that sets which are parted and joined again and again do not fall to pieces.
    """
    taken: list[tuple[int, int]] = []
    rest: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: (span[1] - span[0], span)):
        cut = max(start, end - wanted)
        if cut < end:
            taken.append((cut, end))
        if start < cut:
            rest.append((start, cut))
        wanted -= end - cut
    return tuple(sorted(taken)), tuple(sorted(rest))


class Owners(Generic[Owner]):
    """Who has which position.

    Args:
        spans_of: disjoint sets, each with its owner; whatever is in none has no owner.
    """

    def __init__(self, spans_of: Iterable[tuple[Spans, Owner]]) -> None:
        self._starts = [0]
        self._owners: list[Owner | None] = [None]
        for start, end, owner in sorted(
            ((start, end, owner) for spans, owner in spans_of for start, end in spans), key=lambda span: span[0]
        ):
            if self._starts[-1] == start:
                self._owners[-1] = owner
            else:
                self._starts.append(start)
                self._owners.append(owner)
            self._starts.append(end)
            self._owners.append(None)

    def at(self, position: int) -> Owner | None:
        """The owner of one."""
        return self._owners[bisect_right(self._starts, position) - 1]
