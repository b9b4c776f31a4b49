"""From documents, or candidates, to a bundle: recipes never get test queries; every fold is measured; what is written tells the same."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.bundle import FeatureRanker, LexicalIndex, RerankBundle, SearchBundle, SearchModel, read_bundle
from tests.training.texts import make_collection, make_feature_split, make_features, make_split
from training.config import RankerConfig
from training.data import FeatureData, FeatureSplit, Judgements, TextSplit, make_feature_splits, make_text_splits
from training.errors import ConfigError, Interrupted
from training.evaluation.rerank import evaluate_reranker
from training.evaluation.search import evaluate_search
from training.export import export_features
from training.jobs import train_reranker, train_search
from training.jobs.rerank import together as all_candidates
from training.jobs.search import together
from training.loop import Run
from training.ranker import TrainedReranker, TrainedSearch
from training.registry import Kind, RankerSpec


class Config(RankerConfig):
    """Of a ranker that does not exist."""

    num_epochs: int = 2
    """Passes."""


class Spec(RankerSpec):
    """An entry whose recipe is given here instead of in a module."""

    __slots__ = ("train",)

    def recipe(self) -> Any:
        """The given one."""
        return self.train


def ranker(kind: Kind, train: Any) -> Spec:
    spec = Spec("made-up", "nowhere", "Somebody 2001", kind=kind)
    object.__setattr__(spec, "train", train)
    return spec


class Searching:
    """A recipe that notes what it is given."""

    def __init__(self) -> None:
        self.given: list[TextSplit] = []

    def __call__(self, data: TextSplit, config: Config, run: Run) -> TrainedSearch:
        """BM25, and one of texts written backwards as a variant."""
        self.given.append(data)
        with run.phase("fit", config.num_epochs) as phase:
            for _ in phase:
                phase.log(loss=float(len(data.train)))
        texts = data.collection.texts()
        model, variant = (SearchModel(LexicalIndex.build(text[::way] for text in texts)) for way in (1, -1))
        return TrainedSearch(model, {"judgements": len(data.train)}, {"blind": variant})


class First(nn.Module):
    """Scores by one feature."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, features_CF: Tensor) -> Tensor:
        """The first feature."""
        return self.sign * features_CF[:, 0].to(torch.float64)


class Ranking:
    """The same for candidates."""

    def __init__(self) -> None:
        self.given: list[FeatureSplit] = []

    def __call__(self, data: FeatureSplit, _config: Config, _run: Run) -> TrainedReranker:
        """By the first feature; its variant the other way round."""
        self.given.append(data)
        return TrainedReranker(by_first(1.0), {"queries": data.train.num_queries}, {"reverse": by_first(-1.0)})


@cache
def by_first(sign: float) -> FeatureRanker:
    return export_features(First(sign), num_features=6)


def letor() -> FeatureData:
    return FeatureData("made-up", {f"S{n}": make_features(num_queries=8, seed=n, prefix=f"s{n}q") for n in range(1, 6)})


def test_one_split_is_learned_once_and_measured_in_every_mode(tmp_path: Path) -> None:
    """The recipe sees no test query's text; outcome, manifest and the library's own evaluation tell the same figures."""
    split, recipe = make_split(), Searching()
    run = Run(seed=4, folder=tmp_path / "run")
    outcome = train_search(ranker("search", recipe), [split], Config(), run, bundles=tmp_path / "bundles", name="mine")
    (given,) = recipe.given
    assert not len(given.test)
    assert {given.collection.query_texts[row] for row in split.test.queries} == {""}
    bundle = read_bundle(outcome.bundle)
    assert isinstance(bundle, SearchBundle)
    expected = evaluate_search(bundle.model, split).figures()
    assert outcome.metrics == {**expected, "modes": {"lexical": expected}}
    assert set(expected) == {"test", "test_seen"}, "every document is an answer to a training query here"
    assert bundle.manifest.metrics == outcome.metrics
    assert (bundle.manifest.seed, bundle.manifest.config, bundle.manifest.name) == (4, {"num_epochs": 2}, "mine")
    told = dict(bundle.manifest.training)
    assert told["judgements"] == len(split.train)
    assert told["curves"] == {"fit/loss": [[0, len(split.train)], [1, len(split.train)]]}
    assert bundle.manifest.data.fingerprint == split.collection.fingerprint(split.train)
    variant = read_bundle(outcome.variants["blind"])
    assert variant.manifest.name == "mine-blind"
    assert variant.manifest.metrics["test"]["AP"] < bundle.manifest.metrics["test"]["AP"]
    assert outcome.figures is not None
    assert outcome.figures.usual.per_query["AP"].mean() == expected["test"]["AP"]
    assert list(outcome.variant_figures) == ["blind"]


