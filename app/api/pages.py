"""Pages of searches: where one ended, as text that a caller sends back for the next."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import get_args

import orjson

from app.api.search_schemas import SearchBody
from app.errors import QueryInvalid
from app.experiments.definition import MOST_VARIANTS
from app.experiments.interleaving import Interleaved, Method, mixed
from app.retrieval import Place

_DEEPEST = 2**62
"""Ranks from here on do not fit into the numbers that are computed with."""
MOST_PAGES = 1000
"""Of a mixed ranking: each page mixes all those before it once more. Their cursors stay within what `after` may hold."""


@dataclass(frozen=True, slots=True)
class Page:
    """The end of a page.

    Attributes:
        releases: NAME/VERSION of what ranked; several where their rankings were mixed.
        place: in the ranking of one.
        pages: of several, how their rankings were mixed so far.
    """

    releases: tuple[str, ...]
    place: Place | None = None
    pages: MixedPages | None = None


@dataclass(frozen=True, slots=True)
class MixedPages:
    """Pages of one mixed ranking. Each mixes what those before it have left; that is told by doing it again.

    Attributes:
        method: how they are mixed.
        seed: what chance depends on, the id of the first page's request.
        sizes: how many items each page has.
    """

    method: Method
    seed: str
    sizes: tuple[int, ...] = ()

    def followed_by(self, k: int) -> MixedPages:
        """One page more."""
        return replace(self, sizes=(*self.sizes, k))

    @property
    def is_last(self) -> bool:
        """Whether no other page follows, whatever is left."""
        return len(self.sizes) >= MOST_PAGES

    @property
    def depth(self) -> int:
        """How many items all pages have."""
        return sum(self.sizes)

    def last(self, rankings: Sequence[Sequence[Hashable]]) -> tuple[Interleaved, bool]:
        """The last of the pages, and whether there is anything left for another.

        Args:
            rankings: ids, best first, of each release; as many as all pages have items, or all there are.
        """
        shown: set[Hashable] = set()
        starts = [0] * len(rankings)  # of what is left: looking from the top, thousands of pages would take minutes
        for number, k in enumerate(self.sizes):
            left = []
            for ranker, ranking in enumerate(rankings):
                while starts[ranker] < len(ranking) and ranking[starts[ranker]] in shown:
                    starts[ranker] += 1
                left.append(list(islice((item for item in islice(ranking, starts[ranker], None) if item not in shown), k)))
            page = mixed(self.method, left, k, f"{self.seed}+{number}" if number else self.seed)
            shown.update(page.items)
        return page, any(item not in shown for ranking in rankings for item in ranking)


def cursor(page: Page, body: SearchBody) -> str:
    """The end of a page, for the caller."""
    if page.place is not None:
        where = [page.place.score, page.place.id, page.place.row, page.place.rank]
    else:
        assert page.pages is not None
        where = [page.pages.method, page.pages.seed, [[k, len(list(same))] for k, same in groupby(page.pages.sizes)]]
    content = orjson.dumps([page.releases, _digest(body), *where])
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def read_cursor(text: str, body: SearchBody) -> Page:
    """What a cursor says.

    Raises:
        QueryInvalid: it is none, or of another search.
    """
    try:
        releases, digest, *where = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        page = _page(tuple(map(str, releases)), where)
    except (ValueError, TypeError) as error:
        raise refused(
            "this is no place in a ranking; send what stood in next of the page before, or nothing to begin at the top"
        ) from error
    if digest != _digest(body):
        raise refused("the page before was of another search; begin at the top, without after")
    return page


def refused(message: str) -> QueryInvalid:
    """What is said of a cursor that cannot be used."""
    return QueryInvalid(f"body.after: {message}", [("body.after", message)])


def _page(releases: tuple[str, ...], where: list[object]) -> Page:
    if len(where) == 3:
        method, seed, runs = where
        if method not in get_args(Method) or not isinstance(runs, list):
            raise ValueError("these are no pages")
        if not all(type(number) is int and number > 0 for k, times in runs for number in (k, times)):
            raise ValueError("pages have sizes, and are so and so many")
        if sum(times for _, times in runs) >= MOST_PAGES:
            raise ValueError("no mixed ranking has so many pages")
        sizes = [k for k, times in runs for _ in range(times)]
        if not 2 <= len(releases) <= (MOST_VARIANTS if method == "team-draft" else 2):
            raise ValueError("no experiment mixes so many")
        return Page(releases, pages=MixedPages(method, str(seed), tuple(sizes)))  # type: ignore[arg-type]
    score, item, row, rank = where
    if type(row) is not int or type(rank) is not int or not 1 <= rank < _DEEPEST or len(releases) != 1:
        raise ValueError("ranks are numbers from 1 on, and one release has given them")
    return Page(releases, Place(float(score), str(item), row, rank))  # type: ignore[arg-type]


def _digest(body: SearchBody) -> str:
    """What must be the same from page to page."""
    same = body.model_dump_json(exclude={"after", "k", "facets", "user", "session"})
    return hashlib.blake2b(same.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
