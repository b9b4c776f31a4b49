"""Running services follow the store, and units keep the variants that they have seen."""

from __future__ import annotations

import logging
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.errors import QueryInvalid
from app.experiments import live
from app.experiments.assignment import position, variant_space
from app.store import release_records
from tests.app.experiments.service import Service, definition, publish

USERS = [f"u{number}" for number in range(400)]


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return publish(tmp_path_factory.mktemp("live"))


@pytest.fixture
def services(store_url, releases):
    """As many services on one store as a test wants, each as in a process of its own."""
    with ExitStack() as stack:

        def start() -> Service:
            service = Service(store_url, releases)
            stack.callback(service.close)
            service.running.follow()
            return service

        yield start


def test_every_process_gives_a_unit_the_same_variant_and_all_variants_are_given(services):
    first, second = services(), services()
    first.experiments.create(definition())
    assert first.seen("u1") is None
    first.experiments.start("test")
    for service in (first, second):
        service.running.follow()
    seen = {user: first.seen(user) for user in USERS}
    assert seen == {user: second.seen(user) for user in USERS}
    treated = sum(variant == "treatment" for _, variant in seen.values())
    assert 160 < treated < 240
    assert services().assign("recommendations", "u1", None)[0].variant == seen["u1"][1]  # after a restart
    assert first.assign("search", "u1", None) is None
    assert first.assign("recommendations", None, "s1") is None
    first.experiments.stop("test")
    second.running.follow()
    assert second.seen("u1") is None and not second.running.plans


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sets(st.integers(0, 399), max_size=60),
            st.sampled_from([0.1, 1.0, 3.0, 9.0]),
            st.sampled_from(["", "restart", "stop"]),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_who_has_seen_a_variant_sees_it_whatever_weights_become(releases, steps):
    """Two processes on one store; units are exposed in either, weights change, processes restart, the experiment stops and starts."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        url = f"sqlite:///{Path(folder) / 'irgan.db'}"

        def started() -> Service:
            service = Service(url, releases)
            stack.callback(service.close)
            service.running.follow()
            return service

        services = [started(), started()]
        services[0].experiments.create(definition())
        services[0].experiments.start("test")
        shown: dict[str, tuple[str, str]] = {}
        for exposed, weight, also in steps:
            for service in services:
                service.running.follow()
            for number in sorted(exposed):
                user = USERS[number]
                for service in (services[number % 2], services[1 - number % 2]):
                    seen = service.seen(user)
                    assert seen is not None
                    assert shown.setdefault(user, seen) == seen
            for service in services:
                service.impressions.flush()
            services[1].experiments.update("test", weights={"treatment": weight})
            if also == "stop":
                services[0].experiments.stop("test")
                services[1].experiments.start("test")
            if also == "restart":
                services[0] = started()
        for service in services:
            service.running.follow()
        assert {user: services[0].seen(user) for user in shown} == shown
        assert {user: services[1].seen(user) for user in shown} == shown
        kept = services[0].experiments.get("test").allocation
        owners = kept.variant_of()
        unseen = [user for user in USERS if user not in shown]
        assert all(services[0].seen(user)[1] == owners.at(position(variant_space("test"), user)) for user in unseen)


def test_a_service_that_is_behind_exposes_one_unit_after_another_and_each_is_kept(services):
    """Whoever knows of the new shares asks for what is newer than what it has read, and misses none, be it the very next."""
    first, behind = services(), services()
    first.experiments.create(definition())
    first.experiments.start("test")
    for service in (first, behind):
        service.running.follow()
    first.experiments.update("test", weights={"treatment": 9.0})
    first.running.follow()
    moved = [
        user
        for user in USERS
        if first.assign("recommendations", user)[0].variant != behind.assign("recommendations", user)[0].variant
    ]
    assert len(moved) > 100
    for user in moved[:3]:
        seen = behind.seen(user)
        behind.impressions.flush()
        first.running.follow()
        assert first.assign("recommendations", user)[0].variant == seen[1]


def test_only_those_that_moved_must_be_known(services):
    service = services()
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    before = {user: service.seen(user)[1] for user in USERS}
    propensity = service.assign("recommendations", "u1", None).part.propensity
    service.experiments.update("test", weights={"treatment": 3})
    service.running.follow()
    stay = service.running.plans["recommendations"].experiments["test"]._stay
    assert 60 < len(stay) < 140  # a quarter of all positions moved
    assert {before[user] for user in stay} == {"control"}
    moved = service.assign("recommendations", next(iter(stay)), None)
    assert (moved.part.variant, moved.part.propensity) == ("control", propensity)  # the chance that it had


def test_the_log_that_the_documentation_makes_of_a_store_has_the_chance_that_each_unit_had(services):
    """Half of them saw something while shares were equal, the others when they were 1 : 3, and all of them again then."""
    page = (Path(__file__).parents[3] / "docs/counterfactual.md").read_text(encoding="utf-8")
    query = page[page.index("SELECT i.variant") : page.index("Written to a CSV")].replace("'NAME'", "'test'")
    service = services()
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    early, late = USERS[:200], USERS[200:]
    before = {user: service.seen(user)[1] for user in early}
    service.experiments.update("test", weights={"treatment": 3})
    service.running.follow()
    shares = {"control": 0.25, "treatment": 0.75}
    expected = {**dict.fromkeys(early, 0.5), **{user: shares[service.seen(user)[1]] for user in late}}
    for user in early:
        assert service.seen(user)[1] == before[user]
    service.impressions.flush()
    with service.database.read() as connection:
        found = connection.execute(text(query)).all()
    assert len(found) == 600
    assert all(row.propensity == expected[row.user_id] for row in found)


def ahead_and_behind(services):
    """Two services, of which the second does not know of new weights yet, and exposes units by the old ones."""
    ahead, behind = services(), services()
    ahead.experiments.create(definition())
    ahead.experiments.start("test")
    for service in (ahead, behind):
        service.running.follow()
    ahead.experiments.update("test", weights={"treatment": 1000})
    ahead.running.follow()
    return ahead, behind


def test_an_exposure_that_another_process_writes_late_is_found(services):
    """For a while after a change all look again."""
    ahead, behind = ahead_and_behind(services)
    late = next(user for user in USERS if behind.seen(user) == ("test", "control"))
    behind.impressions.flush()
    ahead.running.follow()
    assert ahead.seen(late) == ("test", "control")


def test_an_exposure_that_is_written_much_later_is_found_in_the_end(services, monkeypatch):
    """Another process could not reach the store while weights changed; it is looked for now and then, and nothing is planned anew for nothing."""
    ahead, behind = ahead_and_behind(services)
    monkeypatch.setattr(ahead.running._exposed["test"], "_settled_at", 0.0)
    late = next(user for user in USERS if behind.seen(user) == ("test", "control"))
    behind.impressions.flush()
    monkeypatch.setattr(ahead.running._exposed["test"], "_look_again_at", 0.0)
    ahead.running.follow()
    assert ahead.seen(late) == ("test", "control")
    plans, exposed = ahead.running.plans, ahead.running._exposed["test"]
    ahead.running._impressions.flush()
    shown = exposed._since
    for _ in range(2):
        monkeypatch.setattr(ahead.running._exposed["test"], "_look_again_at", 0.0)
        ahead.running.follow()
    assert ahead.running.plans is plans
    assert exposed._since > shown  # no row is looked through twice


def test_who_is_exposed_while_new_weights_are_being_followed_keeps_the_variant(services, monkeypatch):
    """The exposures have been read, and the plan before goes on answering until the new one is made."""
    service = services()
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    service.experiments.update("test", weights={"treatment": 1000})
    read = service.running._records.exposures
    shown: dict[str, tuple[str, str]] = {}

    @contextmanager
    def exposures(name, **options):
        with read(name, **options) as (last, found):
            kept = list(found)
            shown.update((user, service.seen(user)) for user in USERS)
            yield last, iter(kept)

    monkeypatch.setattr(service.running._records, "exposures", exposures)
    service.running.follow()
    assert 160 < sum(variant == "control" for _, variant in shown.values()) < 240
    assert {user: service.seen(user) for user in USERS} == shown


def test_exposures_are_read_once_and_then_only_what_is_new(services, monkeypatch):
    """Whatever else changes: another experiment, the traffic, overrides. What is read again and again grows with all who were ever exposed."""
    service = services()
    for name, surface in (("test", "recommendations"), ("other", "search")):
        service.experiments.create(definition(name, surface=surface))
        service.experiments.start(name)
    service.running.follow()
    seen = {user: service.seen(user) for user in USERS}
    read, found = service.running._records.exposures, []

    @contextmanager
    def exposures(name, **options):
        with read(name, **options) as (last, rows):
            kept = list(rows)
            found.append((name, options["since"] is None, len(kept)))
            yield last, iter(kept)

    monkeypatch.setattr(service.running._records, "exposures", exposures)
    service.experiments.update("test", weights={"treatment": 3})
    service.running.follow()
    num_controls = sum(variant == "control" for _, variant in seen.values())
    assert found == [("test", True, num_controls)]  # whoever has seen the treatment sees it as before
    new = next(user for user in (f"n{number}" for number in range(100)) if service.seen(user) == ("test", "control"))
    service.running.follow()
    assert found[1:] == [("test", False, 0)]
    found.clear()
    for _ in range(2):
        service.experiments.update("other", overrides={"u1": "control"})
        service.experiments.update("test", traffic=0.9, overrides={"u2": "treatment"})
        service.experiments.update("test", traffic=1.0, overrides={"u2": None})
        service.running.follow()
        monkeypatch.setattr(service.running._exposed["test"], "_settled_at", 0.0)
    assert found == [("test", False, 0)]  # of the first of the two times, since the weights are new
    assert {user: service.seen(user) for user in [*USERS, new]} == {**seen, new: ("test", "control")}


def test_who_was_exposed_under_shares_that_came_and_went_unnoticed_keeps_the_variant(services):
    """One process moves units away, shows them the other variant and moves them back, while another looks elsewhere."""
    ahead, behind = services(), services()
    ahead.experiments.create(definition())
    ahead.experiments.start("test")
    for service in (ahead, behind):
        service.running.follow()
    first = ahead.experiments.get("test")
    ahead.experiments.update("test", weights={"treatment": 1000})
    ahead.running.follow()
    treated = [user for user in USERS if ahead.seen(user) == ("test", "treatment")]
    ahead.impressions.flush()
    records = ahead.running._records
    with ahead.database.begin() as connection:
        (record,) = records.in_transaction(connection, "running")
        assert record.allocated_in > first.allocated_in
        records.change(connection, record, "update", allocation=first.record.allocation)
    for service in (ahead, behind):
        service.running.follow()
        assert {service.seen(user) for user in treated} == {("test", "treatment")}
    assert len(treated) > 350


def test_a_store_of_former_times_is_followed_too(services):
    """Numbers of changes go back where a backup takes the store's place; here what came later is undone in the tables."""
    service = services()
    service.experiments.create(definition())
    service.experiments.start("test")
    last = service.running._records.last_change()
    former = service.experiments.get("test").record.definition
    service.experiments.update("test", overrides={"u1": "control"})
    service.experiments.create(definition("search", surface="search"))
    service.experiments.start("search")
    service.running.follow()
    assert service.assign("search", "u1", None) is not None and service.assign("recommendations", "u1", None).is_override
    with service.database.begin() as connection:
        connection.execute(text("DELETE FROM experiment_changes WHERE number > :last"), {"last": last})
        connection.execute(text("DELETE FROM experiments WHERE name = 'search'"))
        connection.execute(text("UPDATE experiments SET definition = :former"), {"former": former})
    service.running.follow()
    assert service.assign("search", "u1", None) is None
    assert not service.assign("recommendations", "u1", None).is_override


