"""Which answers and events count, for whom and when; every figure by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from app.experiments.metrics import METRICS, Metric
from app.experiments.outcomes import Outcomes, read_outcomes
from app.store import Database, ExperimentRecords
from app.store.tables import EVENTS, EXPERIMENTS, microseconds
from tests.app.experiments.stores import START, Story, at, definition

CLICKS = METRICS["click-through"]
CONVERSION = METRICS["conversion"]
RATING = METRICS["mean-rating"]
SESSION_VALUE = METRICS["session-value"]
LATENCY = METRICS["latency"]
ALL = definition(primary="click-through", secondary=["conversion", "mean-rating", "session-value", "latency"])
LATE = at(1000)


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    yield database
    database.close()


def read(database: Database, story: Story, **options: Any) -> Outcomes:
    """The store received everything long ago, so that only the time at which things happened matters."""
    record = story.write(database)
    with database.begin() as connection:
        connection.execute(update(EVENTS).values(received=LATE))
    return read_outcomes(database, record, now=options.pop("now", LATE), **options)


def per_unit(outcomes: Outcomes, metric: Metric, hours: float = 1000) -> dict[str, Any]:
    """Numerator and, for quotients, denominator of each unit that takes part by then."""
    (found,) = outcomes.measured(metric, [at(hours)])
    below = found.denominator_N
    values = found.numerator_N if below is None else np.stack([found.numerator_N, below], axis=1)
    return {name: values[row].tolist() for row, name in enumerate(outcomes.units.names) if found.is_in_N[row]}


def before(outcomes: Outcomes, metric: Metric) -> dict[str, Any] | None:
    (found,) = outcomes.measured(metric, [outcomes.end])
    if found.before_numerator_N is None:
        return None
    below = found.before_denominator_N
    values = found.before_numerator_N if below is None else np.stack([found.before_numerator_N, below], axis=1)
    return {name: values[row].tolist() for row, name in enumerate(outcomes.units.names)}


def test_all_metrics_of_a_small_experiment(database):
    """Two users; u1 has two answers, one click, one rating and a purchase, u2 one answer and nothing."""
    story = Story(ALL)
    first = story.answer("u1", "a", 1, session="s1", milliseconds=2.0)
    story.answer("u1", "a", 5, session="s2", milliseconds=4.0)
    story.answer("u2", "b", 2, session="s3", milliseconds=3.0)
    story.click(first, 1.1)
    story.event("rating", 6, user="u1", value=4.0, item="i")
    story.event("rating", 7, user="u1", value=2.0, item="j")
    story.event("conversion", 8, user="u1", value=9.5, session="s4")
    story.event("conversion", 9, user="u1", value=0.5, session="s4")
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == {"u1": [1.0, 2.0], "u2": [0.0, 1.0]}
    assert per_unit(outcomes, CONVERSION) == {"u1": 1.0, "u2": 0.0}
    assert per_unit(outcomes, RATING) == {"u1": [6.0, 2.0], "u2": [0.0, 0.0]}
    assert per_unit(outcomes, SESSION_VALUE) == {"u1": [10.0, 3.0], "u2": [0.0, 1.0]}
    assert per_unit(outcomes, LATENCY) == {"u1": [6.0, 2.0], "u2": [3.0, 1.0]}
    assert outcomes.units.variant_N.tolist() == [0, 1]
    assert outcomes.units.propensity_N.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("of", "expected"), [("value", {"u1": [7.0, 2.0]}), ("count", {"u1": [3.0, 2.0]}), ("any", {"u1": [2.0, 2.0]})]
)
def test_per_session_only_what_is_of_a_session_counts(database, of, expected):
    """A purchase of 4 in a session; of 2 after an answer in it, and of 1 after an answer in another; of 100 and 200 in none."""
    metric = Metric(name="test", event="conversion", of=of, per="session")
    story = Story(definition(primary=metric))
    first = story.answer("u1", "a", 1, session="s1")
    second = story.answer("u1", "a", 2, session="s2")
    nowhere = story.answer("u1", "a", 3)
    story.event("conversion", 4, user="u1", value=4.0, session="s1")
    story.event("conversion", 5, request_id=first, value=2.0)
    story.event("conversion", 6, request_id=second, value=1.0)
    story.event("conversion", 7, user="u1", value=100.0)
    story.event("conversion", 8, request_id=nowhere, value=200.0)
    assert per_unit(read(database, story), metric) == expected


def test_sessions_are_read_where_a_metric_asks_for_them_and_figures_are_the_same_without(database):
    """Clicks of two units of a session each, with `session-value` in the definition and without; the units are sessions."""
    story = Story(definition(unit="session"))
    story.click(story.answer("s1", "a", 1), 2, session="s1")
    story.answer("s2", "b", 1, fallback="popularity")
    plain = read(database, story)
    with database.begin() as connection:
        asking = definition(unit="session", secondary=["session-value"]).model_dump_json()
        connection.execute(update(EXPERIMENTS).values(definition=asking))
    record = ExperimentRecords(database).get("test")
    assert record is not None
    named = read_outcomes(database, record, now=LATE)
    assert per_unit(plain, CLICKS) == per_unit(named, CLICKS) == {"s1": [1.0, 1.0], "s2": [0.0, 1.0]}
    assert plain.answers.session_A.tolist() == [-1, -1] and sorted(named.answers.session_A.tolist()) == [0, 1]
    for field in ("variant_A", "fallback_A", "unit_A", "is_before_A"):
        assert getattr(plain.answers, field).tolist() == getattr(named.answers, field).tolist()
    assert sorted(plain.answers.fallback_A.tolist()) == [-1, 1]


def test_a_metric_is_known_as_it_was_at_any_time(database):
    story = Story(ALL)
    first = story.answer("u1", "a", 1)
    story.answer("u1", "a", 5)
    story.answer("u2", "b", 2)
    story.click(first, 3)
    outcomes = read(database, story)
    assert [per_unit(outcomes, CLICKS, hours) for hours in (0.5, 1, 2.9, 3, 5)] == [
        {},
        {"u1": [0.0, 1.0]},
        {"u1": [0.0, 1.0], "u2": [0.0, 1.0]},
        {"u1": [1.0, 1.0], "u2": [0.0, 1.0]},
        {"u1": [1.0, 2.0], "u2": [0.0, 1.0]},
    ]
    looks = [at(1), at(3), at(50)]
    together = [each.numerator_N.tolist() for each in outcomes.measured(CLICKS, looks)]
    assert together == [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]


def test_what_was_before_the_exposure_does_not_count_for_the_experiment(database):
    """Also where it was after the experiment's start."""
    story = Story(ALL)
    story.answer("u1", "a", 10)
    story.event("conversion", 9.9, user="u1", value=5.0)
    story.event("rating", 10.1, user="u1", value=3.0)
    outcomes = read(database, story)
    assert per_unit(outcomes, CONVERSION) == {"u1": 0.0}
    assert per_unit(outcomes, RATING) == {"u1": [3.0, 1.0]}
    assert before(outcomes, CONVERSION) is None


