"""What every registered ranker must do, one suite for all; a new ranker is covered by its entry in the registry.

Shapes: U users, I items.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.bundle import Histories, VectorModel, read_bundle
from app.retrieval import Query, Recommender
from tests.contract.common import check_settings, check_summary, interrupted_after, nothing_global_takes_part
from tests.training.conftest import make_interactions
from training.data import Interactions, Split
from training.errors import DataError, Interrupted
from training.evaluation import evaluate, ranked_rows
from training.export import export_bundle
from training.loop import Run
from training.ranker import TrainedRanker
from training.registry import RECOMMENDERS


@dataclass(frozen=True)
class Case:
    """What the suite has to know of a ranker.

    Attributes:
        settings: a size that learns two tastes within a second.
        personal: whether different people get different rankings.
        resumable: whether it learns in epochs, between which it can be interrupted.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    personal: bool = True
    resumable: bool = False


CASES = {
    "popularity": Case(personal=False),
    "item-knn": Case({"num_neighbours": 10}),
    "puresvd": Case({"embedding_size": 4}),
    "ease": Case({"l2": 20.0}),
    "ials": Case({"embedding_size": 4, "l2": 1.0, "num_epochs": 5}),
    "avb": Case(
        {"embedding_size": 16, "hidden_size": 32, "adversary_hidden_size": 16, "batch_size": 16, "num_epochs": 15},
        resumable=True,
    ),
    "bpr": Case({"embedding_size": 4, "num_epochs": 15, "learning_rate": 0.05}, resumable=True),
    "gan": Case(
        {"num_members": 2, "hidden_size": 32, "discriminator_hidden_size": 16, "batch_size": 16, "num_epochs": 15},
        resumable=True,
    ),
    "irgan": Case({"num_pretraining_epochs": 15, "num_rounds": 5}, resumable=True),
    "irgan-history": Case(
        {
            "num_members": 2,
            "hidden_size": 32,
            "discriminator_hidden_size": 16,
            "batch_size": 16,
            "num_epochs": 15,
            "linear_rank": 4,
            "linear_l2": 20.0,
        },
        resumable=True,
    ),
    "vae": Case(
        {"num_members": 2, "hidden_size": 32, "embedding_size": 16, "batch_size": 16, "num_epochs": 15}, resumable=True
    ),
    "vae-gan": Case(
        {
            "num_members": 2,
            "hidden_size": 32,
            "embedding_size": 16,
            "discriminator_hidden_sizes": (16, 8),
            "batch_size": 16,
            "num_epochs": 15,
        },
        resumable=True,
    ),
    "rbm": Case({"num_members": 2, "hidden_size": 32, "batch_size": 16, "num_epochs": 30}, resumable=True),
    "nade": Case({"num_members": 2, "hidden_size": 32, "batch_size": 16, "num_epochs": 15}, resumable=True),
    "rbm-cf": Case({"num_members": 2, "hidden_size": 16, "batch_size": 16, "num_epochs": 30}, resumable=True),
    "cf-nade": Case(
        {
            "num_members": 2,
            "hidden_size": 16,
            "batch_size": 16,
            "num_epochs": 15,
            "learning_rate": 2e-2,
            "exposure_hidden_size": 32,
            "exposure_batch_size": 16,
            "exposure_epochs": 15,
        },
        resumable=True,
    ),
}

EVERY_RANKER = pytest.mark.parametrize("name", RECOMMENDERS)
FROM_CLICKS = pytest.mark.parametrize("name", [name for name, spec in RECOMMENDERS.items() if spec.needs != "ratings"])
FROM_RATINGS = pytest.mark.parametrize("name", [name for name, spec in RECOMMENDERS.items() if spec.needs == "ratings"])
WITH_SIGNAL = pytest.mark.parametrize(
    "name", [name for name, spec in RECOMMENDERS.items() if "signal" in spec.config().model_fields]
)


@cache
def split() -> Split:
    """Two tastes; every fifth event is a test event."""
    data = make_interactions()
    is_test_N = np.arange(len(data)) % 5 == 0
    table = pd.DataFrame({"title": [f"Item {row}" for row in range(data.num_items)]})
    return Split("made-up", "random", {}, data.where(~is_test_N), data.where(is_test_N), table)


@cache
def clicks() -> Interactions:
    """Clicks on what was liked, no ratings; ten of the users have one event each, and a further five have none."""
    data = make_interactions().positives()
    first_N = np.zeros(len(data), dtype=bool)
    first_N[np.unique(data.user_rows, return_index=True)[1]] = True
    kept = data.where((data.user_rows < 45) | (first_N & (data.user_rows < 55)))
    return replace(kept, ratings=None, times=None, positive_threshold=0.0)


