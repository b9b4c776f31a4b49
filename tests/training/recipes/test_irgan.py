"""The recipe `irgan`: it learns, can be trusted to be the same again, and has none of the official code's known defects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import make_interactions
from training.config import parse_config
from training.data import Interactions, holdout
from training.errors import ConfigError, Interrupted
from training.evaluation import validation_metrics
from training.loop import Run
from training.models.matrix_factorization import MatrixFactorization
from training.ranker import TrainedRanker
from training.recipes.irgan import Config, train
from training.recipes.irgan import recipe as story
from training.recipes.irgan.game import Player, discriminator_turn, negative_probs, observe
from training.recipes.irgan.positives import Positives
from training.recipes.irgan.validation import Validation

SHORT: dict[str, Any] = {"num_pretraining_epochs": 8, "num_rounds": 6, "validate_every": 2}


def short(**settings: Any) -> Config:
    return Config(**(SHORT | settings))


def same(one: TrainedRanker, other: TrainedRanker) -> bool:
    models = [(one.model, other.model), *((one.variants[name], other.variants[name]) for name in one.variants)]
    return all(
        np.array_equal(a.item_vectors_ID, b.item_vectors_ID) and np.array_equal(a.user_vectors_UD, b.user_vectors_UD)
        for a, b in models
        if a.user_vectors_UD is not None and b.user_vectors_UD is not None
    )


@pytest.fixture
def positives(small_interactions: Interactions) -> Positives:
    return Positives(small_interactions, device=torch.device("cpu"), batch_size=16, weight_exponent=0.0)


def player(data: Interactions, *, seed: int = 0) -> MatrixFactorization:
    random = torch.Generator().manual_seed(seed)
    return MatrixFactorization(
        num_users=data.num_users, num_items=data.num_items, embedding_size=3, init_std=0.1, generator=random
    )


def test_it_ranks_what_somebody_will_like_far_better_than_popularity_does() -> None:
    """Two tastes, a third of the events held out: nDCG@10 of the ranker against that of counting, for known and for new users."""
    data = make_interactions(num_users=150, per_user=14)
    fit, held = holdout(data, fraction=0.3, rng=np.random.default_rng(5))
    model = train(fit, Config(validation_fraction=0, user_weight_exponent=0.5, generator_weight_decay=0.5), Run()).model
    known_U = np.arange(fit.num_users)
    relevant, excluded = held.positives().histories(), fit.positives().histories()

    def quality(scores_UI: np.ndarray) -> float:
        return validation_metrics(scores_UI, relevant, excluded)["nDCG@10"]

    popularity = quality(np.tile(fit.popularity(), (fit.num_users, 1)))
    assert quality(model.scores(fit.histories(), known_U)) > 1.3 * popularity
    assert quality(model.scores(fit.histories())) > 1.2 * popularity


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pretraining": "mle"},
        {"pretraining": "none", "bias_start": "zero"},
        {"adversary": "likelihood"},
        {"adversary": "hard-negatives"},
        {"reward": "sampled", "negatives": "sampled"},
        {"reward": "sampled", "baseline": "mean", "policy_temperature": 0.5},
        {"reward": "sampled", "baseline": "none", "positive_share": 0},
        {"generator_objective": "minimax", "negatives_temperature": 0.2},
        {"generator_objective": "non-saturating", "mask_positives": False},
        {"likelihood_weight": 0, "discriminator_start": "pretrained", "discriminator_steps": 3},
        {"player": "discriminator", "optimizer": "sgd", "schedule": "constant"},
        {"batch_size": 7, "user_weight_exponent": 0.5},
        {"users_per_turn": 20, "batch_size": 16},
        {"num_rounds": 0},
    ],
    ids=str,
)
def test_every_setting_trains_and_says_what_it_chose(small_interactions: Interactions, settings: dict[str, Any]) -> None:
    """Finite vectors for all users and items, the same again under the same seed, and others under another."""
    config = short(**settings)
    ranker = train(small_interactions, config, Run(seed=3))
    for model in (ranker.model, *ranker.variants.values()):
        assert model.item_vectors_ID.shape == (40, 6)
        assert model.user_vectors_UD is not None and model.user_vectors_UD.shape == (60, 6)
        assert np.isfinite(model.item_vectors_ID).all() and np.isfinite(model.user_vectors_UD).all()
    assert ranker.bias_folded
    assert 0 <= ranker.summary["num_rounds"] <= config.num_rounds
    game = ranker.summary["game_validation"]
    assert game["best"]["after"] == ranker.summary["num_rounds"]
    assert not config.num_rounds or game["final"]["after"] == config.num_rounds
    assert same(ranker, train(small_interactions, config, Run(seed=3)))
    assert not same(ranker, train(small_interactions, config, Run(seed=4)))


@pytest.mark.parametrize(
    ("phase", "curve"),
    [("pretraining-validation", "AP"), ("game-validation", "entropy"), ("game", "entropy")],
)
def test_an_interrupted_training_goes_on_to_bit_identical_vectors(
    small_interactions: Interactions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, curve: str
) -> None:
    """Ctrl-C while the third point of a curve is written, then `--resume`, against a run that nobody disturbed."""
    config = short(reward="sampled", negatives="sampled", validate_every=1, patience=20)
    undisturbed = train(small_interactions, config, Run(seed=1))
    write, calls = Run.scalar, []

    def interrupt(run: Run, name: str, value: float, step: int) -> None:
        if name == f"{phase}/{curve}":
            calls.append(step)
            if len(calls) == 3:
                raise KeyboardInterrupt
        write(run, name, value, step)

    with monkeypatch.context() as patched:
        patched.setattr(Run, "scalar", interrupt)
        with pytest.raises(Interrupted, match=phase):
            train(small_interactions, config, Run(seed=1, folder=tmp_path))
    resumed = train(small_interactions, config, Run(seed=1, folder=tmp_path, resume=True))
    assert same(resumed, undisturbed)
    assert resumed.summary == undisturbed.summary


def test_the_moment_is_chosen_on_the_training_data_alone(
    small_interactions: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fitted and the held-out part together are the training events, none twice; the refit sees them all.

    The official code chose its best epoch on the test set.
    """
    validated: list[tuple[Interactions, Interactions]] = []
    learned: list[Interactions] = []

    class SpiedValidation(Validation):
        def __init__(self, fit: Interactions, held: Interactions, **options: Any) -> None:
            validated.append((fit, held))
            super().__init__(fit, held, **options)

    class SpiedPositives(Positives):
        def __init__(self, data: Interactions, **options: Any) -> None:
            learned.append(data)
            super().__init__(data, **options)

    monkeypatch.setattr(story, "Validation", SpiedValidation)
    monkeypatch.setattr(story, "Positives", SpiedPositives)
    train(small_interactions, short(), Run())
    [(fit, held)] = validated

    def pairs(data: Interactions) -> list[tuple[int, int]]:
        return list(zip(data.user_rows.tolist(), data.item_rows.tolist(), strict=True))

    assert sorted(pairs(fit) + pairs(held)) == sorted(pairs(small_interactions))
    assert learned == [fit, small_interactions]