def test_what_was_before_the_start_is_the_time_before(database):
    """The experiment ran for 48 hours, so 48 hours are looked at; answers of the surface count, whatever ranker made them."""
    story = Story(ALL)
    long_ago = story.answer("u1", None, -49)
    old = story.answer("u1", None, -40)
    story.answer("u1", None, -30)
    story.answer("u1", None, -20, surface="search")
    story.answer("stranger", None, -20)
    story.click(long_ago, -48.5)
    story.click(old, -39)
    story.click(old, 5, item="late", user="u1")
    story.event("conversion", -10, user="u1", value=2.0)
    story.event("conversion", -10, user="stranger", value=2.0)
    story.answer("u1", "a", 1)
    story.answer("u2", "b", 1)
    outcomes = read(database, story)
    assert before(outcomes, CLICKS) == {"u1": [1.0, 2.0], "u2": [0.0, 0.0]}
    assert before(outcomes, CONVERSION) == {"u1": 1.0, "u2": 0.0}
    assert before(outcomes, RATING) is None
    assert per_unit(outcomes, CLICKS) == {"u1": [0.0, 1.0], "u2": [0.0, 1.0]}
    longer = read_outcomes(database, story_record(database), now=LATE, before=timedelta(hours=50))
    assert before(longer, CLICKS) == {"u1": [2.0, 3.0], "u2": [0.0, 0.0]}


def story_record(database):
    from app.store import ExperimentRecords  # noqa: PLC0415 - only here

    return ExperimentRecords(database).get("test")


