"""Bandits in the running service: the better variant gets more units, once a period, whichever process does it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest

from app.experiments.kept import KeptExperiment
from app.experiments.reallocating import Reallocations, weights_of
from app.store import Event, ExperimentRecords, Impression, insert_events, insert_impressions
from app.store.tables import ALLOCATIONS, EXPERIMENT_CHANGES
from tests.app.experiments import stores
from tests.app.experiments.service import Service, definition, publish

NUMBERS = count()


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("bandits"))


@pytest.fixture
def services(store_url, releases):
    services = [Service(store_url, releases) for _ in range(2)]
    yield services
    for service in services:
        service.close()


def begin(service, primary="conversion", **bandit):
    service.experiments.create(definition(kind="bandit", primary=primary, bandit={"floor": 0.1, "minutes": 60.0, **bandit}))
    service.experiments.start("test")
    service.running.follow()


def reallocations(service):
    return Reallocations(service.database, service.experiments, lambda: service.running.running, np.random.default_rng(0))


def let_time_pass(service, hours=2):
    """As if everything had happened earlier."""
    with service.database.begin() as connection:
        for row in connection.execute(ALLOCATIONS.select()).all():
            earlier = ALLOCATIONS.update().where(ALLOCATIONS.c.revision == row.revision)
            connection.execute(earlier.values(time=row.time - timedelta(hours=hours)))
        for row in connection.execute(EXPERIMENT_CHANGES.select()).all():
            earlier = EXPERIMENT_CHANGES.update().where(EXPERIMENT_CHANGES.c.number == row.number)
            connection.execute(earlier.values(time=row.time - timedelta(hours=hours)))


def visits(service, num, converting):
    """Each of so many users gets an answer of the variant it is assigned, and a part of each variant's users buys something."""
    seen = dict.fromkeys(converting, 0)
    impressions, events = [], []
    for _ in range(num):
        user = f"u{next(NUMBERS)}"
        part, unit, _ = service.assign("recommendations", user)
        now = datetime.now(UTC)
        impressions.append(
            Impression(
                request_id=f"r{user}",
                time=now,
                surface="recommendations",
                user=user,
                session=None,
                experiment=part.experiment,
                unit=unit,
                variant=part.variant,
                propensity=part.propensity,
                revision=part.revision,
                release=part.releases[0],
                milliseconds=1.0,
                items="[]",
            )
        )
        seen[part.variant] += 1
        if seen[part.variant] % 100 < converting[part.variant] * 100:
            events.append(Event(id=f"e{user}", type="conversion", time=now, user=user, request_id=f"r{user}", value=1.0))
    with service.database.begin() as connection:
        insert_impressions(connection, impressions)
        insert_events(connection, events)
    return seen


def test_the_better_variant_gets_more_and_the_other_keeps_its_floor(services):
    """10% against 30% of 200 users each leaves no doubt; what units are assigned with, is logged."""
    first, second = services
    begin(first)
    second.running.follow()
    visits(first, 400, {"control": 0.1, "treatment": 0.3})
    assert reallocations(first).follow() == []  # not due yet
    let_time_pass(first)
    assert reallocations(first).follow() == ["test"]
    assert reallocations(second).follow() == []  # the other has done it
    for service in services:
        service.running.follow()
    shares = first.experiments.get("test").allocation.shares
    assert shares["control"] == pytest.approx(0.1, abs=0.001) and shares["treatment"] == pytest.approx(0.9, abs=0.001)
    seen = visits(second, 400, {"control": 0.1, "treatment": 0.3})
    assert 15 < seen["control"] < 75
    fresh = second.assign("recommendations", "somebody new").part
    assert fresh.propensity == shares[fresh.variant]
    assert [change.action for change in first.experiments.history("test")] == ["create", "start", "reallocate"]


def test_of_processes_that_find_it_due_at_once_one_is_heard(services):
    begin(services[0])
    services[1].running.follow()
    visits(services[0], 100, {"control": 0.1, "treatment": 0.3})
    let_time_pass(services[0])
    followers = [reallocations(service) for service in services]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda follower: follower.follow(), followers))
    assert sorted(map(len, done)) == [0, 1]
    assert not followers[0]._reallocate("test")  # as one that looked before it was done, and comes after


