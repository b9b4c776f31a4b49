"""The sentence for every situation, from figures written by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.experiments.reports.decision import decide
from app.experiments.reports.figures import Comparison, Guarded, MetricFigures, SampleRatio
from app.experiments.reports.words import chance, number, part
from tests.app.experiments.stores import definition

THREE = [{"name": name, "release": "r/v1"} for name in "abc"]


def comparison(verdict: Any, low: float, high: float, **changes: Any) -> Comparison:
    """`b` against `a` on click-through, half way between two ends."""
    middle = (low + high) / 2
    made = Comparison(
        metric="click-through",
        role="primary",
        variant="b",
        control="a",
        verdict=verdict,
        control_value=0.5,
        value=0.5 * (1 + middle),
        absolute=0.5 * middle,
        interval=[0.5 * low, 0.5 * high],
        relative=middle,
        relative_interval=[low, high],
        p_value=0.5,
        level=0.95,
        fixed_interval=None,
        fixed_relative_interval=None,
        fixed_p_value=None,
        variance_reduction=None,
        problem=None,
        in_points="relative",
        points=[],
    )
    return replace(made, **changes)


def metric(*comparisons: Comparison, **changes: Any) -> MetricFigures:
    made = MetricFigures(
        name="click-through",
        role="primary",
        better="higher",
        meaning="clicks per answer",
        values={},
        errors={},
        totals={},
        comparisons=list(comparisons),
    )
    return replace(made, **changes)


def guarded(state: str, low: float = 0.1, high: float = 0.3, variant: str = "b") -> MetricFigures:
    one = comparison(
        "worse", low, high, metric="latency", role="guardrail", variant=variant, guardrail=Guarded(state=state, margin=0.05)
    )
    return metric(one, name="latency", role="guardrail", better="lower")


def said(
    *metrics: MetricFigures, ratio: SampleRatio | None = None, units: int = 1204, days: float = 6.0, red=(), **changes: Any
):
    found = decide(definition(**changes), metrics, ratio, units=units, days=days, red=red)
    return found.status, found.winner, found.sentence


def ratio(*, is_red: bool, **changes: Any) -> SampleRatio:
    made = SampleRatio(
        observed={"a": 5312, "b": 4688},
        expected={"a": 5000.0, "b": 5000.0},
        p_value=4e-10,
        always_valid_p_value=1.0,
        is_red=is_red,
    )
    return replace(made, **changes)


def test_one_is_better():
    assert said(metric(comparison("better", 0.041, 0.209))) == (
        "better",
        "b",
        "b is better than a on click-through: +12.5% [+4.1%, +20.9%].",
    )


def test_the_control_is_better():
    assert said(metric(comparison("worse", -0.2, -0.1))) == (
        "worse",
        "a",
        "a, the control, is better on click-through: b −15.0% [−20.0%, −10.0%].",
    )


def test_better_by_less_than_what_matters():
    _, winner, sentence = said(metric(comparison("better", 0.001, 0.011)))
    assert winner == "b"
    assert sentence == "b is better than a on click-through: +0.6% [+0.1%, +1.1%], which is less than the 2% that matter."


def test_undecided_says_how_much_longer():
    """3,610 more of 1,204 in 6 days are 18 days, to two digits."""
    assert said(metric(comparison("undecided", -0.031, 0.052, units_needed=3610))) == (
        "undecided",
        None,
        "Undecided: after 1,204 users the difference of b to a on click-through is between −3.1% and +5.2%; "
        "about 3,600 more users (18 days at the pace so far) are needed to see 2%.",
    )


def test_undecided_where_nothing_can_be_reckoned():
    one = comparison("undecided", -0.1, 0.1, relative=None, relative_interval=None)
    assert said(metric(one), units=1) == (
        "undecided",
        None,
        "Undecided: after 1 user the difference of b to a on click-through is between −0.05 and +0.05.",
    )


def test_several_that_are_undecided_are_told_apart():
    both = metric(comparison("undecided", -0.031, 0.052), comparison("undecided", -0.4, 0.2, variant="c"))
    assert said(both, variants=THREE)[2] == (
        "Undecided: after 1,204 users the difference of b to a on click-through is between −3.1% and +5.2%; "
        "the difference of c to a on click-through is between −40.0% and +20.0%."
    )


def test_no_difference_that_matters():
    assert said(metric(comparison("no difference that matters", -0.012, 0.014))) == (
        "no difference that matters",
        None,
        "No difference that matters: on click-through b +0.1% [−1.2%, +1.4%] is within 2% of a.",
    )


def test_too_early():
    one = comparison("too early", 0, 0, interval=None, relative_interval=None, problem="the smaller variant has 7 units")
    assert said(metric(one)) == ("too early", None, "Too early to say: the smaller variant has 7 units.")


def test_figures_that_must_not_be_used_say_nothing_else():
    """Whatever the metrics say."""
    assert said(metric(comparison("better", 0.041, 0.209)), ratio=ratio(is_red=True)) == (
        "unusable",
        None,
        "Do not use these figures: users are split 5,312 : 4,688 where 1 : 1 was planned (p < .001).",
    )
    assert said(metric(comparison("better", 0.041, 0.209)), ratio=ratio(is_red=False))[0] == "better"
    moved = ratio(is_red=True, expected={"a": 6000.0, "b": 4000.0})
    assert "where 6,000 : 4,000 was planned" in said(metric(comparison("better", 0.1, 0.2)), ratio=moved)[2]


def test_red_health_stands_in_the_sentence():
    assert said(metric(comparison("better", 0.041, 0.209)), red=["fallbacks"])[2].endswith(
        "[+4.1%, +20.9%]. Its health is red, so look at that first: fallbacks."
    )


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("kept", "."),
        ("violated", ", but guardrail latency got worse: +20.0% [+10.0%, +30.0%], with 5% tolerable."),
        ("not yet known", "; whether latency stays within 5% is not known yet."),
    ],
)
def test_guardrails_have_their_say(state: str, told: str):
    found = said(metric(comparison("better", 0.041, 0.209)), guarded(state))
    assert found == ("better", "b", f"b is better than a on click-through: +12.5% [+4.1%, +20.9%]{told}")


def test_of_several_better_ones_the_best_is_named_and_its_guardrails_count():
    primary = metric(comparison("better", 0.1, 0.2), comparison("better", 0.2, 0.3, variant="c"))
    sentence = said(primary, guarded("violated"), variants=THREE)[2]
    assert sentence == "c is better than a on click-through: +25.0% [+20.0%, +30.0%] (b is better than a too)."


def test_of_several_none_of_which_is_better_all_are_told():
    both = metric(comparison("worse", -0.2, -0.1), comparison("worse", -0.4, -0.2, variant="c"))
    assert said(both, variants=THREE)[2] == (
        "a, the control, is better than the rest on click-through: b −15.0% [−20.0%, −10.0%]; c −30.0% [−40.0%, −20.0%]."
    )
    mixed = metric(comparison("worse", -0.2, -0.1), comparison("undecided", -0.4, 0.2, variant="c", units_needed=1000))
    status, _, sentence = said(mixed, variants=THREE)
    assert status == "undecided"
    assert "of c to a" in sentence and "about 1,500 more users" in sentence  # a third of the units goes to b
    same = metric(comparison("worse", -0.2, -0.1), comparison("no difference that matters", -0.01, 0.01, variant="c"))
    assert said(same, variants=THREE)[2].startswith("No variant is better than a on click-through: b −15.0%")


def test_where_lower_is_better_the_lowest_is_best():
    primary = metric(
        comparison("better", -0.3, -0.2), comparison("better", -0.2, -0.1, variant="c"), name="latency", better="lower"
    )
    assert said(primary, variants=THREE, primary="latency")[1] == "b"


def test_figures_are_written_for_people():
    assert [part(0.0), part(0.123), part(-0.05), part(0.0004), part(12.5), part(0.02), part(-2e-6)] == [
        "0%",
        "12.3%",
        "−5%",
        "0.04%",
        "1,250%",
        "2%",
        "0%",
    ]
    assert [number(0), number(1234.5), number(0.123456), number(-0.00002)] == ["0", "1,234", "0.1235", "−2e−05"]
    assert [chance(None), chance(0.0004), chance(0.0421), chance(1.0)] == ["—", "< .001", ".042", "1"]
