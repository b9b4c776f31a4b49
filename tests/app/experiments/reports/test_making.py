"""From a store to a report; every figure that can be is computed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sqlalchemy import update

from app.experiments.assignment import Allocation, allocated
from app.experiments.bandit import Assigned, weighted
from app.experiments.errors import UnknownExperiment, WrongState
from app.experiments.interleaving import interleave
from app.experiments.lifecycle import Experiments
from app.experiments.reports import last_words, report_of
from app.experiments.reports.analysis import _corrected
from app.experiments.reports.figures import Report
from app.experiments.reports.making import make_report
from app.releases import ReleaseStore
from app.store import Database, ExperimentRecords, insert_release
from app.store.tables import ALLOCATIONS, EVENTS, EXPERIMENTS
from tests.app.experiments.stores import Story, at, definition

LATE = at(1000)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'irgan.db'}")
    yield database
    database.close()


@pytest.fixture
def either(store_url: str) -> Iterator[Database]:
    """Of both kinds: what is read from a store is tested in `test_outcomes`, so a few tests are enough here."""
    database = Database(store_url)
    yield database
    database.close()


def told(database: Database, story: Story, **options: Any) -> Report:
    story.write(database)
    return make_report(database, story.experiment.name, **{"now": LATE} | options)


def clicking(sizes: tuple[int, int] = (300, 300), every: tuple[int, int] = (5, 2), **changes: Any) -> Story:
    """One answer to each user; of `a` every fifth clicks, of `b` every second, unless told otherwise."""
    story = Story(definition(**changes))
    for variant, size, period in zip("ab", sizes, every, strict=True):
        for user in range(size):
            answer = story.answer(f"{variant}{user}", variant, 40.0 * user / size, milliseconds=2.0 if variant == "a" else 3.0)
            if user % period == 0:
                story.click(answer, 40.0 * user / size + 0.1)
    return story


def test_values_and_their_errors_by_hand(either):
    """`a`: u1 has 1 click of 2 answers, u3 0 of 1: 1/3, and √(2 · 2/9) / 3 = 2/9. `b`: 1 of 1 and 1 of 1: 1, without any error."""
    story = Story(definition(secondary=["conversion"]))
    first = story.answer("u1", "a", 1)
    story.answer("u1", "a", 2)
    story.answer("u3", "a", 1)
    story.click(first, 3)
    for user in ("u2", "u4"):
        story.click(story.answer(user, "b", 1), 2)
    story.event("conversion", 3, user="u2", value=1.0)
    report = told(either, story)
    assert report.primary.values == {"a": pytest.approx(1 / 3), "b": 1.0}
    assert report.primary.errors == {"a": pytest.approx(2 / 9), "b": 0.0}
    assert report.primary.totals == {"a": [1.0, 3.0], "b": [2.0, 2.0]}
    assert report.metrics[1].values == {"a": 0.0, "b": 0.5}
    assert report.metrics[1].errors["b"] == pytest.approx(0.5)
    assert [(variant.units, variant.answers) for variant in report.variants] == [(2, 3), (2, 2)]
    (one,) = report.primary.comparisons
    assert (one.absolute, one.relative) == (pytest.approx(2 / 3), pytest.approx(2.0))
    assert report.decision.status == "too early"
    assert report.decision.sentence.startswith("Too early to say: the smaller variant has 2 units")


def test_a_clear_difference_is_named(database):
    """0.5 against 0.2 is +150%."""
    report = told(database, clicking())
    (one,) = report.primary.comparisons
    assert one.relative == pytest.approx(1.5)
    assert one.relative_interval is not None and one.fixed_relative_interval is not None
    low, high = one.relative_interval
    assert 0 < low < one.fixed_relative_interval[0] < 1.5 < one.fixed_relative_interval[1] < high
    assert one.p_value < 0.001
    assert report.decision.winner == "b"
    assert report.decision.sentence.startswith("b is better than a on click-through: +150% [+")
    assert report.units[-1].units == {"a": 300, "b": 300}
    assert report.sample_ratio is not None and not report.sample_ratio.is_red
    assert len(one.points) == len(report.units) == 30
    assert one.points[0].interval is None and one.points[-1].interval == one.relative_interval


def test_intervals_are_narrowest_at_the_units_that_were_planned(tmp_path):
    """600 units: critical values are 3.04 where so many were planned, and more for a plan of 10,000 or of a million."""
    widths = []
    for planned in (600, None, 1_000_000):
        database = Database(f"sqlite:///{tmp_path / f'{planned}.db'}")
        (one,) = told(database, clicking(planned_units=planned)).primary.comparisons
        database.close()
        assert one.interval is not None and one.fixed_interval is not None
        low, high = one.interval
        widths.append((high - low) / (one.fixed_interval[1] - one.fixed_interval[0]) * 1.964)
    assert widths[0] == pytest.approx(3.04, abs=0.02)
    assert widths[0] < widths[1] < widths[2]


def test_the_same_rates_are_undecided_until_the_interval_is_small(database):
    assert told(database, clicking(every=(3, 3))).decision.status == "undecided"


def test_no_difference_that_matters_where_the_definition_says_that_only_a_large_one_does(database):
    report = told(database, clicking(every=(2, 2), minimum_effect=0.6))
    assert report.decision.status == "no difference that matters"


def test_a_split_that_chance_does_not_make_is_red(database):
    """400 : 250 instead of 325 : 325 is χ² = 34.6."""
    report = told(database, clicking((400, 250)))
    assert report.decision.status == "unusable"
    assert report.decision.sentence == "Do not use these figures: users are split 400 : 250 where 1 : 1 was planned (p < .001)."
    assert report.sample_ratio is not None and report.sample_ratio.is_red
    assert report.sample_ratio.expected == {"a": 325.0, "b": 325.0}
    assert [check.state for check in report.checks if check.name == "sample ratio"] == ["bad"]


def test_the_ratio_goes_by_the_logged_propensities_also_when_weights_changed(database):
    """200 units at 1 : 1 and 200 at 3 : 1 are 250 : 150 expected; the definition's 1 : 1 would be red."""
    story = Story()
    for user in range(200):
        story.answer(f"x{user}", "ab"[user % 2], 1)
    for user in range(200):
        variant, chance = ("b", 0.25) if user % 4 == 0 else ("a", 0.75)
        story.answer(f"y{user}", variant, 20, propensity=chance, revision=3)
    report = told(database, story)
    assert report.sample_ratio is not None
    assert report.sample_ratio.observed == {"a": 250, "b": 150}
    assert report.sample_ratio.expected == {"a": pytest.approx(250.0), "b": pytest.approx(150.0)}
    assert not report.sample_ratio.is_red