def test_experiments_of_one_layer_share_no_unit_and_others_are_independent(services):
    service = services()
    for name, traffic in (("one", 0.5), ("two", 0.3)):
        service.experiments.create(definition(name, traffic=traffic))
        service.experiments.start(name)
    service.experiments.create(definition("search", surface="search"))
    service.experiments.start("search")
    service.running.follow()
    inside = {user: service.seen(user) for user in USERS}
    counts = {name: sum(seen is not None and seen[0] == name for seen in inside.values()) for name in ("one", "two")}
    assert 160 < counts["one"] < 240 and 85 < counts["two"] < 155
    assert sum(seen is None for seen in inside.values()) == 400 - sum(counts.values())
    assert all(service.seen(user, "search") is not None for user in USERS)


def test_which_experiment_and_which_variant_have_nothing_to_do_with_each_other(services):
    """Also where an experiment is called as its layer is: of the half of the units that take part, half see each variant."""
    service = services()
    service.experiments.create(definition("recommendations", traffic=0.5))
    service.experiments.start("recommendations")
    service.running.follow()
    seen = [part[1] for user in USERS if (part := service.seen(user)) is not None]
    assert 160 < len(seen) < 240 and 0.4 < seen.count("control") / len(seen) < 0.6


def test_overrides_choose_a_variant_and_do_not_count(services):
    service = services()
    service.experiments.create(definition(traffic=0.01, overrides={"tester": "treatment"}))
    service.experiments.start("test")
    service.running.follow()
    assign = service.assign
    tester = assign("recommendations", "tester", None)
    assert (tester.part.variant, tester.unit, tester.is_override) == ("treatment", "tester", True)
    asked = assign("recommendations", None, None, " test=control ")
    assert (asked.part.variant, asked.unit, asked.is_override) == ("control", None, True)
    assert assign("recommendations", None, None, "other=control") is None
    with pytest.raises(QueryInvalid, match="'test' has no variant 'other'; there are control, treatment"):
        assign("recommendations", "u1", None, "test=other")
    with pytest.raises(QueryInvalid, match="expected EXPERIMENT=VARIANT"):
        assign("recommendations", "u1", None, "test")
    service.experiments.update("test", overrides={"tester": None})
    service.running.follow()
    assert assign("recommendations", "tester", None) is None