def test_the_outcome_is_one_json_object(tmp_path: Path) -> None:
    """The object of recommenders with the seconds of all trainings beside those of one."""
    outcome = train_search(ranker("search", Searching()), [make_split()], Config(), Run(), bundles=tmp_path)
    told = json.loads(json.dumps(outcome.as_json(), allow_nan=False))
    assert list(told) == ["ranker", "seed", "seconds", "total_seconds", "bundle", "metrics", "variants"]
    assert told["seconds"] == told["total_seconds"]


def test_every_fold_is_measured_and_the_bundle_learns_from_everything(tmp_path: Path) -> None:
    """Six trainings of five folds; the figures are means over all queries, whose folds saw the others only."""
    splits, recipe = make_text_splits(make_collection(), "kfold", folds=5), Searching()
    run = Run(folder=tmp_path / "run")
    outcome = train_search(ranker("search", recipe), splits, Config(), run, bundles=tmp_path / "bundles")
    assert [len(given.train) for given in recipe.given[:-1]] == [len(split.train) for split in splits]
    assert len(recipe.given) == 6
    everything = splits[0].collection.judged["all"]
    assert len(recipe.given[-1].train) == len(everything)
    assert outcome.figures is not None
    assert sorted(outcome.figures.usual.query_rows) == everything.positives.queries.tolist()
    assert outcome.metrics["test"]["AP"] == pytest.approx(outcome.figures.usual.per_query["AP"].mean())
    assert len(outcome.metrics["folds"]) == 5
    sizes = [len(split.test.queries) for split in splits]
    assert np.average([fold["AP"] for fold in outcome.metrics["folds"]], weights=sizes) == pytest.approx(
        outcome.metrics["test"]["AP"]
    )
    manifest = read_bundle(outcome.bundle).manifest
    assert manifest.data.split.name == "kfold"
    assert manifest.data.split.parameters == {"folds": 5, "seed": 0}
    assert manifest.data.fingerprint == splits[0].collection.fingerprint(together(splits[3]).train), (
        "whichever fold it came from"
    )
    assert [fold["judgements"] for fold in manifest.training["folds"]] == [len(split.train) for split in splits]
    assert manifest.training["judgements"] == len(everything)
    folders = sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_dir())
    assert folders == ["all", "fold-0", "fold-1", "fold-2", "fold-3", "fold-4"]
    assert outcome.total_seconds is not None and outcome.total_seconds > outcome.seconds


def test_without_judgements_there_is_a_bundle_and_no_figure(tmp_path: Path) -> None:
    """A folder of documents alone."""
    collection = replace(make_collection(), judged={}, queries=type(make_collection().queries)("query", []), query_texts=())
    outcome = train_search(ranker("search", Searching()), make_text_splits(collection), Config(), Run(), bundles=tmp_path)
    assert (outcome.metrics, outcome.figures, dict(outcome.variant_figures)) == ({}, None, {})
    assert read_bundle(outcome.bundle).manifest.metrics == {}


def test_ctrl_c_in_a_fold_is_resumed_where_it_was(tmp_path: Path) -> None:
    """The message names the run's own folder, not the fold's; finished folds are not learned again."""
    splits, folder, learned = make_text_splits(make_collection(), "kfold", folds=3), tmp_path / "run", []

    def train(data: TextSplit, config: Config, run: Run) -> TrainedSearch:
        with run.phase("fit", 5) as phase:
            for epoch in phase:
                learned.append((run.folder.name if run.folder else "", epoch))
                phase.log(loss=1.0)
                if run.folder and run.folder.name == "fold-1" and epoch == 2 and not run.resume:
                    raise KeyboardInterrupt
        return TrainedSearch(SearchModel(LexicalIndex.build(data.collection.texts())))

    with pytest.raises(Interrupted, match=rf"after 2 whole epochs; resume with --run-dir {folder} --resume"):
        train_search(ranker("search", train), splits, Config(), Run(folder=folder), bundles=tmp_path / "bundles")
    assert not (tmp_path / "bundles").exists()
    del learned[:]
    run = Run(folder=folder, resume=True)
    train_search(ranker("search", train), splits, Config(), run, bundles=tmp_path / "bundles")
    assert learned[:4] == [("fold-1", 2), ("fold-1", 3), ("fold-1", 4), ("fold-2", 0)]
    changed = Run(folder=folder, resume=True, seed=1)
    with pytest.raises(ConfigError, match="seed differ"):
        train_search(ranker("search", train), splits, Config(), changed, bundles=tmp_path)