def test_a_variant_that_nobody_got_is_expected_by_the_allocation(database):
    """All 100 units got `a`; the allocation gave `b` a quarter of them, the definition half."""
    story = Story()
    for user in range(100):
        story.answer(f"u{user}", "a", 1, propensity=0.75)
    story.write(database)
    kept = Allocation((), allocated({"a": 3.0, "b": 1.0}), {"a": "popularity/v1", "b": "irgan/v7"}).as_json()
    with database.begin() as connection:
        row = {"experiment": "test", "revision": 2, "time": at(0), "content": kept}
        connection.execute(ALLOCATIONS.insert(), [row])
        insert_release(connection, "irgan/v7", "irgan-history", at(-5), {})
    report = make_report(database, "test", now=LATE)
    assert report.sample_ratio is not None
    assert report.sample_ratio.expected == {"a": 75.0, "b": 25.0}
    assert [variant.share for variant in report.variants] == [0.75, 0.25]
    assert report.decision.status == "unusable"
    assert [(variant.release, variant.ranker) for variant in report.variants] == [
        ("popularity/v1", None),
        ("irgan/v7", "irgan-history"),
    ]


def test_where_shares_moved_units_weigh_by_their_chance(database):
    """On the first day all click, on the second none; `b` is mostly of the second day. Unweighted `a` would look better; it is not."""
    story = Story()
    for day, clicks, share_of_a in ((0, True, 0.75), (24, False, 0.25)):
        for user in range(400):
            variant = "a" if user % 4 < 4 * share_of_a else "b"
            chance = share_of_a if variant == "a" else 1 - share_of_a
            answer = story.answer(f"d{day}u{user}", variant, day + 1, propensity=chance, revision=2 + (day > 0))
            if clicks:
                story.click(answer, day + 2)
    report = told(database, story)
    assert report.primary.values == {"a": 0.75, "b": 0.25}
    (one,) = report.primary.comparisons
    assert (one.control_value, one.value) == (pytest.approx(0.5), pytest.approx(0.5))
    assert report.decision.status == "undecided"
    clicks_N, chance_N = np.repeat([1.0, 0.0], [300, 100]), np.repeat([0.75, 0.25], [300, 100])
    same = weighted(Assigned(numerator_N=clicks_N, propensity_N=chance_N))
    assert one.control_value == pytest.approx(same.value)