def test_interleaving_shows_all_variants_to_everybody(services):
    service = services()
    service.experiments.create(definition(kind="interleaving", unit="session"))
    service.experiments.start("test")
    service.running.follow()
    part = service.assign("recommendations", None, "s1").part
    assert (part.variant, part.propensity, part.method) == ("interleaved", 1.0, "team-draft")
    assert part.releases == ("sample/v1", "sample/v2")
    alone = service.assign("recommendations", None, None, "test=treatment").part
    assert (alone.variant, alone.releases, alone.method) == ("treatment", ("sample/v2",), None)


def test_releases_are_held_as_long_as_an_experiment_needs_them(services, releases, tmp_path):
    service = services()
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    assert service.live.find("sample/v2").name == "sample/v2"
    assert service.live.find("sample/v1") is service.live.current  # once in memory, not twice
    assert [record.name for record in release_records(service.database)] == ["sample/v1", "sample/v2"]
    service.experiments.stop("test")
    service.running.follow()
    assert service.live.find("sample/v2") is None


def test_the_former_champion_goes_on_answering_its_variant(services, tmp_path):
    releases = publish(tmp_path)
    service = services()
    service.live.store = releases
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    control = service.live.current
    releases.publish(tmp_path / "drafts" / "sample" / "v2", "champion")
    service.live.follow()
    assert service.live.current.name == "sample/v2"
    assert service.live.find("sample/v1") is control