@pytest.mark.parametrize("negatives", ["exact", "sampled"])
def test_the_discriminator_always_learns_from_the_generators_latest_picks(
    small_interactions: Interactions, positives: Positives, negatives: str
) -> None:
    """The generator moves all its probability from item 3 to item 7; at its next turn the discriminator pushes down 7, not 3.

    The official code refreshed its file of negatives and went on reading the first one from a cache.
    """
    generator, discriminator = player(small_interactions), player(small_interactions, seed=1)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=1.0)
    judge = Player(discriminator, optimizer, weight_decay=0.0)
    for picked, other in ((3, 7), (7, 3)):
        with torch.no_grad():
            generator.bias_I.zero_()
            generator.bias_I[picked] = 50.0
            discriminator.bias_I.zero_()
        config = short(negatives=negatives, mask_positives=False)
        discriminator_turn(judge, generator, positives, config, torch.Generator().manual_seed(0))
        moved_I = discriminator.bias_I.detach()
        assert moved_I.argmin() == picked
        assert moved_I[other] > 0


def test_positives_are_no_negatives_unless_asked_for_and_then_the_log_says_so(
    small_interactions: Interactions, positives: Positives
) -> None:
    """Masked: probability exactly 0 on every liked item. Not masked: a share above 0 in the curve."""
    generator, judge = player(small_interactions), player(small_interactions, seed=1)
    users = positives.batches(torch.Generator().manual_seed(0))[0]
    liked_BI = positives.matrix(users)
    masked_BI = negative_probs(generator, positives.rows(users), liked_BI, short())
    assert (masked_BI[liked_BI.bool()] == 0).all()
    torch.testing.assert_close(masked_BI.sum(dim=1), torch.ones(len(users)))
    popularity_I = torch.from_numpy(small_interactions.popularity())
    assert observe(generator, judge, positives, short(), popularity_I)["positives_among_negatives"] == 0.0
    unmasked = observe(generator, judge, positives, short(mask_positives=False), popularity_I)
    assert unmasked["positives_among_negatives"] == pytest.approx(unmasked["positives_among_picks"])
    assert unmasked["positives_among_negatives"] > 0.05