def test_where_shares_moved_the_time_before_weighs_as_units_do(database):
    """Nearly everybody buys just as before, so nearly all of the variance was known, whatever the chances were."""
    story = Story(experiment=definition(primary={"name": "purchases", "event": "purchase"}))
    for day, share_of_a in ((0, 0.8), (24, 0.2)):
        for user in range(1000):
            variant = "a" if user % 5 < 5 * share_of_a else "b"
            chance, unit = share_of_a if variant == "a" else 1 - share_of_a, f"d{day}u{user}"
            story.answer(unit, variant, day + 1, propensity=chance, revision=2 + (day > 0))
            if user % 7 < 3:
                story.event("purchase", -20, user=unit)
            if user % 7 < 3 and user % 50:
                story.event("purchase", day + 2, user=unit)
    (one,) = told(database, story).primary.comparisons
    assert one.variance_reduction is not None and one.variance_reduction > 0.9


def test_a_guardrail_that_got_worse_is_told(database):
    """3 ms against 2 ms is +50%; 10% are tolerable. Each user has one answer of a little more or less."""
    story = clicking(guardrails=[{"metric": "latency", "margin": 0.1}])
    rng = np.random.default_rng(0)
    for place, impression in enumerate(story.impressions):
        noisy = impression.milliseconds + float(rng.uniform(-0.5, 0.5))
        story.impressions[place] = type(impression)(
            **{name: getattr(impression, name) for name in impression.__slots__} | {"milliseconds": noisy}
        )
    report = told(database, story)
    assert report.metrics[1].comparisons[0].guardrail is not None
    assert report.metrics[1].comparisons[0].guardrail.state == "violated"
    assert ", but guardrail latency got worse: +" in report.decision.sentence
    assert report.decision.winner == "b"


def test_the_time_before_narrows_the_interval(database):
    """Whoever clicked before clicks again: nearly all of the variance was known."""
    story = clicking(every=(4, 4))
    for variant in "ab":
        for user in range(300):
            before = story.answer(f"{variant}{user}", None, -20)
            if user % 4 == 0 and user % 40:
                story.click(before, -19)
    report = told(database, story)
    (one,) = report.primary.comparisons
    assert one.variance_reduction is not None and 0.8 < one.variance_reduction < 1.0


def test_many_secondary_metrics_are_corrected(database):
    """Two of them are the same, so Holm doubles the p of both."""
    same = [{"name": f"clicks-{number}", "event": "click", "of": "count", "per": "unit"} for number in (1, 2)]
    report = told(database, clicking(every=(4, 3), secondary=same))
    for metric in report.metrics[1:]:
        (one,) = metric.comparisons
        assert one.p_holm == pytest.approx(min(1.0, 2 * one.p_value))
    assert report.primary.comparisons[0].p_holm is None


