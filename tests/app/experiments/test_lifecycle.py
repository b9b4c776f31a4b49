"""What can be done with an experiment, when, and what the store keeps of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.bundle import write_rerank
from app.experiments.assignment import NUM_POSITIONS
from app.experiments.errors import (
    ChangeInvalid,
    ExperimentError,
    LayerFull,
    ReleaseUnsuitable,
    SurfaceTaken,
    UnknownExperiment,
    WrongState,
)
from app.experiments.lifecycle import Experiments
from app.experiments.spans import minus, num_positions
from app.store import Database, ExperimentRecords, NameTaken
from tests.app.experiments.service import definition, publish
from tests.conftest import make_rerank_draft


@pytest.fixture
def releases(tmp_path):
    return publish(tmp_path)


@pytest.fixture
def database(store_url):
    database = Database(store_url)
    yield database
    database.close()


@pytest.fixture
def experiments(database, releases):
    return Experiments(database, releases)


def test_a_life_from_draft_to_conclusion(experiments, database):
    """Every step, what it leaves, and the history that tells of it."""
    made = experiments.create(definition())
    assert (made.state, made.allocation, made.record.started) == ("draft", None, None)
    started = experiments.start("test")
    assert started.state == "running" and started.record.started is not None and started.record.ended is None
    assert started.allocation.releases == {"control": "sample/v1", "treatment": "sample/v2"}  # the slot, resolved
    assert started.allocation.shares == {"control": 0.5, "treatment": 0.5}
    stopped = experiments.stop("test")
    assert stopped.state == "stopped" and stopped.record.ended is not None
    again = experiments.start("test")
    assert again.record.started == started.record.started and again.record.ended is None
    assert again.allocation == started.allocation
    done = experiments.conclude("test", winner="treatment", reason="it is better")
    assert done.state == "concluded"
    assert {"winner": "treatment", "reason": "it is better"}.items() <= done.as_json()["outcome"].items()
    changes = ExperimentRecords(database).changes("test")
    assert [change.action for change in changes] == ["create", "start", "stop", "start", "conclude"]
    assert changes[1].detail["releases"] == {"control": "sample/v1", "treatment": "sample/v2"}
    assert [one.name for one in experiments.all()] == ["test"]


@pytest.mark.parametrize(
    ("steps", "step", "message"),
    [
        ([], "stop", "is a draft; to stop one it must be running: start it first"),
        ([], "conclude", "is a draft; to conclude one it must be running or stopped: start it first"),
        (["start"], "start", "is running; to start one it must be a draft or stopped: there is nothing to do"),
        (["start", "stop"], "stop", "is stopped; to stop one it must be running: there is nothing to do"),
        (["start", "conclude"], "start", "is concluded; to start one it must be a draft or stopped: create another one"),
        (["start", "conclude"], "update", "is concluded; to change one it must be a draft or running or stopped"),
        (["start", "conclude"], "conclude", "is concluded"),
    ],
)
def test_what_a_state_does_not_allow_says_what_to_do(experiments, database, steps, step, message):
    do = {
        "start": lambda: experiments.start("test"),
        "stop": lambda: experiments.stop("test"),
        "update": lambda: experiments.update("test", traffic=0.5),
        "conclude": lambda: experiments.conclude("test", winner=None, reason="enough"),
    }
    experiments.create(definition())
    for done in steps:
        do[done]()
    before = ExperimentRecords(database).last_change()
    with pytest.raises(WrongState, match=message):
        do[step]()
    assert ExperimentRecords(database).last_change() == before


def test_names_are_known_and_taken_once(experiments):
    with pytest.raises(UnknownExperiment, match="no experiment 'test'"):
        experiments.start("test")
    experiments.create(definition())
    with pytest.raises(NameTaken, match="choose another name"):
        experiments.create(definition())


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("sample/v9", "v9 is no folder.*publish it first"),
        ("nowhere", "nothing is published in slot 'nowhere'"),
        ("features", "kind 'rerank'; recommendations needs one of kind 'recommender'"),
    ],
)
def test_releases_that_cannot_answer_start_nothing(experiments, releases, tmp_path, release, message):
    releases.publish(write_rerank(make_rerank_draft(), tmp_path / "drafts"), "features")
    variants = [{"name": "control", "release": "champion"}, {"name": "treatment", "release": release}]
    experiments.create(definition(variants=variants))
    with pytest.raises(ReleaseUnsuitable, match=message):
        experiments.start("test")
    assert experiments.get("test").state == "draft"


def test_a_slot_that_moves_on_leaves_a_started_experiment_as_it_is(experiments, releases, tmp_path):
    experiments.create(definition())
    experiments.start("test")
    experiments.stop("test")
    releases.publish(tmp_path / "drafts" / "sample" / "v2", "champion")
    assert experiments.start("test").allocation.releases["control"] == "sample/v1"


def test_one_surface_has_one_layer_and_one_unit(experiments):
    experiments.create(definition(traffic=0.5))
    experiments.start("test")
    experiments.create(definition("elsewhere", layer="other", traffic=0.1))
    with pytest.raises(SurfaceTaken, match="one ranking only: give 'elsewhere' the same layer"):
        experiments.start("elsewhere")
    experiments.create(definition("sessions", unit="session", traffic=0.1))
    with pytest.raises(SurfaceTaken, match=r"assigns users .* 'sessions' would assign sessions"):
        experiments.start("sessions")
    experiments.create(definition("searches", surface="search", layer="other"))
    assert experiments.start("searches").state == "running"


def test_a_layer_has_room_for_all_of_its_units_and_no_more(experiments):
    for name, traffic in (("one", 0.5), ("two", 0.3), ("three", 0.3)):
        experiments.create(definition(name, traffic=traffic))
    first, second = experiments.start("one"), experiments.start("two")
    assert not num_positions(first.allocation.layer) - num_positions(minus(first.allocation.layer, second.allocation.layer))
    with pytest.raises(LayerFull, match=r"has 20% of its units left, 'three' wants 30%.*one 50%, two 30%"):
        experiments.start("three")
    with pytest.raises(LayerFull):
        experiments.update("one", traffic=0.8)
    assert experiments.update("one", traffic=0.4).allocation.traffic == 0.4
    assert experiments.start("three").state == "running"


def test_weights_traffic_and_overrides_change_while_it_runs(experiments):
    experiments.create(definition(overrides={"u1": "control", "u2": "treatment"}))
    before = experiments.start("test").allocation
    changed = experiments.update("test", weights={"treatment": 3}, overrides={"u1": None, "u3": "control"})
    assert changed.allocation.shares == {"control": 0.25, "treatment": 0.75}
    moved = minus(before.variants["control"], changed.allocation.variants["control"])
    assert num_positions(moved) == NUM_POSITIONS // 4
    assert changed.definition.overrides == {"u2": "treatment", "u3": "control"}
    assert [variant.weight for variant in changed.definition.variants] == [1.0, 3.0]
    only = experiments.update("test", overrides={"u4": "control"})
    assert only.allocated_in == changed.allocated_in and only.record.revision == changed.record.revision + 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": {"other": 1}}, "no variant 'other'; there are control, treatment"),
        ({"weights": {"control": -1}}, "variants.0.weight: Input should be greater than 0"),
        ({"traffic": 2.0}, "traffic: Input should be less than or equal to 1"),
        ({"overrides": {"u1": "other"}}, "overrides name other; the variants are"),
    ],
)
def test_changes_that_make_no_sense_change_nothing(experiments, changes, message):
    experiments.create(definition())
    before = experiments.start("test")
    with pytest.raises(ChangeInvalid, match=message):
        experiments.update("test", **changes)
    assert experiments.get("test").record == before.record


def test_who_wins_must_have_taken_part(experiments):
    experiments.create(definition())
    experiments.start("test")
    with pytest.raises(ChangeInvalid, match="no variant 'other'; there are control, treatment, or none"):
        experiments.conclude("test", winner="other", reason="?")


def test_a_draft_and_a_stopped_experiment_change_with_their_next_start(experiments):
    experiments.create(definition())
    experiments.update("test", weights={"treatment": 3}, traffic=0.5)
    started = experiments.start("test").allocation
    assert (started.shares["treatment"], started.traffic) == (0.75, 0.5)
    experiments.stop("test")
    experiments.update("test", weights={"treatment": 1}, traffic=0.6)
    again = experiments.start("test").allocation
    assert (again.shares["treatment"], again.traffic) == (0.5, 0.6)
    assert not minus(started.layer, again.layer)


def test_a_bandits_weights_are_its_own(experiments):
    """Computed from one revision, they are not written over a later one."""
    experiments.create(definition(kind="bandit"))
    revision = experiments.start("test").record.revision
    with pytest.raises(ChangeInvalid, match="a bandit's shares follow its figures"):
        experiments.update("test", weights={"treatment": 2})
    assert experiments.reallocate("test", {"control": 1, "treatment": 3}, revision=revision)
    assert experiments.get("test").allocation.shares["treatment"] == 0.75
    assert not experiments.reallocate("test", {"control": 3, "treatment": 1}, revision=revision)
    experiments.stop("test")
    assert not experiments.reallocate("test", {"control": 1, "treatment": 1}, revision=experiments.get("test").record.revision)


def test_interleaving_has_no_shares(experiments):
    experiments.create(definition(kind="interleaving"))
    assert experiments.start("test").allocation.variants == {}
    with pytest.raises(ChangeInvalid, match="shows all variants to everybody"):
        experiments.update("test", weights={"treatment": 2})


def test_two_processes_at_once_do_it_once(store_url, releases, experiments):
    """Of eight starts at the same time one succeeds; of two that need the same room, one gets it."""
    experiments.create(definition())
    experiments.create(definition("rival"))
    databases = [Database(store_url) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: _tried(databases[number], releases, ("test", "rival")[number % 2]), range(8)))
    for database in databases:
        database.close()
    assert results.count("started") == 1
    assert {result for result in results if result != "started"} <= {"WrongState", "LayerFull"}


def _tried(database, releases, name):
    try:
        Experiments(database, releases).start(name)
    except ExperimentError as error:
        return type(error).__name__
    return "started"


def test_nothing_is_made_by_looking(tmp_path, releases):
    database = Database(f"sqlite:///{tmp_path / 'none.db'}")
    assert Experiments(database, releases).all() == []
    with pytest.raises(UnknownExperiment):
        Experiments(database, releases).get("test")
    assert not (tmp_path / "none.db").exists()


def test_the_history_says_who_did_it(experiments, database):
    """Each change for itself; where nobody in particular did it, nobody is named."""
    experiments.for_somebody("key admin").create(definition())
    experiments.start("test")
    experiments.for_somebody("me@host").stop("test")
    assert [change.detail.get("by") for change in experiments.history("test")] == ["key admin", None, "me@host"]


@pytest.mark.parametrize("name", ["none", "a\x00b", "x" * 500])
def test_what_no_experiment_can_be_called_is_not_there_in_every_store(experiments, name):
    """PostgreSQL takes no NUL, not even to look for."""
    experiments.create(definition())
    for act in (experiments.get, experiments.start):
        with pytest.raises(UnknownExperiment):
            act(name)
