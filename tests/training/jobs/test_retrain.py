"""A retraining in this process: what it publishes, what stops it, and what becomes of runs that were not finished."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bundle import Vocabulary, read_recommender, write_bundle, write_search
from app.releases import ReleaseStore
from app.store import Database, Event, insert_events
from tests.conftest import make_draft, make_search_draft
from tests.training.conftest import make_interactions
from tests.training.jobs.retraining import write_data, write_job
from training.errors import AnotherRun, ConfigError
from training.evaluation import evaluate
from training.jobs.retrain import Places, RetrainOutcome, RunsFolder, plan_of, read_retrain_config, retrain
from training.jobs.retrain import job as job_module


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(place: Path) -> ReleaseStore:
    return ReleaseStore(place / "releases")


def run(**options: Any) -> RetrainOutcome:
    config = read_retrain_config(Path("config.toml"))
    return retrain(config, Places.of(config, {}), **options)


def live_release(store: ReleaseStore) -> str:
    """The made-up bundle as champion."""
    return store.publish(write_bundle(make_draft(), Path("drafts")), "champion")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_best_ranker_goes_to_the_challenger_and_the_champion_stays(place: Path, store: ReleaseStore) -> None:
    """The figures in the manifest are those of the record, and those of an evaluation of the published bundle by hand."""
    write_job(place)
    champion = live_release(store)
    outcome = run()
    record = outcome.record
    assert (outcome.decision, outcome.exit_code) == ("published", 0)
    candidates = record["judged"]["candidates"]
    best = max(candidates, key=lambda name: candidates[name]["metrics"]["standard"]["nDCG@10"])
    assert best == "ease"
    slots = store.slots()
    assert slots == {"champion": champion, "challenger": record["release"]["release"]}
    assert record["judged"]["live"]["release"] == champion
    bundle = read_recommender(store.path(slots["challenger"]))
    assert bundle.manifest.metrics == candidates["ease"]["metrics"]
    assert bundle.manifest.created == datetime.fromisoformat(record["started"])
    told = bundle.manifest.training["retraining"]
    assert (told["run"], told["refit"]) == (record["run"], False)
    data = make_interactions()
    assert data.times is not None
    assert told["learned_until"] < np.sort(data.times)[-len(data) // 5]
    assert "seconds" not in bundle.manifest.training
    assert {"snapshot", "train-ease", "judge", "gate", "publish"} <= record["seconds"].keys()
    assert json.loads((place / "retraining" / record["run"] / "record.json").read_text()) == record


def test_the_next_night_is_judged_against_last_nights_release_which_has_not_seen_the_test_part(
    place: Path, store: ReleaseStore
) -> None:
    """The same data again: the same ranker, no difference, and so not worse."""
    write_job(place, publish='champion = "if-better"')
    first = run().record
    assert store.slots() == dict.fromkeys(("challenger", "champion"), first["release"]["release"])
    second = run().record
    assert second["judged"]["live"]["seen"] == "no"
    compared = second["judged"]["comparisons"]["ease"]
    assert (compared["difference"], compared["interval"]) == (0.0, [0.0, 0.0])
    assert second["judged"]["live"]["metrics"] == second["judged"]["candidates"]["ease"]["metrics"]
    assert second["gate"]["slots"] == ["challenger"]
    assert store.slots()["champion"] == first["release"]["release"]


def test_what_learned_from_everything_says_so_and_is_told_to_be_favoured_the_next_night(
    place: Path, store: ReleaseStore
) -> None:
    """The release has no figures of its own: those that were measured were of the ranker before it saw the test part."""
    write_job(place, publish='refit = true\nchampion = "always"', gate="margin = 1.0\nleast_coverage = 0.0")
    first = run().record
    manifest = read_recommender(store.path(first["release"]["release"])).manifest
    assert manifest.metrics == {}
    assert manifest.training["retraining"]["measured_before_refit"] == first["judged"]["candidates"]["ease"]["metrics"]
    data = make_interactions()
    assert data.times is not None
    assert (manifest.data.num_interactions, manifest.data.split.name) == (len(data), "none")
    assert manifest.training["retraining"]["learned_until"] == data.times.max()
    second = run().record
    assert second["judged"]["live"]["seen"] == "yes"
    assert "which has seen the test part" in second["why"]
    live, own = second["judged"]["live"]["metrics"], second["judged"]["candidates"]["ease"]["metrics"]
    assert live["standard"]["nDCG@10"] > own["standard"]["nDCG@10"]


def test_a_live_release_of_other_data_is_a_mistake_of_the_configuration(place: Path, store: ReleaseStore) -> None:
    """Not one item in common: whatever it answers, it was not asked for these people."""
    write_job(place)
    champion = live_release(store)
    data = make_interactions()
    others = replace(data, items=Vocabulary("item", [f"other{row}" for row in range(data.num_items)]))
    write_data(place / "mine.csv", others)
    with pytest.raises(ConfigError, match=f"{champion} in slot champion holds none of the 40 items of these data"):
        run()
    (found,) = RunsFolder(place / "retraining").runs()
    assert found.record is not None and found.record["decision"] == "failed"
    assert store.slots() == {"champion": champion}


def test_what_is_worse_than_the_live_release_is_not_published(place: Path, store: ReleaseStore) -> None:
    """Popularity against last night's EASE."""
    write_job(place, publish='champion = "always"')
    champion = run().record["release"]["release"]
    write_job(place, named='[[rankers]]\nname = "popularity"\n')
    before = tree(store.folder)
    outcome = run()
    assert (outcome.decision, outcome.exit_code) == ("rejected", 10)
    assert "nDCG@10 may be lower than that of the live release by more than the margin" in outcome.sentence
    assert tree(store.folder) == before
    assert store.current("champion") == champion