def test_after_the_end_only_what_follows_an_answer_counts_and_only_for_an_hour(database):
    story = Story(ALL, ended=10.0)
    last = story.answer("u1", "a", 9.9)
    story.answer("u1", None, 10.2)
    story.click(last, 10.9, item="in time")
    story.click(last, 11.1, item="too late")
    story.event("rating", 10.5, user="u1", value=1.0)
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == per_unit(outcomes, CLICKS, 10.0) == {"u1": [1.0, 1.0]}
    assert per_unit(outcomes, RATING) == {"u1": [0.0, 0.0]}
    wider = read_outcomes(database, story_record(database), now=LATE, attribution=timedelta(hours=2))
    assert per_unit(wider, CLICKS) == {"u1": [2.0, 1.0]}


def test_while_it_runs_what_has_happened_counts(database):
    story = Story(ALL, ended=None)
    first = story.answer("u1", "a", 1)
    story.answer("u2", "b", 3)
    story.click(first, 1.5)
    story.click(first, 2.5, item="j")
    outcomes = read(database, story, now=at(2))
    assert per_unit(outcomes, CLICKS) == {"u1": [1.0, 1.0]}
    assert outcomes.end == at(2)


def test_an_event_counts_when_it_arrived_if_its_clock_is_ahead_and_never_before_its_answer(database):
    story = Story(ALL)
    first = story.answer("u1", "a", 1)
    story.click(first, 0.5)
    story.event("conversion", 400, user="u1", value=1.0)
    record = story.write(database)
    with database.begin() as connection:
        connection.execute(update(EVENTS).values(received=at(2)))
    outcomes = read_outcomes(database, record, now=LATE)
    assert per_unit(outcomes, CLICKS) == {"u1": [1.0, 1.0]}
    assert per_unit(outcomes, CONVERSION) == {"u1": 1.0}
    assert sorted(outcomes.events.time_E.tolist()) == [microseconds(at(1)), microseconds(at(2))]


def test_several_clicks_on_one_item_of_one_answer_count_once(database):
    """Clicks on different items, and on one item of different answers, are different clicks; purchases all count."""
    story = Story(ALL)
    first, second = story.answer("u1", "a", 1), story.answer("u1", "a", 2)
    for _ in range(3):
        story.click(first, 3, item="i")
    story.click(first, 3, item="j")
    story.click(second, 3, item="i")
    story.event("conversion", 4, user="u1", request_id=first, item="i", value=2.0)
    story.event("conversion", 4, user="u1", request_id=first, item="i", value=2.0)
    story.event("conversion", 4, user="u1")
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == {"u1": [3.0, 2.0]}
    assert per_unit(outcomes, Metric(name="revenue", event="conversion", of="value")) == {"u1": 4.0}
    assert per_unit(outcomes, Metric(name="purchases", event="conversion")) == {"u1": 2.0}
    share = Metric(name="clicked", event="click", of="any", per="impression")
    assert per_unit(outcomes, share) == {"u1": [2.0, 2.0]}


def test_whose_an_event_is(database):
    """Its own user; else the one who got the answer that it follows; else nobody."""
    story = Story(ALL)
    first = story.answer("u1", "a", 1)
    story.answer("u2", "b", 1)
    story.event("rating", 2, request_id=first, value=1.0)
    story.event("rating", 2, user="u2", request_id=first, value=2.0)
    story.event("rating", 2, user="u2", value=4.0)
    story.event("rating", 2, session="unknown", value=8.0)
    story.event("rating", 2, user="stranger", value=16.0)
    story.event("rating", 2, request_id="nothing", value=32.0)
    outcomes = read(database, story)
    assert per_unit(outcomes, RATING) == {"u1": [1.0, 1.0], "u2": [6.0, 2.0]}
    assert (
        int(outcomes.events.is_lost_E.sum()) == 1
    )  # that of the session; the last one follows an answer which was not written down


def test_a_click_on_something_else_than_an_answer_of_the_experiment_is_no_click_through(database):
    """For other metrics all that a unit does counts; a click that names no answer counts as one on the experiment's."""
    story = Story(ALL)
    story.answer("u1", "a", 1)
    search = story.answer("u1", None, 2, surface="search")
    story.click(search, 3, user="u1")
    story.event("click", 3, user="u1", item="i")
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == {"u1": [1.0, 1.0]}
    assert per_unit(outcomes, Metric(name="clicks", event="click")) == {"u1": 2.0}


def test_overrides_do_not_count(database):
    """Neither the answers of somebody who chose the variant, nor what follows them, nor a unit that has an override."""
    story = Story(definition(overrides={"tester": "b"}))
    tried = story.answer("u1", "b", 1, is_override=True)
    story.click(tried, 1.5)
    first = story.answer("u1", "a", 2)
    story.click(tried, 2.5)
    story.click(first, 3)
    tester = story.answer("tester", "b", 1)
    story.click(tester, 2)
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == {"u1": [1.0, 1.0]}
    assert outcomes.units.exposed_N.tolist() == [microseconds(at(2))]


