"""What routes share: the release that answers, limits, and documented problems."""

from __future__ import annotations

from typing import TypeVar

from starlette.requests import Request

from app.api.problems import documented
from app.api.schemas import ID_LENGTH
from app.errors import QueryInvalid, WrongRanker
from app.releases import LiveRelease, Release
from app.settings import Settings

Wanted = TypeVar("Wanted", bound=Release)


PROBLEMS = documented(
    {
        409: "The live release answers other questions",
        422: "A parameter is out of range, or a filter cannot be used",
        503: "No release is live yet; try again after the seconds in `Retry-After`",
    }
)
BODY_PROBLEMS = PROBLEMS | documented(
    {400: "The body is not JSON", 413: "The body is too long", 415: "The body is not declared as JSON"}
)


def answering(request: Request, live: LiveRelease, kind: type[Wanted]) -> Wanted:
    """The release of a slot, if it answers this kind of question.

    Raises:
        NoRelease: nothing is live.
        WrongRanker: what is live answers other questions.
    """
    release = live.release()
    if not isinstance(release, kind):
        raise wrong_ranker(release, live, kind.answers)
    request.scope["state"]["ranker"] = release.ranker
    return release


def wrong_ranker(release: Release, live: LiveRelease, wanted: str) -> WrongRanker:
    """What is said where a release does not answer a question."""
    return WrongRanker(
        f"{release.name} is live in slot {live.slot!r} and answers {release.answers}, not {wanted}; "
        "publish another ranker there, or choose another slot for these questions (IRGAN_SLOT, IRGAN_SEARCH_SLOT, IRGAN_RERANK_SLOT)"
    )


def check_id(text: str, place: str) -> None:
    """Refuse what can be nobody's and nothing's id.

    Raises:
        QueryInvalid: it is empty, or too long.
    """
    if not 0 < len(text) <= ID_LENGTH:
        message = f"{len(text)} characters; an id has 1 to {ID_LENGTH}"
        raise QueryInvalid(f"{place}: {message}", [(place, message)])


def check_limit(settings: Settings, found: int, setting: str, place: str) -> None:
    """Refuse more than a setting allows.

    Raises:
        QueryInvalid: `found` is beyond the limit.
    """
    limit: int = getattr(settings, setting)
    if found > limit:
        message = f"{found} is more than this service's limit of {limit} ({setting}); ask for less, or in several requests"
        raise QueryInvalid(f"{place}: {message}", [(place, message)])
