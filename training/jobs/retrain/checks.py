"""Whether data may be trained on: enough of them, and not too different from those of the last run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.jobs.retrain.config import Validation
from training.jobs.retrain.profile import drift


@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with the data.

    Attributes:
        problems: of the data themselves, a sentence each.
        changes: of what changed since the last run.
        drift: from the last run, where there was one.
    """

    problems: list[str]
    changes: list[str]
    drift: float | None


def check(profile: dict[str, Any], last: dict[str, Any] | None, limits: Validation) -> Found:
    """Everything that is wrong at once.

    Args:
        profile: of the data, see `profile_of`.
        last: of the last run whose data were accepted.
        limits: what is tolerable.
    """
    moved = None if last is None else drift(last["popularity"], profile["popularity"])
    changes = [] if last is None else [*_schema(profile, last), *_changes(profile, last, limits, moved)]
    return Found(list(_volume(profile, limits)), changes, moved)


def _volume(profile: dict[str, Any], limits: Validation) -> Iterator[str]:
    for what in ("events", "users", "items"):
        least = getattr(limits, f"least_{what}")
        if profile[what] < least:
            yield f"{profile[what]:,} {what}; expected at least {least:,} (validation.least_{what})"
    if profile["unknown_items"] > limits.most_unknown_items:
        yield (
            f"{profile['unknown_items']:.1%} of the events are on items that the table of items lacks; expected at most "
            f"{limits.most_unknown_items:.1%} (validation.most_unknown_items)"
        )


def _schema(profile: dict[str, Any], last: dict[str, Any]) -> Iterator[str]:
    if (profile["mean_rating"] is None) != (last["mean_rating"] is None):
        now, before = (("no ratings" if one["mean_rating"] is None else "ratings") for one in (profile, last))
        yield f"the events have {now}, those of the last run had {before}"
    gone = sorted(set(last["columns"]) - set(profile["columns"]))
    if gone:
        yield f"the table of items has no column {', '.join(map(repr, gone))} any more"


def _changes(profile: dict[str, Any], last: dict[str, Any], limits: Validation, moved: float | None) -> Iterator[str]:
    for what in ("events", "users", "items"):
        most = getattr(limits, f"most_change_{what}")
        change = profile[what] / last[what] - 1.0
        if most is not None and abs(change) > most:
            yield (
                f"{profile[what]:,} {what}, {change:+.1%} against {last[what]:,} of the last run; expected at most {most:.1%} more or "
                f"less (validation.most_change_{what})"
            )
    most = limits.most_change_mean_rating
    if most is not None and profile["mean_rating"] is not None and last["mean_rating"] is not None:
        change = profile["mean_rating"] - last["mean_rating"]
        if abs(change) > most:
            yield (
                f"a mean rating of {profile['mean_rating']:.3f}, {change:+.3f} against the last run; expected at most {most:g} more or "
                "less (validation.most_change_mean_rating)"
            )
    if limits.most_drift is not None and moved is not None and moved > limits.most_drift:
        yield (
            f"the items' shares of the events are {moved:.3f} bits from those of the last run; expected at most {limits.most_drift:g} "
            "(validation.most_drift)"
        )