def test_data_that_changed_too_much_are_refused_with_everything_that_is_wrong(place: Path, store: ReleaseStore) -> None:
    """A tenth of the events, all of one star; nothing is trained; told to be right, they are taken."""
    write_job(place)
    run()
    data = make_interactions()
    assert data.ratings is not None
    few = data.where(data.item_rows >= 25)
    write_data(place / "mine.csv", replace(few, ratings=np.ones(len(few), dtype=np.float32)))
    (place / "config.toml").write_text(
        (place / "config.toml").read_text().replace("[data]\n", "[data]\npositive_threshold = 1.0\n"), encoding="utf-8"
    )
    outcome = run()
    assert (outcome.decision, outcome.exit_code) == ("refused", 11)
    for limit in ("most_change_events", "most_change_items", "most_change_mean_rating", "most_drift"):
        assert f"validation.{limit}" in outcome.record["why"]
    assert not any(step.startswith("train") for step in outcome.record["seconds"])
    assert len(store.published()) == 1
    assert run(accept_change=True).decision == "published"


def test_a_table_that_lost_its_ratings_is_refused(place: Path) -> None:
    write_job(place)
    run()
    data = make_interactions()
    write_data(place / "mine.csv", replace(data, ratings=None))
    assert "no ratings, those of the last run had ratings" in run().record["why"]


def test_data_that_cannot_be_read_are_refused_and_the_next_run_begins_anew(place: Path) -> None:
    write_job(place)
    (place / "mine.csv").write_text("user,item,time\n1,,5\n", encoding="utf-8")
    outcome = run()
    assert outcome.exit_code == 11
    assert "no item id" in outcome.record["why"]
    write_job(place)
    assert run().decision == "published"


def test_an_unfinished_run_goes_on_and_takes_no_step_twice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails while it judges; the next one takes over what was trained, from the data as they were."""
    write_job(place)

    def fails(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(job_module, "judge", fails)
        with pytest.raises(OSError, match="No space left"):
            run()
    (place / "mine.csv").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(job_module, "train_candidate", fails)
        assert run().decision == "published"
    assert len(RunsFolder(place / "retraining").runs()) == 1


def test_another_configuration_abandons_the_unfinished_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job(place)
    with monkeypatch.context() as patched:
        patched.setattr(job_module, "judge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    write_job(place, gate="seed = 1")
    assert run().decision == "published"
    first, second = RunsFolder(place / "retraining").runs()
    assert first.record is not None and second.record is not None
    assert (first.record["decision"], second.record["decision"]) == ("abandoned", "published")
    assert "another configuration" in first.record["why"]


def test_an_old_unfinished_run_is_abandoned(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day and an hour by the clock that runs go by."""
    write_job(place)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with monkeypatch.context() as patched:
        patched.setattr(job_module, "judge", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1700000000 + 25 * 3600))
    assert run().decision == "published"
    first, _ = RunsFolder(place / "retraining").runs()
    assert first.record is not None and "25 hours ago" in first.record["why"]