def test_a_time_budget_is_shared_by_the_folds(tmp_path: Path) -> None:
    """Each of four trainings has a quarter, from its own beginning."""
    budgets: list[tuple[float | None, bool]] = []

    def train(data: TextSplit, config: Config, run: Run) -> TrainedSearch:
        budgets.append((run.time_budget, run.out_of_time))
        return TrainedSearch(SearchModel(LexicalIndex.build(data.collection.texts())))

    splits = make_text_splits(make_collection(), "kfold", folds=3)
    train_search(ranker("search", train), splits, Config(), Run(time_budget=400.0), bundles=tmp_path)
    assert budgets == [(100.0, False)] * 4


def test_candidates_of_one_split_are_learned_once(tmp_path: Path) -> None:
    """The recipe gets an empty test part; figures of the ranker and of its variant stand in their bundles."""
    split, recipe = make_feature_split(), Ranking()
    outcome = train_reranker(ranker("rerank", recipe), [split], Config(), Run(seed=2), bundles=tmp_path)
    assert [given.test.num_queries for given in recipe.given] == [0]
    assert recipe.given[0].train is split.train and recipe.given[0].valid is split.valid
    bundle = read_bundle(outcome.bundle)
    assert isinstance(bundle, RerankBundle)
    assert outcome.metrics == {"test": evaluate_reranker(bundle.model, split.test).means()}
    assert bundle.manifest.metrics == outcome.metrics
    assert bundle.manifest.data.fingerprint == split.train.fingerprint()
    assert read_bundle(outcome.variants["reverse"]).manifest.metrics["test"]["AP"] < outcome.metrics["test"]["AP"]
    assert outcome.figures is not None
    assert len(outcome.figures.whole.query_ids) == 40


def test_all_folds_of_letor_are_measured(tmp_path: Path) -> None:
    """The bundle's ranker learns from four parts and chooses on the fifth; the mean is over all queries."""
    splits, recipe = make_feature_splits(letor()), Ranking()
    outcome = train_reranker(ranker("rerank", recipe), splits, Config(), Run(), bundles=tmp_path)
    assert [given.train.num_queries for given in recipe.given] == [24] * 5 + [32]
    assert recipe.given[-1].valid is splits[0].valid
    assert not set(recipe.given[-1].valid.query_ids) & set(recipe.given[-1].train.query_ids)
    assert len(outcome.metrics["folds"]) == 5
    assert outcome.metrics["test"]["AP"] == pytest.approx(np.mean([fold["AP"] for fold in outcome.metrics["folds"]]))
    assert outcome.figures is not None
    assert len(outcome.figures.whole.query_ids) == 40
    manifest = read_bundle(outcome.bundle).manifest
    assert manifest.data.split.parameters == {"folds": 5}
    assert manifest.data.fingerprint == all_candidates(splits[0]).train.fingerprint()
    assert [fold["queries"] for fold in manifest.training["folds"]] == [24] * 5


@pytest.mark.parametrize("kind", ["search", "rerank"])
def test_a_name_that_no_bundle_can_have_is_refused_before_training(kind: Kind, tmp_path: Path) -> None:
    """As for recommenders."""
    train, splits = (train_search, [make_split()]) if kind == "search" else (train_reranker, [make_feature_split()])
    with pytest.raises(ConfigError, match="cannot name a bundle"):
        train(ranker(kind, None), splits, Config(), Run(folder=tmp_path / "run"), bundles=tmp_path / "b", name="No Name")  # type: ignore[operator]
    assert list(tmp_path.iterdir()) == []


def test_everything_of_a_fold_does_not_depend_on_which_fold() -> None:
    """Judgements and candidates in one order, no test part left."""
    splits = make_text_splits(make_collection(), "kfold", folds=4)
    wholes = [together(replace(split, train_candidates=split.train, test_candidates=split.test)) for split in splits]
    for whole in wholes:
        for mine, theirs in ((whole.train, wholes[0].train), (whole.train_candidates, wholes[0].train)):
            assert isinstance(mine, Judgements)
            np.testing.assert_array_equal(mine.document_rows, theirs.document_rows)
            np.testing.assert_array_equal(mine.grades, theirs.grades)
        assert (len(whole.test), whole.test_candidates) == (0, None)
