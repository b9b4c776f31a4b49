"""The parts of a retraining, each alone: configuration, limits, the live release in other rows, the gate."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from app.bundle import Bundle, Histories, RecommenderManifest, Vocabulary, read_recommender, write_bundle
from tests.conftest import make_draft
from tests.training.conftest import make_interactions
from tests.training.jobs.retraining import write_job
from training.data import Dataset, Split, make_split
from training.errors import ConfigError
from training.jobs.retrain import RetrainConfig, read_retrain_config
from training.jobs.retrain.candidates import rankers_of
from training.jobs.retrain.checks import check
from training.jobs.retrain.config import Gate, Publish, Ranker, StoreSource, Validation
from training.jobs.retrain.gate import decide
from training.jobs.retrain.judge import LIVE, popular_share, without_newcomers
from training.jobs.retrain.live import Translated, seen_of_test
from training.jobs.retrain.profile import drift


def test_everything_that_is_wrong_with_a_configuration_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        """
[data]
sources = ["a.csv"]
user_colum = "u"
[split]
test_fraction = 1.5
[gate]
levels = 0.9
[unknown]
""",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as caught:
        read_retrain_config(path)
    told = str(caught.value)
    for wrong in (
        "data.user_colum: unknown; known are name, sources",
        "split.test_fraction = 1.5",
        "gate.levels: unknown",
        "unknown: unknown",
    ):
        assert wrong in told


def test_what_types_do_not_say_is_said_at_once_too(tmp_path: Path) -> None:
    """Rankers, their settings, and the metric."""
    path = write_job(
        tmp_path,
        named='[[rankers]]\nname = "bm25"\n[[rankers]]\nname = "ease"\nsettings = {l3 = 1}\n[[rankers]]\nname = "ease"\n',
        gate='metric = "clicks"\nagainst = "other"',
        publish='champion = "if-better"',
    )
    with pytest.raises(ConfigError) as caught:
        read_retrain_config(path)
    told = str(caught.value)
    for wrong in (
        "ease is named 2 times",
        "no ranker 'bm25'",
        "rankers.ease.settings.l3: unknown setting",
        "gate.metric = 'clicks'",
        "publish.champion",
    ):
        assert wrong in told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]", "nothing to learn from"),
        ("[data]\nsources = ['a.csv']\n[data.store]\ntypes = {a = 'like', b = 2.0}", "either every type is worth `like`"),
        ("[data]\n[data.store]\ntypes = {a = 'value'}\nvalues = [5, 1]", "expected the lowest rating, and then a higher one"),
        ("[data", "is not TOML"),
        ("[data]\nsources = ['a.csv']\n[run]\ncf_nade = false", "nothing to train"),
        ("[data]\nsources = ['movielens-100k']\nheader = false", "header say how a file is read"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_retrain_config(path)


def test_cf_nade_is_trained_where_there_are_ratings_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = read_retrain_config(write_job(tmp_path, run=""))
    with caplog.at_level(logging.INFO, logger="training"):
        assert [ranker.name for ranker in rankers_of(config, has_ratings=True)] == ["popularity", "ease", "cf-nade"]
    assert "cf-nade is trained as well" in caplog.text
    assert [ranker.name for ranker in rankers_of(config, has_ratings=False)] == ["popularity", "ease"]
    switched_off = read_retrain_config(write_job(tmp_path))
    assert [ranker.name for ranker in rankers_of(switched_off, has_ratings=True)] == ["popularity", "ease"]


def test_cf_nade_of_ones_own_is_not_trained_twice(tmp_path: Path) -> None:
    """Under another name and with settings."""
    named = '[[rankers]]\nname = "stars"\nranker = "cf-nade"\nsettings = {num_members = 1}\n'
    config = read_retrain_config(write_job(tmp_path, named=named, run=""))
    assert [ranker.name for ranker in rankers_of(config, has_ratings=True)] == ["stars"]


@pytest.mark.parametrize(
    ("before", "now", "bits"),
    [
        ({"a": 3}, {"a": 5}, 0.0),
        ({"a": 3}, {"b": 5}, 1.0),
        # P = (3/4, 1/4), Q = (1/4, 3/4): their mean has 1 bit, each of them 2 − 3/4 log2 3.
        ({"a": 3, "b": 1}, {"a": 10, "b": 30}, 1.0 - (2.0 - 0.75 * np.log2(3.0))),
    ],
)
def test_drift_is_the_divergence_of_jensen_and_shannon_in_bits(
    before: dict[str, int], now: dict[str, int], bits: float
) -> None:
    assert drift(before, now) == pytest.approx(bits, abs=1e-12)
    assert drift(now, before) == pytest.approx(bits, abs=1e-12)


def profile(**changes: Any) -> dict[str, Any]:
    return {
        "events": 1000, "users": 100, "items": 50, "unknown_items": 0.0, "mean_rating": 3.5, "columns": ["title"],
        "popularity": {"a": 600, "b": 400},
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"events": 99}, "validation.least_events"),
        ({"users": 9}, "validation.least_users"),
        ({"items": 9}, "validation.least_items"),
        ({"unknown_items": 0.11}, "validation.most_unknown_items"),
        ({"events": 1501}, "validation.most_change_events"),
        ({"events": 499}, "validation.most_change_events"),
        ({"users": 151}, "validation.most_change_users"),
        ({"items": 76}, "validation.most_change_items"),
        ({"mean_rating": 3.81}, "validation.most_change_mean_rating"),
        ({"popularity": {"a": 50, "b": 950}}, "validation.most_drift"),
        ({"columns": []}, "no column 'title' any more"),
        ({"mean_rating": None}, "the events have no ratings"),
    ],
)
def test_each_limit_is_named_by_what_breaks_it(changes: dict[str, Any], limit: str) -> None:
    found = check(profile(**changes), profile(), Validation())
    assert limit in "\n".join(found.problems + found.changes)


def test_within_the_limits_nothing_is_wrong() -> None:
    """At each edge; and the first run has nothing to be compared with."""
    edge = profile(events=1500, users=50, items=75, mean_rating=3.2, columns=["title", "year"], popularity={"a": 500, "b": 500})
    found = check(edge, profile(), Validation())
    assert (found.problems, found.changes) == ([], [])
    first = check(profile(events=10), None, Validation(least_events=0))
    assert (first.problems, first.changes, first.drift) == ([], [], None)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_recommender(write_bundle(make_draft(), tmp_path))


def test_a_release_ranks_in_the_rows_of_other_data_as_in_its_own(bundle: Bundle) -> None:
    """Items in another order with one that it does not hold: the others' scores are its own, the unknown one comes last."""
    order = np.random.default_rng(0).permutation(len(bundle.items))
    ids = [bundle.items.id(int(row)) for row in order]
    items = Vocabulary("item", [*ids[:10], "unheard of", *ids[10:]])
    translated = Translated(bundle, Vocabulary("user", ["somebody", "u1"]), items)
    had = ["i3", "unheard of", "i8"]
    theirs = Histories.of([[items.ids.index(item) for item in had]] * 2, [[5.0, 1.0, 2.0]] * 2)
    own = Histories.of([[bundle.items.ids.index(item) for item in ("i3", "i8")]], [[5.0, 2.0]])
    scores_BI = translated.scores(theirs, np.array([0, 1]))
    expected_I = bundle.model.scores(own)[0]
    for row in scores_BI:
        assert row[10] == -np.inf
        np.testing.assert_array_equal(np.delete(row, 10), expected_I[order])


