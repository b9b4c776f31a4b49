"""An answer that two or more rankers made together, and what must be known later to credit its clicks.

Shapes: V rankers, K positions.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Method = Literal["team-draft", "balanced", "optimised"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interleaved:
    """One list out of several.

    Attributes:
        method: how it was made, which says how clicks are credited.
        items: K ids, best first, each once.
        teams: K numbers of the rankers whose turn brought the items; what `team-draft` credits.
        num_rankers: V.
        propensity: the chance of these items by these turns.
        ranks: for `balanced`, of each of the two rankers K ranks from 1 that it gives to the items; 0 is behind its first K.
        margins: for `optimised`, what a click at each of the K positions counts for the first ranker; below 0, for the second.
    """

    method: Method
    items: list[Any]
    teams: list[int]
    num_rankers: int
    propensity: float
    ranks: tuple[list[int], list[int]] | None = None
    margins: list[float] | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON values only: what an impression keeps beside its items."""
        found: dict[str, Any] = {
            "method": self.method,
            "teams": self.teams,
            "num_rankers": self.num_rankers,
            "propensity": self.propensity,
        }
        if self.ranks is not None:
            found["ranks"] = list(self.ranks)
        if self.margins is not None:
            found["margins"] = self.margins
        return found

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], items: list[Any]) -> Interleaved:
        """From what `as_json` said and the items; other keys are ignored."""
        ranks = kept.get("ranks")
        return cls(
            method=kept["method"],
            items=items,
            teams=kept["teams"],
            num_rankers=kept["num_rankers"],
            propensity=kept["propensity"],
            ranks=None if ranks is None else (ranks[0], ranks[1]),
            margins=kept.get("margins"),
        )


def first_unlike(ranking: Any, k: int) -> list[Hashable]:
    """The first k different items of a ranking."""
    first = list(dict.fromkeys(ranking[:k]))
    if len(first) == k or len(ranking) <= k:
        return first
    return list(dict.fromkeys(ranking))[:k]