def learn(name: str, data: Interactions, run: Run | None = None, **settings: Any) -> TrainedRanker:
    spec = RECOMMENDERS[name]
    config = spec.config()(**{**CASES.get(name, Case()).settings, **settings})
    return spec.recipe()(data, config, run or Run(seed=3))


@cache
def trained(name: str) -> TrainedRanker:
    return learn(name, split().train)


@cache
def trained_on_clicks(name: str) -> TrainedRanker:
    return learn(name, clicks())


@cache
def trained_on_low_ratings_too(name: str) -> TrainedRanker:
    return learn(name, split().train, signal="all")


def export(ranker: TrainedRanker, name: str, root: Path) -> Path:
    return export_bundle(
        ranker.model,
        split(),
        root=root,
        name=name,
        ranker=name,
        paper=RECOMMENDERS[name].paper,
        seed=3,
        config={},
        bias_folded=ranker.bias_folded,
        metrics={},
        training=dict(ranker.summary),
    )


def share_of_own_taste(
    model: VectorModel, histories: Histories, tastes_U: np.ndarray, users: np.ndarray | None = None
) -> float:
    """The mean share of the user's taste (even or odd items) among the first ten that they have not had; chance gives a half."""
    scores_UI = model.scores(histories, users)
    top_UK = ranked_rows(scores_UI, histories.mask(model.num_items))[:, :10]
    return float((top_UK % 2 == tastes_U[:, None]).mean())


def people() -> Histories:
    """Nobody of the training data: each likes three items of one taste and rates one of the other low."""
    return Histories.of([[0, 4, 8, 13], [1, 5, 9, 12], [2, 6, 10, 15], [3, 7, 11, 14]], [[5.0, 4.0, 5.0, 1.0]] * 4)


@EVERY_RANKER
def test_a_recipe_is_given_training_data_settings_and_a_run_and_nothing_else(name: str) -> None:
    """Test data cannot be seen by a function that never gets them."""
    assert list(inspect.signature(RECOMMENDERS[name].recipe()).parameters) == ["data", "config", "run"]


@EVERY_RANKER
def test_it_ranks_better_than_chance(name: str) -> None:
    """Average precision on the test events, against the mean of thirty random orders."""
    model = trained(name).model
    rng = np.random.default_rng(0)
    encoder = trained("popularity").model.encoder
    chance = [
        evaluate(VectorModel(rng.normal(size=(model.num_items, 1)).astype(np.float32), encoder), split()).means["AP"]
        for _ in range(30)
    ]
    assert evaluate(model, split()).means["AP"] > 1.5 * np.mean(chance)


@EVERY_RANKER
def test_it_knows_the_tastes_of_known_users_and_of_people_it_has_never_seen(name: str) -> None:
    """Even users like even items, of which chance finds a half; a ranker that is not personal has one order for everybody."""
    model, train = trained(name).model, split().train
    users = np.arange(train.num_users)
    if CASES.get(name, Case()).personal:
        assert share_of_own_taste(model, train.histories(), users % 2, users) > 0.7
        assert share_of_own_taste(model, people(), np.array([0, 1, 0, 1])) > 0.7
    else:
        assert np.ptp(model.scores(train.histories(), users), axis=0).max() == 0