def test_a_release_answers_users_whom_it_knows_by_their_own_vectors(bundle: Bundle) -> None:
    """Of a model that learned one for each: u1 by row 1, somebody new by the history."""
    vectors_UD = np.random.default_rng(1).normal(size=(len(bundle.users), bundle.model.dim)).astype(np.float32)
    known = replace(bundle, model=replace(bundle.model, user_vectors_UD=vectors_UD))
    translated = Translated(known, Vocabulary("user", ["somebody", "u1"]), bundle.items)
    histories = Histories.of([[3, 8]] * 2, [[5.0, 4.0]] * 2)
    scores_BI = translated.scores(histories, np.array([0, 1]))
    np.testing.assert_array_equal(scores_BI[0], bundle.model.scores(histories)[0])
    np.testing.assert_array_equal(scores_BI[1], known.model.first_scores(vectors_UD[1:2])[0])


@pytest.fixture
def split() -> Split:
    import pandas as pd  # noqa: PLC0415 - of this one fixture

    return make_split(Dataset("made-up", make_interactions(), pd.DataFrame(index=range(40))), "time")


def test_whether_a_release_has_seen_the_test_part_is_told_by_what_its_manifest_says(bundle: Bundle, split: Split) -> None:
    """The training part itself; until when it learned; where its own test part began; when it was made; or nothing."""
    cutoff = split.parameters["cutoff"]
    manifest = bundle.manifest

    def seen(**changes: Any) -> str:
        told: RecommenderManifest = manifest.model_copy(update=changes)
        return str(seen_of_test(told, split)["seen"])

    def learned(until: int) -> dict[str, Any]:
        return {"retraining": {"learned_until": until}}

    fingerprint = manifest.data.model_copy(update={"fingerprint": split.train.fingerprint()})
    by_time = manifest.data.split.model_copy(update={"name": "time", "parameters": {"cutoff": cutoff}})
    later = by_time.model_copy(update={"parameters": {"cutoff": cutoff + 1}})
    assert seen(data=fingerprint) == "no"
    assert seen(training=learned(cutoff - 1)) == "no"
    assert seen(training=learned(cutoff)) == "yes"
    assert seen(data=manifest.data.model_copy(update={"split": by_time})) == "no"
    assert seen(data=manifest.data.model_copy(update={"split": later})) == "perhaps"
    assert seen(created=manifest.created.replace(year=1998)) == "perhaps"
    assert seen(created=manifest.created.replace(year=1980)) == "no"  # cutoff 1997