def test_of_many_secondary_metrics_only_what_passes_the_correction_is_called_better(database):
    """.03 and .04 are .06 each after Holm; .01 and .04 are .02 and .04. The primary metric is no part of it."""
    report = told(database, clicking(secondary=["conversion", "latency"]))
    for p_values, verdicts in (((0.03, 0.04), ["undecided"] * 2), ((0.01, 0.04), ["better"] * 2)):
        metrics = [
            replace(metric, comparisons=[replace(metric.comparisons[0], p_value=p_value, verdict="better")])
            for metric, p_value in zip(report.metrics, (0.9, *p_values), strict=True)
        ]
        found = [metric.comparisons[0].verdict for metric in _corrected(metrics, definition())]
        assert found == ["better", *verdicts]


def test_three_variants_share_the_chance_of_an_error(database):
    story = clicking(variants=[{"name": name, "release": "r/v1"} for name in "abc"])
    for user in range(300):
        story.answer(f"c{user}", "c", 1, propensity=1 / 3)
    report = told(database, story)
    assert [one.level for one in report.primary.comparisons] == [pytest.approx(0.975)] * 2
    assert [one.variant for one in report.primary.comparisons] == ["b", "c"]


def test_health_is_told(either):
    """3 of 20 answers of `b` are fallbacks, one user saw both variants, one event of two is nobody's, one answer is an override."""
    story = Story()
    for user in range(20):
        story.answer(f"a{user}", "a", 1)
        story.answer(f"b{user}", "b", 1, fallback="champion" if user < 3 else None)
    story.answer("a0", "b", 2)
    story.answer("a1", "b", 2, is_override=True)
    story.event("click", 3, user="a0", item="i")
    story.event("click", 3, session="s", item="i")
    report = told(either, story)
    states = {check.name: check.state for check in report.checks}
    assert states == {
        "sample ratio": "good",
        "fallbacks": "bad",
        "one variant each": "bad",
        "overrides": "good",
        "events": "good",
        "events of nobody": "warning",
    }
    assert report.variants[1].fallbacks == 3
    assert report.decision.sentence.endswith(" Its health is red, so look at that first: fallbacks, one variant each.")
    texts = {check.name: check.text for check in report.checks}
    assert texts["one variant each"].startswith("1 of 40 users")
    assert texts["overrides"].startswith("1 answers")
    assert texts["events"].startswith("1 of 2 events (click) count")


def test_events_that_follow_answers_outside_of_the_experiment_are_healthy(either):
    """A tenth of the users takes part, and callers give nothing but the request id: answers of the others are not written down."""
    story = Story(definition(traffic=0.1))
    story.click(story.answer("u1", "a", 1), 2)
    for place in range(9):
        story.click(f"outside{place}", 2)
    texts = {check.name: (check.state, check.text) for check in told(either, story).checks}
    assert texts["events"] == (
        "good",
        "1 of 10 events (click) count; 9 are of who takes no part, 0 came before the exposure, after the end or from an override",
    )
    assert texts["events of nobody"] == ("good", "every event says whose it is, or which answer it follows")


def test_clicks_on_an_answer_that_the_champion_gave_alone_speak_for_nobody(either):
    """Of two answers one was mixed; the same item is clicked twice in either."""
    story = Story(definition(kind="interleaving"))
    mixed = interleave([["i1"], ["i2"]], 1, np.random.default_rng(0))
    given = {"items": orjson.dumps(mixed.items).decode(), "propensity": 1.0}
    whole = story.answer("u1", "interleaved", 1, teams=orjson.dumps(mixed.as_json()).decode(), **given)
    alone = story.answer("u2", "interleaved", 1, fallback="champion", **given)
    for answer in (whole, whole, alone, alone):
        story.click(answer, 2, item=mixed.items[0])
    totals = told(either, story).primary.totals
    assert sorted(totals.values()) == [[0.0, 1.0], [1.0, 1.0]]