@EVERY_RANKER
def test_the_seed_decides_and_nothing_global_takes_part(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained again it is the same to the last bit, whatever state global generators are in; they and the data stay as they were."""
    train, first = split().train, trained(name)
    before = train.fingerprint()
    with nothing_global_takes_part(capsys):
        again = learn(name, train)
    np.testing.assert_array_equal(again.model.item_vectors_ID, first.model.item_vectors_ID)
    users = np.arange(train.num_users)
    np.testing.assert_array_equal(again.model.scores(train.histories(), users), first.model.scores(train.histories(), users))
    np.testing.assert_array_equal(again.model.scores(people()), first.model.scores(people()))
    assert train.fingerprint() == before


@EVERY_RANKER
def test_interrupted_and_resumed_it_is_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    """Ctrl-C comes in an early epoch, and in a late one of the resumed run; what learns in epochs says so in `CASES`."""
    whole = learn(name, split().train, run := Run(seed=3, folder=tmp_path / "whole"))
    points = sum(map(len, run.curves.values()))
    assert CASES.get(name, Case()).resumable == (tmp_path / "whole" / "checkpoints").is_dir() == bool(points)
    folder = tmp_path / "interrupted"
    for share in (0.3, 0.9) if points else ():
        with interrupted_after(share * points), pytest.raises(Interrupted):
            learn(name, split().train, Run(seed=3, folder=folder, resume=True))
    resumed = learn(name, split().train, run_again := Run(seed=3, folder=folder, resume=True))
    assert run_again.curves == run.curves
    assert resumed.summary == whole.summary
    users = np.arange(split().train.num_users)
    for mine, theirs in [(resumed.model, whole.model)] + [(resumed.variants[v], whole.variants[v]) for v in whole.variants]:
        np.testing.assert_array_equal(mine.item_vectors_ID, theirs.item_vectors_ID)
        histories = split().train.histories()
        np.testing.assert_array_equal(mine.scores(histories, users), theirs.scores(histories, users))
        np.testing.assert_array_equal(mine.scores(people()), theirs.scores(people()))


@EVERY_RANKER
def test_every_history_gets_finite_scores(name: str) -> None:
    """An empty one, a single event, everything, items rated low, no rating at all; alone as in company."""
    model = trained(name).model
    everything = list(range(model.num_items))
    histories = Histories.of(
        [[], [3], [3], [3], everything, [5, 6]],
        [[], [5.0], [1.0], [np.nan], [1.0 + row % 5 for row in everything], [np.nan, 2.0]],
    )
    scores_BI = model.scores(histories)
    assert scores_BI.shape == (6, model.num_items)
    assert np.isfinite(scores_BI).all()
    np.testing.assert_array_equal(scores_BI[3], scores_BI[1], err_msg="a click says as much as a liked item")
    alone_BI = np.concatenate([model.scores(histories.take(np.array([row]))) for row in range(6)])
    np.testing.assert_allclose(alone_BI, scores_BI, rtol=1e-5, atol=1e-5)
    if model.policy.signal == "positives":
        np.testing.assert_array_equal(scores_BI[2], scores_BI[0], err_msg="an item rated low is hidden from the encoder")


@WITH_SIGNAL
def test_with_all_ratings_as_signal_what_was_rated_low_comes_last(name: str) -> None:
    """In known histories and in unseen ones; below a threshold of 4 a 3 is low, and a click is not."""
    ranker = trained_on_low_ratings_too(name)
    histories = Histories.of([[0, 1, 2], [1], [0]], [[5.0, 1.0, np.nan], [3.0], [2.0]])
    order_BI = ranked_rows(ranker.model.scores(histories), np.zeros((3, ranker.model.num_items), dtype=bool))
    assert order_BI[:, -1].tolist() == [1, 1, 0]
    empty_1I = ranker.model.scores(Histories.of([[]]))
    assert not np.allclose(ranker.model.scores(Histories.of([[1]], [[1.0]]))[:, 2:], empty_1I[:, 2:]), "a low rating is signal"
    users = np.arange(split().train.num_users)
    assert share_of_own_taste(ranker.model, split().train.histories(), users % 2, users) > 0.7


@EVERY_RANKER
def test_a_bundle_gives_the_same_scores_and_the_very_same_ranking(name: str, tmp_path: Path) -> None:
    """The full rankings of the service, for known users and for histories, are those of the model before it was exported."""
    check_bundle(trained(name), name, tmp_path)


@WITH_SIGNAL
def test_a_bundle_keeps_what_low_ratings_say(name: str, tmp_path: Path) -> None:
    """The same with low ratings as input and behind all others."""
    check_bundle(trained_on_low_ratings_too(name), name, tmp_path)


def check_bundle(ranker: TrainedRanker, name: str, root: Path) -> None:
    """Export, read back, compare scores and the recommender's rankings."""
    bundle = read_bundle(export(ranker, name, root))
    model, train = ranker.model, split().train
    users = np.arange(train.num_users)
    np.testing.assert_allclose(
        bundle.model.scores(train.histories(), users), model.scores(train.histories(), users), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(bundle.model.scores(people()), model.scores(people()), rtol=1e-5, atol=1e-5)
    recommender = Recommender(bundle)
    for seen in (True, False):
        for user in range(0, train.num_users, 7):
            history = train.histories().take(np.array([user]))
            found = recommender.recommend(Query(user=train.users.id(user), k=train.num_items, exclude_seen=seen))
            check_ranking(found.rows, found.scores, model.scores(history, np.array([user])), history, excluded=seen)
        for position in range(len(people())):
            history = people().take(np.array([position]))
            events = [(train.items.id(row), float(rating)) for row, rating in zip(history.items, history.ratings, strict=True)]
            found = recommender.recommend(Query(history=events, k=train.num_items, exclude_seen=seen))
            check_ranking(found.rows, found.scores, model.scores(history), history, excluded=seen)


def check_ranking(rows: np.ndarray, scores: np.ndarray, wanted_1I: np.ndarray, history: Histories, *, excluded: bool) -> None:
    """The rows are all of the sorted scores, but what the history holds where that is excluded."""
    num_items = wanted_1I.shape[1]
    excluded_1I = history.mask(num_items) if excluded else np.zeros((1, num_items), dtype=bool)
    wanted = ranked_rows(wanted_1I, excluded_1I)[0, : num_items - excluded_1I.sum()]
    np.testing.assert_array_equal(rows, wanted)
    np.testing.assert_allclose(scores, wanted_1I[0, wanted], rtol=1e-5, atol=1e-5)


@FROM_CLICKS
def test_it_learns_from_clicks_and_from_users_with_one_event_or_none(name: str) -> None:
    """No rating anywhere. Known users without an event are answered as a person without a history is."""
    data = clicks()
    model = trained_on_clicks(name).model
    histories, users = data.histories(), np.arange(data.num_users)
    assert np.count_nonzero(histories.lengths == 0) == 5
    assert np.count_nonzero(histories.lengths == 1) >= 10
    scores_UI = model.scores(histories, users)
    assert np.isfinite(scores_UI).all()
    empty_1I = model.scores(Histories.of([[]]))
    without_UI = scores_UI[histories.lengths == 0]
    np.testing.assert_allclose(without_UI, np.repeat(empty_1I, len(without_UI), axis=0), rtol=1e-5, atol=1e-5)
    if CASES.get(name, Case()).personal:
        assert share_of_own_taste(model, people().positives(4.0), np.array([0, 1, 0, 1])) > 0.7


@FROM_RATINGS
def test_what_learns_from_ratings_says_so_where_there_are_none(name: str) -> None:
    """One message that names the ranker and what it misses; nothing is trained on made-up numbers."""
    with pytest.raises(DataError, match=rf"(?s){name}.*rating"):
        learn(name, clicks())


@FROM_RATINGS
def test_expected_ratings_lie_within_the_scale_and_beat_the_mean(name: str) -> None:
    """For every item, of known users, of people never seen and of an empty history; test errors against those of the overall mean."""
    model, data = trained(name).model, split()
    users = np.arange(data.train.num_users)
    for ratings_BI in (
        model.ratings(data.train.histories(), users),
        model.ratings(people()),
        model.ratings(Histories.of([[]])),
    ):
        assert ratings_BI.min() >= 1.0
        assert ratings_BI.max() <= 5.0
    mean_errors = data.test.ratings - data.train.ratings.mean()
    found = evaluate(model, data).means
    assert found["RMSE"] < 0.95 * np.sqrt(np.mean(mean_errors**2))
    assert 0.0 < found["MAE"] <= found["RMSE"]


@FROM_RATINGS
def test_the_first_stage_finds_what_the_rescorer_puts_first(name: str, tmp_path: Path) -> None:
    """Declared in the manifest; on a catalogue smaller than the candidates nothing can be missed."""
    manifest = read_bundle(export(trained(name), name, tmp_path)).manifest
    assert manifest.scoring.fidelity == "approximate"
    assert manifest.scoring.overlap_at_100 == 1.0
    assert manifest.rescorer is not None
    assert manifest.rescorer.predicts_ratings


@EVERY_RANKER
def test_variants_of_a_ranker_answer_as_it_does(name: str) -> None:
    """The other models of a run, such as the discriminator, are whole rankers."""
    ranker = trained(name)
    for variant in ranker.variants.values():
        assert variant.item_vectors_ID.shape == ranker.model.item_vectors_ID.shape
        assert np.isfinite(variant.scores(people())).all()


@EVERY_RANKER
def test_settings_are_closed_frozen_and_described(name: str) -> None:
    """See `check_settings`."""
    check_settings(RECOMMENDERS[name].config())


@EVERY_RANKER
def test_what_a_run_tells_of_itself_is_json(name: str) -> None:
    """The summary goes into the manifest, where no infinity and no array has a place."""
    for ranker in (trained(name), *([] if RECOMMENDERS[name].needs == "ratings" else [trained_on_clicks(name)])):
        check_summary(ranker.summary)
