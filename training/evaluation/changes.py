"""For whom two rankers differ most: the users or queries with the largest gains and losses, and what stood at the top of both lists.

Shapes: U users (or queries), K the length of the kept lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from training.evaluation.significance import rounded_difference

NUM_EACH = 5
"""Gains, and losses, of each pair on each metric."""
DEPTH = 10
"""Items shown of each list."""

_LONGEST = 90
"""Characters of a title."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An item in a list.

    Attributes:
        id: its external id.
        title: as people know it; None where the data have none.
        grade: how relevant it is to the user, 0 not at all.
    """

    id: str
    title: str | None
    grade: int

    @property
    def name(self) -> str:
        """What to call it."""
        return self.title or self.id

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return {"id": self.id, "title": self.title, "grade": self.grade}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A user, or a query, for whom it matters which ranker answers.

    Attributes:
        id: external.
        text: of a query; None where there is none.
        num_positives: how many items the user liked in training; None of a query.
        num_relevant: how many items there were to be found.
        value, against: what the two rankers reach.
        top, top_against: the beginnings of their lists.
    """

    id: str
    text: str | None
    num_positives: int | None
    num_relevant: int
    value: float
    against: float
    top: tuple[Listed, ...]
    top_against: tuple[Listed, ...]

    @property
    def difference(self) -> float:
        """The first minus the second."""
        return self.value - self.against

    def as_json(self) -> dict[str, Any]:
        """JSON values only; what is not known of a user or query is left out."""
        known = {"text": self.text, "positives": self.num_positives}
        return {
            "id": self.id,
            **{name: value for name, value in known.items() if value is not None},
            "relevant": self.num_relevant,
            "difference": self.difference,
            "values": [self.value, self.against],
            "top": [listed.as_json() for listed in self.top],
            "top_against": [listed.as_json() for listed in self.top_against],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Of one pair on one metric.

    Attributes:
        metric: what changed.
        ranker, against: differences are the first minus the second.
        gains, losses: the largest first; fewer than `NUM_EACH` where fewer changed.
    """

    metric: str
    ranker: str
    against: str
    gains: tuple[Change, ...]
    losses: tuple[Change, ...]

    def as_json(self) -> dict[str, Any]:
        """JSON values only; see `docs/evaluation.md`."""
        return {
            "metric": self.metric,
            "ranker": self.ranker,
            "against": self.against,
            "gains": [change.as_json() for change in self.gains],
            "losses": [change.as_json() for change in self.losses],
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What is known of those that rankers were asked for, and of the items.

    Attributes:
        ids: of U users or queries.
        texts: of the queries.
        num_positives: of the users in training, int64 [U].
        grades: place of a user → item row → grade, of the relevant ones.
        item_id, item_title: of a row.
    """

    ids: Sequence[str]
    texts: Sequence[str] | None = None
    num_positives: np.ndarray | None = None
    grades: Callable[[int], Mapping[int, int]]
    item_id: Callable[[int], str]
    item_title: Callable[[int], str | None]


def largest_changes(
    values: Mapping[str, Mapping[str, np.ndarray]],
    tops: Mapping[str, np.ndarray],
    asked: Asked,
    *,
    metrics: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    of: np.ndarray | None = None,
) -> list[Changes]:
    """Each pair on each metric.

    Args:
        values: ranker → metric → value of each user, float64 [U].
        tops: ranker → item rows, best first, int64 [U, K]; −1 where there are no more.
        asked: who the users are.
        metrics: what is looked at.
        pairs: of rankers.
        of: which users count, bool [U]; all by default.
    """
    found = []
    for metric in metrics:
        for ranker, against in pairs:
            both = values[ranker][metric], values[against][metric]
            differences_U = rounded_difference(*both)
            if of is not None:
                differences_U = np.where(of, differences_U, 0.0)

            def change(place: int, ranker: str = ranker, against: str = against, both: Any = both) -> Change:
                grades = asked.grades(place)
                top, top_against = (_listed(tops[name][place], grades, asked) for name in (ranker, against))
                return Change(
                    id=asked.ids[place],
                    text=None if asked.texts is None else asked.texts[place],
                    num_positives=None if asked.num_positives is None else int(asked.num_positives[place]),
                    num_relevant=len(grades),
                    value=float(both[0][place]),
                    against=float(both[1][place]),
                    top=top,
                    top_against=top_against,
                )

            gains, losses = (tuple(map(change, _largest(sign * differences_U))) for sign in (1.0, -1.0))
            found.append(Changes(metric=metric, ranker=ranker, against=against, gains=gains, losses=losses))
    return found


def _largest(values_U: np.ndarray) -> list[int]:
    """Places of the largest values above 0, the largest first."""
    order = np.argsort(-values_U, kind="stable")[:NUM_EACH]
    places: list[int] = order[values_U[order] > 0].tolist()
    return places


def _listed(rows_K: np.ndarray, grades: Mapping[int, int], asked: Asked) -> tuple[Listed, ...]:
    rows = [row for row in rows_K[:DEPTH].tolist() if row >= 0]
    return tuple(Listed(asked.item_id(row), asked.item_title(row), grades.get(row, 0)) for row in rows)


def titles(item_table: pd.DataFrame) -> Callable[[int], str | None]:
    """Item row → its title, else the beginning of its text, else None."""
    columns = [item_table[name].tolist() for name in ("title", "text") if name in item_table]

    def title(row: int) -> str | None:
        known = (column[row] for column in columns)
        found = next((value for value in known if isinstance(value, str) and value.strip()), None)
        return None if found is None else shorten(found, _LONGEST, placeholder=" …")

    return title