def test_mixed_answers_prefer_the_ranker_whose_items_are_clicked(either):
    """Two of three users click the first item of `b`, which `a` has last, where `b` brought it: all credit of 300 answers is for `b`."""
    rng = np.random.default_rng(0)
    story = Story(definition(kind="interleaving"))
    for user in range(300):
        mixed = interleave([["i1", "i2", "i3", "i4"], ["i4", "i3", "i2", "i1"]], 4, rng)
        teams = orjson.dumps(mixed.as_json()).decode()
        items = orjson.dumps(mixed.items).decode()
        answer = story.answer(f"u{user}", "interleaved", 1 + user / 10, teams=teams, items=items, propensity=1.0)
        if user % 3 and mixed.teams[mixed.items.index("i4")] == 1:
            story.click(answer, 1.1 + user / 10, item="i4")
    report = told(either, story)
    clicks = len(story.events)
    assert clicks > 100
    assert report.primary.totals == {"a": [0.0, 300.0], "b": [float(clicks), 300.0]}
    (one,) = report.primary.comparisons
    assert one.absolute == pytest.approx(clicks / 300)
    assert report.decision.winner == "b"
    assert report.decision.sentence.startswith("b is better than a on preference: +0.")
    assert report.sample_ratio is None
    assert report.units[-1].units == {"all variants": 300}
    assert [(variant.units, variant.answers) for variant in report.variants] == [(300, 300)] * 2


def test_delivery_changes_nothing(either, tmp_path):
    """The same events, some twice, in another order, into another kind of store."""
    story = clicking(secondary=["conversion"], guardrails=["latency"] and [{"metric": "latency"}])
    report = told(either, story)
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(len(story.events)), 2))
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    story.write(other, [story.events[place] for place in order])
    with other.begin() as connection:
        connection.execute(update(EVENTS).values(received=LATE))
    assert make_report(other, "test", now=LATE).as_json() == report.as_json()
    other.close()


def test_a_report_is_json(database):
    story = clicking()
    story.write(database)
    found = report_of(database, "test").as_json()
    assert orjson.loads(orjson.dumps(found)) == found
    assert found["decision"]["winner"] == "b"
    assert {"name", "decision", "variants", "metrics", "sample_ratio", "checks", "units", "definition", "changes"} <= set(found)


def test_what_is_kept_of_a_concluded_experiment_is_what_the_report_said(database):
    """Without the looks; and where there is no report, nothing."""
    assert last_words(database, "test") is None
    clicking().write(database)
    found = last_words(database, "test")
    assert found is not None
    assert found["decision"] == report_of(database, "test").as_json()["decision"]
    assert found["metrics"][0]["values"] == {"a": 0.2, "b": 0.5}
    assert "points" not in found["metrics"][0]["comparisons"][0] and "units" not in found


def test_concluding_keeps_the_report(database, tmp_path):
    clicking().write(database)
    done = Experiments(database, ReleaseStore(tmp_path / "releases")).conclude("test", winner="b", reason="it is better")
    assert done.as_json()["outcome"]["report"]["decision"]["winner"] == "b"


def test_what_cannot_be_reported_on_says_so(database):
    story = clicking()
    with pytest.raises(UnknownExperiment, match="no experiment 'test'"):
        make_report(database, "test")
    story.write(database)
    with database.begin() as connection:
        connection.execute(update(EXPERIMENTS).values(state="draft", started=None, ended=None))
    with pytest.raises(WrongState, match="has not started"):
        make_report(database, "test")
    assert ExperimentRecords(database).get("test") is not None


def test_nobody_yet_is_too_early(database):
    report = told(database, Story(definition(guardrails=[{"metric": "latency"}])))
    assert report.decision.status == "too early"
    assert report.primary.values == {"a": None, "b": None}