def test_a_run_whose_release_is_ready_is_brought_to_its_end_whatever_its_age(
    place: Path, store: ReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_job(place)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    with monkeypatch.context() as patched:
        patched.setattr(ReleaseStore, "publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1700000000 + 25 * 3600))
    record = run().record
    assert record["started"].startswith("2023-11-14T22:13:20")
    assert store.current("challenger") == record["release"]["release"]


def test_what_somebody_went_back_from_is_not_published_again(place: Path, store: ReleaseStore) -> None:
    """The process was killed after the pointer had moved; before the next one starts, a person rolls back."""
    write_job(place)
    store.publish(write_bundle(make_draft(), Path("drafts")), "challenger")
    folder = place / "retraining" / run().record["run"]
    (folder / "record.json").unlink()
    (folder / "steps" / "publish.json").unlink()
    before = store.rollback("challenger")
    assert run().decision == "published"
    assert store.current("challenger") == before


def test_a_second_run_beside_the_first_is_turned_away_and_a_dead_ones_lock_is_no_lock(place: Path) -> None:
    write_job(place)
    runs = RunsFolder(place / "retraining")
    with runs.locked(), pytest.raises(AnotherRun, match="at work in retraining") as caught:
        run()
    assert caught.value.exit_code == 12
    assert (runs.path / ".lock").exists()
    assert run().decision == "published"


def test_only_records_are_kept_of_old_runs(place: Path, store: ReleaseStore) -> None:
    """And the limits on changes still have something to compare with."""
    write_job(place, run="cf_nade = false\nkeep = 1")
    for _ in range(3):
        run()
    runs = RunsFolder(place / "retraining").runs()
    assert [(one.path / "snapshot").exists() for one in runs] == [False, False, True]
    assert all(one.record is not None and one.record["decision"] == "published" for one in runs)
    assert runs[1].record is not None and runs[1].record["data"]["drift"] == 0.0
    shutil.rmtree(runs[2].path / "snapshot")
    assert run().record["data"]["drift"] == 0.0
    assert len(store.published()) == 4


def test_events_of_the_store_count_up_to_the_watermark(place: Path, store: ReleaseStore, store_url: str) -> None:
    """Ratings in a file and in the store; of a pair in both the later one counts; other types, other values and events without a user do not."""
    write_job(place, data='[data.store]\ntypes = {rating = "value", purchase = 5.0}\nvalues = [1, 5.0]\n')
    database = Database(store_url)
    later = datetime(2000, 1, 1, tzinfo=UTC)
    events = [
        Event(id="1", type="rating", time=later, user="u0", item="i0", value=2.0),
        Event(id="2", type="purchase", time=later, user="u0", item="new"),
        Event(id="3", type="click", time=later, user="u0", item="i1"),
        Event(id="4", type="rating", time=later, session="s", item="i1", value=1.0),
        Event(id="5", type="purchase", time=later, user="newcomer", item="new"),
        Event(id="6", type="rating", time=later, user="u1", item="i1", value=1e9),
    ]
    with database.begin() as connection:
        insert_events(connection, events)
    database.close()
    config = read_retrain_config(place / "config.toml")
    snapshot = retrain(config, Places.of(config, {"IRGAN_STORE": store_url})).record["snapshot"]
    assert snapshot["watermark"] == 6
    assert [source["events"] for source in snapshot["sources"]] == [720, 3]
    bundle = read_recommender(store.path(str(store.current("challenger"))))
    assert bundle.users.find("newcomer") is not None
    assert bundle.items.find("new") is not None
    # In the file u0 gave i0 another rating; the later one took its place, and the release knows of it though it is in the test part.
    data = make_interactions()
    (own,) = np.flatnonzero((data.user_rows == data.users.ids.index("u0")) & (data.item_rows == data.items.ids.index("i0")))
    assert data.ratings is not None and data.ratings[own] != 2.0
    had = bundle.seen.take(np.array([bundle.users.find("u0")]))
    assert had.ratings[had.items == bundle.items.find("i0")].tolist() == [2.0]


def test_a_store_that_nobody_names_is_a_mistake_of_the_configuration(place: Path) -> None:
    write_job(place, data='[data.store]\ntypes = {rating = "value"}\n')
    with pytest.raises(ConfigError, match="IRGAN_STORE"):
        run()


def test_a_store_of_clicks_beside_a_file_of_ratings_is_refused(place: Path) -> None:
    write_job(place, data='[data.store]\nurl = "sqlite:///events.db"\ntypes = {click = "like"}\n')
    assert "mine.csv has ratings and store has none" in run().record["why"]


def test_a_password_stands_in_no_record(place: Path) -> None:
    """The address is wrong, and still the run says what it was told."""
    write_job(place, data='[data.store]\nurl = "postgresql://me:secret@127.0.0.1:1/none"\ntypes = {click = 1.0}\n')
    with pytest.raises(Exception, match="cannot be used") as caught:
        run()
    assert "secret" not in str(caught.value)
    told = [path.read_text(errors="replace") for path in (place / "retraining").rglob("*.json")]
    assert told and not any("secret" in text for text in told)
    config = read_retrain_config(place / "config.toml")
    assert "secret" not in json.dumps(plan_of(config, Places.of(config, {})))
    assert "secret" not in json.dumps(config.shown())


def test_the_plan_touches_nothing(place: Path) -> None:
    write_job(place, run="")
    before = tree(place)
    config = read_retrain_config(place / "config.toml")
    plan = plan_of(config, Places.of(config, {}))
    assert tree(place) == before and not (place / "retraining").exists()
    assert [ranker["name"] for ranker in plan["train"]] == ["popularity", "ease", "cf-nade"]
    assert plan["judge"]["live"] is None


def test_a_live_release_of_another_kind_is_a_mistake_of_the_configuration(place: Path, store: ReleaseStore) -> None:
    """And the run is over: started again unmended, it would meet the same."""
    write_job(place)
    store.publish(write_search(make_search_draft(), place / "drafts"), "champion")
    with pytest.raises(ConfigError, match="is no ranker of items for people"):
        run()
    record = RunsFolder(place / "retraining").runs()[0].record
    assert record is not None and record["decision"] == "failed"


def test_where_the_live_release_has_seen_the_test_part_its_recipe_can_be_judged_in_its_place(
    place: Path, store: ReleaseStore
) -> None:
    """Trained anew, last night's EASE is tonight's: no difference at all, although what is live had learned from everything."""
    lenient = 'live = "retrained-if-seen"\nleast_coverage = 0.0'
    write_job(place, publish='refit = true\nchampion = "always"', gate=lenient)
    first = run().record
    assert "train-the-live" not in first["seconds"]
    second = run().record
    assert second["judged"]["live"]["seen"] == "yes"
    assert second["judged"]["live"]["release"] == first["release"]["release"]
    assert second["judged"]["comparisons"]["ease"]["difference"] == 0.0
    assert "trained anew on the same training part" in second["why"]
    assert store.current("champion") == second["release"]["release"]


def test_the_figures_are_those_of_an_evaluation_of_the_published_bundle(place: Path, store: ReleaseStore) -> None:
    """Read back from the release, on the snapshot's split."""
    from training.data import FileOptions, load_dataset, make_split  # noqa: PLC0415

    write_job(place)
    record = run().record
    dataset = load_dataset("mine.csv", FileOptions(duplicates="last", min_interactions=1))
    split = make_split(dataset, "time", fraction=0.2)
    model = read_recommender(store.path(record["release"]["release"])).model
    means = evaluate(model, split, "standard").means
    assert means == pytest.approx(record["judged"]["candidates"]["ease"]["metrics"]["standard"], abs=1e-12)