def figures(value: float, **changes: float) -> dict[str, Any]:
    metrics = {"nDCG@10": value, "coverage@10": changes.get("coverage", 0.5), "novelty@10": changes.get("novelty", 4.0)}
    return {
        "metrics": {"standard": metrics, "paper": metrics},
        "popular": changes.get("popular", 0.4),
        "latency_ms": changes.get("latency", 10.0),
    }


def judged(low: float = -0.005, **changes: float) -> dict[str, Any]:
    return {
        "users": 100,
        "candidates": {"a": figures(0.3, **changes)},
        "live": {"release": "live/1", "seen": "no", "twin": None, **figures(0.3)},
        "comparisons": {"a": {"difference": low + 0.01, "interval": [low, low + 0.02], "against": LIVE}},
    }


@pytest.mark.parametrize(
    ("found", "objection"),
    [
        (judged(), None),
        (judged(low=-0.0101), "by more than the margin"),
        (judged(coverage=0.39), "coverage@10"),
        (judged(novelty=3.5), "novelty@10"),
        (judged(popular=0.56), "most popular items"),
        (judged(latency=20.1), "an answer takes"),
        (judged(coverage=0.41, novelty=3.7, popular=0.54, latency=19.9), None),
    ],
)
def test_the_gate_opens_where_the_interval_lies_above_the_margin_and_no_guardrail_is_broken(
    found: dict[str, Any], objection: str | None
) -> None:
    decision = decide(found, Gate(), Publish())
    assert decision["chosen"] == ("a" if objection is None else None)
    if objection is not None:
        (told,) = decision["rankers"]["a"]
        assert objection in told and objection in decision["why"]


def test_the_best_of_those_that_passed_is_chosen() -> None:
    """Not the best of all."""
    found = judged()
    found["candidates"] |= {"b": figures(0.4), "c": figures(0.9)}
    found["comparisons"] |= {"b": found["comparisons"]["a"], "c": judged(low=-0.5)["comparisons"]["a"]}
    decision = decide(found, Gate(), Publish())
    assert decision["chosen"] == "b"
    assert [name for name, against in decision["rankers"].items() if against] == ["c"]


@pytest.mark.parametrize(
    ("policy", "low", "slots"),
    [
        ("never", 0.001, ["challenger"]),
        ("if-better", 0.001, ["challenger", "champion"]),
        ("if-better", 0.0, ["challenger"]),
        ("always", -0.005, ["challenger", "champion"]),
    ],
)
def test_the_champion_follows_by_policy(policy: Any, low: float, slots: list[str]) -> None:
    assert decide(judged(low=low), Gate(), Publish(champion=policy))["slots"] == slots


def test_where_nothing_is_live_nothing_is_compared() -> None:
    found = judged(coverage=0.0) | {"live": None, "comparisons": {}}
    decision = decide(found, Gate(), Publish(champion="if-better"))
    assert (decision["chosen"], decision["slots"]) == ("a", ["challenger", "champion"])
    assert "nothing is live" in decision["why"]


def test_users_who_are_new_in_the_test_part_are_not_judged(split: Split) -> None:
    """Of user 0 nothing is left in training; all test events of the others stay."""
    without = replace(split, train=split.train.where(split.train.user_rows != 0))
    judged_rows = without_newcomers(without).test.user_rows
    np.testing.assert_array_equal(judged_rows, split.test.user_rows[split.test.user_rows != 0])
    assert 0 in split.test.user_rows


def test_the_most_popular_items_are_those_that_got_half_of_all_likes() -> None:
    """Of 6, 2, 1, 1 likes the first item alone has half; two of the five listed places are its."""
    from training.evaluation import Evaluation  # noqa: PLC0415 - of this one test

    top_UK = np.array([[0, 1, 3], [2, 0, -1]])
    evaluation = Evaluation("standard", np.arange(2), {}, top_UK, {})
    assert popular_share(evaluation, np.array([6.0, 2.0, 1.0, 1.0], dtype=np.float32)) == 2 / 5


def test_the_configuration_in_the_docs_names_every_key_and_shows_the_defaults(tmp_path: Path) -> None:
    """But for what has no default, or one that depends on the data or on the environment, which stand as remarks or examples."""
    page = (Path(__file__).parents[3] / "docs" / "retraining.md").read_text(encoding="utf-8")
    block = page.partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "config.toml"
    path.write_text(block, encoding="utf-8")
    shown, plain = read_retrain_config(path), RetrainConfig.model_validate({"data": {"sources": ["ratings.csv"]}})
    for section in ("validation", "split", "gate", "publish", "run"):
        assert getattr(shown, section) == getattr(plain, section), section
    examples = {"items": Path("items.csv"), "item_id_column": "id", "positive_threshold": 4.0, "store": shown.data.store}
    assert shown.data == plain.data.model_copy(update=examples)
    parts = [RetrainConfig, *(field.annotation for field in RetrainConfig.model_fields.values()), Ranker, StoreSource]
    keys = {name for part in parts if isinstance(part, type) and issubclass(part, BaseModel) for name in part.model_fields}
    assert len(keys) >= 50
    assert sorted(key for key in keys if not re.search(rf"\b{key}\b", block)) == []
