"""What could be wrong with an experiment, and whether it is.

Shapes: N units, A answers, E events.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.experiments.outcomes import FALLBACKS, Outcomes, counting_answers, counting_events
from app.experiments.reports.figures import Check, SampleRatio, State, VariantFigures
from app.experiments.reports.words import chance
from app.store import ReleaseRecord

_FAILING, _FAILED = 0.01, 0.1
"""Of a variant's answers given by another release: from the one on a warning, from the other on the comparison means little."""
_LOST, _MOSTLY_LOST = 0.05, 0.5
"""Of events that are nobody's, likewise."""
_MOVED = 0.01
"""Of units that saw more than one variant, above which the variants are mixed up."""


def describe_variants(
    outcomes: Outcomes, releases: Mapping[str, str], shares: Mapping[str, float], known: Mapping[str, ReleaseRecord]
) -> list[VariantFigures]:
    """What each variant is, how many saw it, how its answers came about; mixed answers are every variant's.

    Args:
        outcomes: of the experiment.
        releases: NAME/VERSION, by variant.
        shares: of the units, by variant.
        known: releases that have answered.
    """
    units, answers = outcomes.units, outcomes.answers
    counts_A = counting_answers(answers, units.exposed_N)
    is_mixed = outcomes.experiment.kind == "interleaving"
    found = []
    for row, variant in enumerate(outcomes.experiment.variants):
        is_own_A = counts_A if is_mixed else counts_A & (answers.variant_A == row)
        release = releases.get(variant.name, variant.release)
        milliseconds = answers.milliseconds_A[is_own_A]
        found.append(
            VariantFigures(
                name=variant.name,
                release=release,
                ranker=known[release].ranker if release in known else None,
                is_control=row == 0,
                share=1.0 if is_mixed else shares[variant.name],
                units=len(units.names) if is_mixed else int(np.count_nonzero(units.variant_N == row)),
                answers=int(np.count_nonzero(is_own_A)),
                fallbacks=_fallbacks(outcomes, is_own_A, "champion"),
                popular=_fallbacks(outcomes, is_own_A, "popularity"),
                median_milliseconds=float(np.median(milliseconds)) if len(milliseconds) else None,
                slow_milliseconds=float(np.quantile(milliseconds, 0.95)) if len(milliseconds) else None,
            )
        )
    return found


def check_health(outcomes: Outcomes, variants: list[VariantFigures], ratio: SampleRatio | None) -> list[Check]:
    """Everything that is looked at, good or bad."""
    checks = [] if ratio is None else [_ratio(ratio, outcomes.experiment.unit)]
    checks += [_fallback(outcomes, variants), _moved(outcomes), _overrides(outcomes), *_events(outcomes)]
    return checks


def _fallbacks(outcomes: Outcomes, is_own_A: np.ndarray, kind: str) -> int:
    return int(np.count_nonzero(outcomes.answers.fallback_A[is_own_A] == FALLBACKS.index(kind)))


def _ratio(ratio: SampleRatio, unit: str) -> Check:
    observed = " : ".join(f"{count:,}" for count in ratio.observed.values())
    expected = " : ".join(f"{count:,.0f}" for count in ratio.expected.values())
    least = min(ratio.p_value, ratio.always_valid_p_value)
    return Check(
        name="sample ratio",
        state="bad" if ratio.is_red else "good",
        text=f"{observed} {unit}s, expected {expected} (p {'' if least < 0.001 else '= '}{chance(least)})",
    )


def _fallback(outcomes: Outcomes, variants: list[VariantFigures]) -> Check:
    share = max(variant.fallbacks / max(variant.answers, 1) for variant in variants)
    if outcomes.experiment.kind == "interleaving":
        text = f"answered by the champion because a release failed: {variants[0].fallbacks:,} of {variants[0].answers:,}"
    else:
        text = "answered by the champion because the release failed: " + ", ".join(
            f"{variant.name} {variant.fallbacks:,} of {variant.answers:,}" for variant in variants
        )
    return Check(name="fallbacks", state=_state(share, _FAILING, _FAILED), text=text)


def _moved(outcomes: Outcomes) -> Check:
    units, answers = outcomes.units, outcomes.answers
    rows = np.flatnonzero(counting_answers(answers, units.exposed_N) & (answers.variant_A >= 0))
    is_other = answers.variant_A[rows] != units.variant_N[answers.unit_A[rows]]
    moved = len(np.unique(answers.unit_A[rows[is_other]])) if (units.variant_N >= 0).any() else 0
    share = moved / max(len(units.names), 1)
    return Check(
        name="one variant each",
        state="good" if not moved else _state(share, 0.0, _MOVED),
        text=f"{moved:,} of {len(units.names):,} {outcomes.experiment.unit}s saw another variant than the first they saw",
    )


def _overrides(outcomes: Outcomes) -> Check:
    left_out = int(np.count_nonzero(outcomes.answers.is_override_A))
    return Check(
        name="overrides", state="good", text=f"{left_out:,} answers were given to who chose the variant; they do not count"
    )


def _events(outcomes: Outcomes) -> list[Check]:
    events, period = outcomes.events, outcomes.period
    is_inside_E = (events.time_E >= period.start) & (events.time_E <= period.last)
    total, lost = int(is_inside_E.sum()), int(np.count_nonzero(is_inside_E & events.is_lost_E))
    counted = int(counting_events(events, outcomes.answers, period, outcomes.units.exposed_N).sum())
    others = int(np.count_nonzero(is_inside_E & ~events.is_lost_E & (events.unit_E < 0)))
    left = total - lost - counted - others
    share = lost / max(total, 1)
    told = f"{counted:,} of {total:,} events ({', '.join(events.types)}) count; {others:,} are of who takes no part, {left:,} came before the exposure, after the end or from an override"
    unit = outcomes.experiment.unit
    whose = f"{lost:,} events say neither whose they are nor which answer they follow; give each a {unit} or a request_id"
    state = _state(share, _LOST, _MOSTLY_LOST)
    return [
        Check(name="events", state="warning" if not counted and len(outcomes.units.names) else "good", text=told),
        Check(
            name="events of nobody",
            state=state,
            text=whose if lost else "every event says whose it is, or which answer it follows",
        ),
    ]


def _state(share: float, warning: float, bad: float) -> State:
    return "bad" if share > bad else "warning" if share > warning else "good"
