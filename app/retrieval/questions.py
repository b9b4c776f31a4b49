"""What is asked of a search, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.bundle import Fusion, Mode
from app.retrieval.filters import Condition


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: the next one begins behind it.

    Attributes:
        score, id, row: of the last answer.
        rank: of the last answer, from 1.
    """

    score: float
    id: str
    row: int
    rank: int


@dataclass(frozen=True, slots=True)
class SearchQuestion:
    """A question for documents.

    Attributes:
        text: what is looked for.
        mode: None takes the release's own.
        fusion: of the hybrid; None takes the release's own.
        k: how many documents, at least 1.
        after: the end of the page before; None begins at the top.
        filters: conditions that every document meets.
        facets: fields to count the values of.
        among: ids that compete, where not all documents do; unknown ones do no harm.
        user: whose taste has a say; one who is not known has none.
        user_weight: how much of one, beside the text's 1.
    """

    text: str
    mode: Mode | None = None
    fusion: Fusion | None = None
    k: int = 10
    after: Place | None = None
    filters: tuple[Condition, ...] = ()
    facets: tuple[str, ...] = ()
    among: tuple[str, ...] | None = None
    user: str | None = None
    user_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """Documents for a question.

    Attributes:
        rows: best first.
        scores: what orders them, float64.
        first_rank: of the first of them.
        total: documents that were ranked: with lexical search those that match, else all that the conditions allow.
        mode: what ranked.
        personalised: whether a user's taste had a say.
        facets: field → its most frequent values among the first 1,000 answers.
        end: where the next page goes on; None where this is the last.
    """

    rows: list[int]
    scores: list[float]
    first_rank: int
    total: int
    mode: Mode
    personalised: bool
    facets: Mapping[str, list[dict[str, Any]]]
    end: Place | None