def test_a_unit_is_exposed_from_its_first_answer_on_whichever_process_wrote_it_down_first(database):
    """The assignment was written with the answer of hour 5; that of hour 2 came to the store later."""
    story = Story()
    story.answer("u1", "a", 5)
    first = story.answer("u1", "a", 2)
    story.click(first, 3)
    outcomes = read(database, story)
    assert outcomes.units.exposed_N.tolist() == [microseconds(at(2))]
    assert per_unit(outcomes, CLICKS, 4) == {"u1": [1.0, 1.0]}


def test_a_fallback_counts_for_the_variant_that_was_assigned(database):
    story = Story()
    first = story.answer("u1", "b", 1, release="popularity/v1", fallback="champion")
    story.click(first, 2)
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == {"u1": [1.0, 1.0]}
    assert outcomes.units.variant_N.tolist() == [1]
    assert outcomes.answers.fallback_A.tolist() == [0]


def test_sessions_are_units_where_the_experiment_says_so(database):
    story = Story(definition(unit="session"))
    first = story.answer("s1", "a", 1, user="u1")
    story.answer("s2", "b", 1, user="u1")
    story.event("click", 2, user="u1", session="s2", item="i")
    story.click(first, 2, user="u1")
    story.event("click", 2, user="u1", item="j")
    outcomes = read(database, story)
    assert per_unit(outcomes, CLICKS) == {"s1": [1.0, 1.0], "s2": [1.0, 1.0]}
    assert int(outcomes.events.is_lost_E.sum()) == 1


def test_nobody_yet(database):
    outcomes = read(database, Story())
    assert per_unit(outcomes, CLICKS) == {}
    assert outcomes.looks() == [at(48)]


def test_looks_are_days_or_thirty_where_that_is_more_or_less_than_a_few(database):
    story = Story(ended=24.0 * 10)
    story.answer("u1", "a", 0)
    outcomes = read(database, story)
    assert outcomes.looks() == [at(24 * day) for day in range(1, 11)]
    assert len(outcomes.looks(5)) == 5
    shorter = read_outcomes(database, story_record(database), now=at(30))
    assert len(shorter.looks()) == 30
    assert outcomes.start == START


def many(seed: int) -> Story:
    """300 answers and as many events of everybody and everything, some twice."""
    rng = np.random.default_rng(seed)
    story = Story(ALL)
    for _ in range(300):
        user = int(rng.integers(40))
        variant = None if rng.random() < 0.2 else "ab"[user % 2]
        hours = float(rng.uniform(-48, 0) if variant is None else rng.uniform(0, 48))
        story.answer(f"u{user}", variant, hours, session=f"s{rng.integers(60)}", milliseconds=float(rng.exponential(3.0)))
    for _ in range(300):
        fields: dict[str, Any] = {"user": f"u{rng.integers(45)}", "item": f"i{rng.integers(5)}", "value": float(rng.normal())}
        if rng.random() < 0.6:
            fields["request_id"] = f"r{rng.integers(310)}"
        if rng.random() < 0.3:
            fields["session"] = f"s{rng.integers(60)}"
        if "request_id" in fields and rng.random() < 0.5:
            del fields["user"]
        story.event(str(rng.choice(["click", "rating", "conversion"])), float(rng.integers(-50, 50)), **fields)
    for _ in range(20):  # at one time, so that only their values can put them in order
        story.event("conversion", 47.0, user="u1", value=float(rng.normal()))
    return story


def test_the_order_of_delivery_and_delivering_twice_change_nothing(database, tmp_path):
    """To the last bit, at every look."""
    story = many(1)
    outcomes = read(database, story)
    order = np.random.default_rng(2).permutation(np.repeat(np.arange(len(story.events)), 2))
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    shuffled = Story(story.experiment)
    shuffled.impressions = story.impressions
    shuffled.events = [story.events[place] for place in order]
    again = read(other, shuffled)
    compared = 0
    for metric, looks in itertools.product(ALL.metrics, (outcomes.looks(7), [outcomes.end])):
        for first, second in zip(outcomes.measured(metric, looks), again.measured(metric, looks), strict=True):
            for name in first.__slots__:
                one, two = getattr(first, name), getattr(second, name)
                assert (one is None and two is None) or np.array_equal(one, two)
                compared += 1
    assert compared == 5 * (7 + 1) * 5
    other.close()