def test_the_curves_tell_what_the_generator_picks(small_interactions: Interactions) -> None:
    """One point a round for each of the six, and the validation's two at its own pace."""
    run = Run()
    train(small_interactions, short(), run)
    for name in (
        "positives_among_picks",
        "positives_among_negatives",
        "entropy",
        "pick_popularity",
        "mean_reward",
        "policy_gradient_variance",
    ):
        assert len(run.curves[f"game-validation/{name}"]) == 6
        assert np.isfinite(run.curves[f"game-validation/{name}"]).all()
    assert [epoch for epoch, _ in run.curves["game-validation/nDCG@10"]] == [1, 3, 5]
    assert [epoch for epoch, _ in run.curves["pretraining-validation/AP"]] == [1, 3, 5, 7]


def test_the_forms_of_the_positives_agree(small_interactions: Interactions, positives: Positives) -> None:
    """Over the batches of a pass every positive appears once, and matrix, pairs and membership say the same."""
    seen = []
    for users in positives.batches(torch.Generator().manual_seed(0)):
        rows_P, items_P = positives.pairs(users)
        users_P = positives.rows(users)[rows_P]
        everything_BI = torch.arange(40).expand(len(users), 40)
        contained_BI = positives.contains(positives.rows(users), everything_BI)
        assert torch.equal(contained_BI.float(), positives.matrix(users))
        assert torch.equal(contained_BI.nonzero(), torch.stack([rows_P, items_P], dim=1).unique(dim=0))
        seen += list(zip(users_P.tolist(), items_P.tolist(), strict=True))
    liked = small_interactions.positives()
    assert sorted(seen) == sorted(zip(liked.user_rows.tolist(), liked.item_rows.tolist(), strict=True))


def test_a_turn_may_cover_a_part_of_the_users(positives: Positives) -> None:
    """40 of 60 users in batches of 16: 16, 16 and 8, nobody twice; more than there are means all."""
    batches = positives.batches(torch.Generator().manual_seed(0), 40)
    assert [len(batch) for batch in batches] == [16, 16, 8]
    assert len(np.unique(np.concatenate(batches))) == 40
    assert sum(map(len, positives.batches(torch.Generator().manual_seed(0), 1000))) == 60


def test_clicks_without_ratings_and_users_without_a_positive_are_welcome(small_interactions: Interactions) -> None:
    """Implicit data train; a user who liked nothing gets the answer of an empty history, not of an untrained row."""
    clicks = replace(small_interactions, ratings=None, positive_threshold=0.0)
    model = train(clicks.where(clicks.user_rows != 4), short(), Run()).model
    assert model.user_vectors_UD is not None
    nothing = clicks.where(clicks.user_rows < 0).histories().take(np.array([0]))
    np.testing.assert_array_equal(model.user_vectors_UD[[4]], model.encoder.encode(nothing))


def test_the_other_player_and_the_pretrained_generator_come_along(small_interactions: Interactions) -> None:
    """Swapping the exported player swaps model and variant; a discriminator that never played is not exported."""
    settings = {"validation_fraction": 0}
    by_generator = train(small_interactions, short(**settings), Run())
    by_discriminator = train(small_interactions, short(**settings, player="discriminator"), Run())
    assert set(by_generator.variants) == {"pretrained", "discriminator"}
    assert set(by_discriminator.variants) == {"pretrained", "generator"}
    np.testing.assert_array_equal(
        by_generator.variants["discriminator"].item_vectors_ID, by_discriminator.model.item_vectors_ID
    )
    assert set(train(small_interactions, short(adversary="likelihood"), Run()).variants) == {"pretrained"}


def test_a_discriminator_that_does_not_play_cannot_rank() -> None:
    """The contradiction is named before any data is read."""
    with pytest.raises(ConfigError, match="player=discriminator needs adversary=discriminator"):
        parse_config(Config, assignments=["player=discriminator", "adversary=likelihood"])


def test_a_spent_time_budget_still_gives_a_ranker(small_interactions: Interactions) -> None:
    """Every phase ends after one epoch, nothing is refitted, and the summary says so."""
    ranker = train(small_interactions, short(validate_every=1), Run(time_budget=0.0))
    assert ranker.summary["refit"] is False
    assert ranker.summary["game_validation"]["final"]["after"] == 1