def test_shares_that_stay_are_no_new_allocation_and_are_looked_at_when_it_is_due_again(services):
    """Services would have to read all exposures again for each allocation."""
    first, second = services
    begin(first)
    before = first.experiments.get("test")
    for _ in range(2):
        visits(first, 10, {"control": 0.0, "treatment": 1.0})
        let_time_pass(first)
        assert reallocations(first).follow() == ["test"]
        assert reallocations(first).follow() == reallocations(second).follow() == []
        for service in services:
            service.running.follow()
    after = first.experiments.get("test")
    assert list(ExperimentRecords(first.database).allocations("test")) == [before.allocated_in] == [after.allocated_in]
    assert [change.action for change in first.experiments.history("test")] == ["create", "start", "reallocate", "reallocate"]


def test_few_units_leave_shares_equal(services):
    begin(services[0])
    visits(services[0], 20, {"control": 0.0, "treatment": 1.0})
    weights = weights_of(services[0].database, services[0].experiments.get("test"), np.random.default_rng(0))
    assert weights == {"control": 0.5, "treatment": 0.5}


def test_a_metric_that_nobody_has_anything_of_leaves_shares_equal(services):
    """A mean rating without a single rating has nothing to divide by."""
    begin(services[0], primary="mean-rating")
    visits(services[0], 100, {"control": 0.0, "treatment": 0.0})
    weights = weights_of(services[0].database, services[0].experiments.get("test"), np.random.default_rng(0))
    assert weights == {"control": 0.5, "treatment": 0.5}


def test_shares_do_not_follow_the_tide(services):
    """On the first day half of all buy, on the second none. Most of `b` is of the second day, and it is no worse for that."""
    story = stores.Story(experiment=stores.definition(kind="bandit", primary="conversion"))
    for day, share_of_a in ((0, 0.8), (24, 0.2)):
        for user in range(1000):
            variant = "a" if user % 5 < 5 * share_of_a else "b"
            chance, unit = share_of_a if variant == "a" else 1 - share_of_a, f"d{day}u{user}"
            story.answer(unit, variant, day + 1, propensity=chance, revision=2 + (day > 0))
            if day == 0 and user % 2:
                story.event("conversion", 2, user=unit)
    record = story.write(services[0].database)
    weights = weights_of(services[0].database, KeptExperiment(record), np.random.default_rng(0))
    assert weights["a"] == pytest.approx(0.5, abs=0.1)


def test_where_less_is_better_less_gets_more(services):
    story = stores.Story(experiment=stores.definition(kind="bandit", primary="latency"))
    for user in range(200):
        variant = "ab"[user % 2]
        story.answer(f"u{user}", variant, 1, milliseconds=(2.0 if variant == "a" else 3.0) + user % 3 / 10)
    record = story.write(services[0].database)
    weights = weights_of(services[0].database, KeptExperiment(record), np.random.default_rng(0))
    assert weights["a"] > 0.9


def test_stopped_bandits_and_other_experiments_stay_as_they_are(services):
    service = services[0]
    service.experiments.create(definition("ab"))
    service.experiments.start("ab")
    service.running.follow()
    let_time_pass(service)
    assert reallocations(service).follow() == []
    service.experiments.stop("ab")
    begin(service)
    let_time_pass(service)
    service.experiments.stop("test")
    assert reallocations(service).follow() == []  # the service has not heard of the stop yet


def test_what_goes_wrong_with_one_bandit_does_not_keep_the_others_as_they_are(services, monkeypatch):
    service = services[0]
    for name in ("broken", "whole"):
        service.experiments.create(definition(name, kind="bandit", layer="bandits", traffic=0.5))
        service.experiments.start(name)
    service.running.follow()
    let_time_pass(service)
    reallocate = service.experiments.reallocate

    def some(name, weights, *, revision):
        assert name != "broken"
        return reallocate(name, weights, revision=revision)

    monkeypatch.setattr(service.experiments, "reallocate", some)
    assert reallocations(service).follow() == ["whole"]


def test_what_goes_wrong_is_told_once(services, caplog, monkeypatch):
    begin(services[0])
    let_time_pass(services[0])
    follower = reallocations(services[0])
    monkeypatch.setattr(services[0].experiments, "reallocate", None)
    for _ in range(3):
        assert follower.follow() == []
    assert len([record for record in caplog.records if "cannot be reallocated" in record.getMessage()]) == 1