def test_what_stops_ends_at_once_though_what_starts_takes_its_time_to_load(services, monkeypatch):
    service = services()
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    service.experiments.create(definition("slow", surface="similar"))
    service.experiments.start("slow")
    begun, may_end, hold = threading.Event(), threading.Event(), service.live.hold

    def hold_slowly(names):
        begun.set()
        assert may_end.wait(30)
        hold(names)

    monkeypatch.setattr(service.live, "hold", hold_slowly)
    service.running.follow_store()
    loading = threading.Thread(target=service.running.hold_releases)
    loading.start()
    assert begun.wait(30)
    service.experiments.stop("test")
    service.running.follow_store()
    assert set(service.running.plans) == set()
    may_end.set()
    loading.join()
    assert set(service.running.plans) == {"similar"}


def test_a_store_that_goes_away_leaves_things_as_they_are(tmp_path, releases, caplog):
    path = tmp_path / "irgan.db"
    service = Service(f"sqlite:///{path}", releases)
    service.experiments.create(definition())
    service.experiments.start("test")
    service.running.follow()
    seen = service.seen("u1")
    service.impressions.flush()
    service.database.close()
    content = path.read_bytes()
    for name in ("irgan.db-wal", "irgan.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    path.write_bytes(b"not a database at all" * 500)
    with caplog.at_level(logging.ERROR):
        service.running.follow()
        service.running.follow()
    assert service.assign("recommendations", "u1", None).part.variant == seen[1]
    assert len([record for record in caplog.records if record.name == live.__name__]) == 1
    service.database.close()
    path.write_bytes(content)
    service.experiments.stop("test")
    service.running.follow()
    assert service.assign("recommendations", "u1", None) is None
    service.close()


def test_what_cannot_be_understood_does_not_keep_the_others_from_running(services, caplog):
    service = services()
    for name, surface in (("good", "recommendations"), ("strange", "search")):
        service.experiments.create(definition(name, surface=surface))
        service.experiments.start(name)
    with service.database.begin() as connection:
        connection.exec_driver_sql("""UPDATE experiments SET definition = '{"of": "the future"}' WHERE name = 'strange'""")
    service.running.follow()
    assert service.seen("u1") is not None and "search" not in service.running.plans
    assert "experiment 'strange' cannot be understood" in caplog.text


def test_following_makes_no_store(tmp_path, releases):
    service = Service(f"sqlite:///{tmp_path / 'none.db'}", releases)
    service.running.follow()
    assert service.seen("u1") is None
    service.close()
    assert not (tmp_path / "none.db").exists()
