"""`irgan-history`: what is hidden stays hidden, who judges has not learned from it, and the epoch is chosen on held-out events.

Shapes: B users, I items, C channels, X = C · I.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.config import parse_config
from training.errors import ConfigError, DataError
from training.evaluation import validation_metrics
from training.loop import Run
from training.models.history import LeaveOneOutDiscriminator
from training.objectives import irgan as objectives
from training.recipes.irgan_history import Config, recipe, validation
from training.recipes.irgan_history.game import Batch, discriminator_step, generator_step, hide, verdicts
from training.recipes.irgan_history.learn import learn
from training.recipes.irgan_history.linear import linear_path
from training.recipes.irgan_history.validation import choose

SMALL: dict[str, Any] = {
    "num_members": 2,
    "hidden_size": 16,
    "discriminator_hidden_size": 16,
    "batch_size": 16,
    "num_epochs": 8,
    "validate_every": 2,
    "linear_rank": 4,
    "linear_l2": 20.0,
}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def random_numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def events_BI(seed: int = 0) -> tuple[Tensor, Tensor]:
    """What 8 users liked and rated low, of 20 items; the last user did nothing."""
    kinds_BI = np.random.default_rng(seed).integers(0, 3, size=(8, 20))
    kinds_BI[-1] = 0
    return torch.from_numpy(kinds_BI == 1).float(), torch.from_numpy(kinds_BI == 2).float()


def a_batch(config: Config, num_members: int = 2) -> Batch:
    liked_BI, low_BI = events_BI()
    learner_B = torch.arange(8) % config.num_discriminators
    return hide(liked_BI, low_BI, learner_B, num_members=num_members, config=config, random=random_numbers())


def discriminators(number: int, channels: int = 1) -> torch.nn.ModuleList:
    random = random_numbers(5)
    return torch.nn.ModuleList(
        LeaveOneOutDiscriminator(num_items=20, num_channels=channels, hidden_size=8, dropout=0.0, generator=random)
        for _ in range(number)
    )


@pytest.mark.parametrize("signal", ["positives", "all"])
def test_hiding_parts_what_was_liked_and_nothing_visible_can_be_picked(signal: str) -> None:
    """Visible and hidden make the liked items; the softmax leaves out what is visible, and what was rated low where that is known."""
    liked_BI, low_BI = events_BI()
    batch = a_batch(small(signal=signal))
    visible_MBI, hidden_MBI = batch.visible_MBX[..., :20], batch.hidden_MBI
    assert torch.equal(visible_MBI + hidden_MBI, liked_BI.expand(2, 8, 20))
    assert not torch.equal(hidden_MBI[0], hidden_MBI[1])  # each member has another part hidden
    assert (hidden_MBI.sum(dim=(1, 2)) > 0).all()
    assert (visible_MBI.sum(dim=(1, 2)) > 0).all()
    if signal == "positives":
        assert batch.visible_MBX.shape == (2, 8, 20)
        assert torch.equal(batch.excluded_MBI, visible_MBI.bool())
        assert torch.equal(batch.whole_BX, liked_BI)
    else:
        assert torch.equal(batch.excluded_MBI, (visible_MBI + low_BI).bool())
        assert torch.equal(batch.whole_BX, torch.cat([liked_BI, low_BI], dim=1))
        assert (batch.visible_MBX[..., 20:] <= low_BI).all()
        assert 0 < batch.visible_MBX[0, :, 20:].sum() < low_BI.sum()
    assert not (batch.excluded_MBI & hidden_MBI.bool()).any()


def test_each_event_is_hidden_with_the_configured_chance() -> None:
    """A share of 0.2 hides a fifth of many events."""
    liked_BI = torch.ones(200, 100)
    config = small(hidden_fraction=0.2)
    nothing_BI, learner_B = torch.zeros(200, 100), torch.zeros(200)
    batch = hide(liked_BI, nothing_BI, learner_B, num_members=1, config=config, random=random_numbers())
    assert batch.hidden_MBI.mean().item() == pytest.approx(0.2, abs=0.01)


def test_the_discriminator_learns_to_tell_hidden_items_from_picks() -> None:
    """Its loss falls, and in the end hidden items have greater logits than what is picked in their place."""
    config = small(num_discriminators=1)
    batch, jury = a_batch(config, num_members=1), list(discriminators(1))
    picks_BI = (1 - batch.hidden_MBI[0]) * (1 - batch.visible_MBX[0])
    picks_BI = picks_BI / picks_BI.sum(1, keepdim=True)
    optimizer = torch.optim.AdamW(jury[0].parameters(), lr=0.05)
    losses = [discriminator_step(jury, optimizer, batch, picks_BI, random_numbers())["discriminator_loss"] for _ in range(60)]
    assert losses[-1] < 0.5 * losses[0]
    logits_BI = verdicts(jury, batch.learner_B, batch)
    assert logits_BI[batch.hidden_MBI[0].bool()].mean() > logits_BI[picks_BI > 0].mean() + 1.0


def test_a_discriminator_s_step_is_equation_3_with_users_alike() -> None:
    """Each user's mean over hidden items, and as much weight on the picks, mean over members; nothing hidden adds nothing."""
    batch, jury = a_batch(small(num_discriminators=1)), list(discriminators(1))
    picks_BI = torch.softmax(torch.randn(8, 20, generator=random_numbers(3)), dim=1)
    probs_BI = torch.sigmoid(verdicts(jury, batch.learner_B, batch))
    expected = torch.tensor(0.0)
    for member, user in itertools.product(range(2), range(8)):
        hidden_I = batch.hidden_MBI[member, user].bool()
        if hidden_I.any():
            positive = torch.log(probs_BI[user, hidden_I]).mean()
            negative = (picks_BI[user] * torch.log(1 - probs_BI[user])).sum()
            expected = expected - (positive + negative) / 16
    optimizer = torch.optim.SGD(jury[0].parameters(), lr=0.0)
    told = discriminator_step(jury, optimizer, batch, picks_BI, random_numbers())
    assert told["discriminator_loss"] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_judge_has_not_learned_from_the_user_where_there_are_several(number: int) -> None:
    """A step changes only the discriminator that a user is dealt to, and the reward comes from the next one."""
    config = small(num_discriminators=number)
    batch, jury = a_batch(config, num_members=1), list(discriminators(number))
    only = 0
    is_mine_B = batch.learner_B == only
    mine = Batch(
        batch.visible_MBX[:, is_mine_B],
        batch.whole_BX[is_mine_B],
        batch.hidden_MBI[:, is_mine_B],
        batch.excluded_MBI[:, is_mine_B],
        batch.learner_B[is_mine_B],
    )
    before = [[weights.clone() for weights in network.parameters()] for network in jury]
    optimizer = torch.optim.SGD([w for network in jury for w in network.parameters()], lr=1.0)
    discriminator_step(jury, optimizer, mine, torch.full_like(mine.hidden_MBI[0], 0.05), random_numbers())
    for position, (network, old) in enumerate(zip(jury, before, strict=True)):
        moved = any(not torch.equal(now, then) for now, then in zip(network.parameters(), old, strict=True))
        assert moved == (position == only)

    logits_BI = torch.randn(8, 20, generator=random_numbers(4)).requires_grad_()
    log_probs_BI = objectives.policy_log_probs(logits_BI, excluded_BI=batch.excluded_MBI[0])
    told = generator_step(torch.optim.SGD([logits_BI], lr=0.0), log_probs_BI, jury, batch, config)
    rewards_BI = torch.stack(
        [
            2 * torch.sigmoid(jury[(int(batch.learner_B[user]) + 1) % number](batch.whole_BX[user : user + 1])[0]) - 1
            for user in range(8)
        ]
    )
    num_hidden_B = batch.hidden_MBI[0].sum(1)
    picks_B = num_hidden_B.clamp(min=1.0) ** -0.5 * num_hidden_B / 8
    expected = (picks_B * (log_probs_BI.exp() * rewards_BI).sum(1)).sum()
    assert told["reward"] == pytest.approx(expected.item(), rel=1e-4)


def test_without_discriminators_the_generator_maximises_likelihood_alone() -> None:
    """Hidden items' log probability, a user's weight falling with the number of hidden items, the mean over users and members."""
    config = small(user_weight_exponent=1.0)
    batch = a_batch(config)
    logits_NI = torch.randn(16, 20, generator=random_numbers(4)).requires_grad_()
    log_probs_NI = objectives.policy_log_probs(logits_NI, excluded_BI=batch.excluded_MBI.flatten(0, 1))
    told = generator_step(torch.optim.SGD([logits_NI], lr=0.0), log_probs_NI, [], batch, config)
    assert set(told) == {"likelihood"}
    means = [log_probs_NI[row][batch.hidden_MBI.flatten(0, 1)[row].bool()] for row in range(16)]
    expected = sum(values.mean().item() for values in means if len(values)) / 16
    assert told["likelihood"] == pytest.approx(expected, rel=1e-4)


def test_the_twin_without_an_adversary_sees_the_same_batches() -> None:
    """Discriminators have random numbers of their own: as long as they only warm up, both learn the very same generator."""
    data = make_interactions()
    options = {"num_members": 2, "num_epochs": 3}
    with_one = learn(data, small(warmup_epochs=3), first := Run(), name="fit", **options)
    without = learn(data, small(adversary="none"), second := Run(), name="fit", **options)
    for mine, theirs in zip(with_one.parameters(), without.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert first.curves == second.curves
    playing = learn(data, small(warmup_epochs=2), third := Run(), name="fit", **options)
    assert not torch.equal(playing.output_MHI, without.output_MHI)
    assert third.curves["fit/likelihood"][:2] == first.curves["fit/likelihood"][:2]
    told = {"reward", "discriminator_loss", "positives_among_picks", "entropy", "pick_popularity"}
    assert {name for name, points in third.curves.items() if [epoch for epoch, _ in points] == [2]} == {
        f"fit/{n}" for n in told
    }


def test_likelihood_rises() -> None:
    """The hidden half becomes more likely than under popularity."""
    learn(make_interactions(), small(), run := Run(), name="fit", num_members=2, num_epochs=8)
    likelihoods = [value for _, value in run.curves["fit/likelihood"]]
    assert likelihoods[-1] > likelihoods[0] + 0.1


def test_without_signal_from_low_ratings_they_do_not_exist() -> None:
    """Learning from all events is learning from the liked ones, to the last bit."""
    data = make_interactions()
    config = small(validation_fraction=0.0)
    all_events = recipe.train(data, config, Run()).model
    liked = recipe.train(data.positives(), config, Run()).model
    np.testing.assert_array_equal(all_events.item_vectors_ID, liked.item_vectors_ID)


def test_the_chosen_epoch_is_the_best_on_held_out_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look is measured on events that the committee did not learn from; the refit is as long as the best look says."""
    data, looks, fits = make_interactions(), [], []

    def measure(scores_UI: np.ndarray, relevant: Histories, excluded: Histories) -> dict[str, float]:
        assert not (relevant.mask(40) & excluded.mask(40)).any()
        assert (relevant.lengths > 0).all()
        looks.append((relevant, excluded))
        return validation_metrics(scores_UI, relevant, excluded)

    def fit(data: Any, *args: Any, **options: Any) -> Any:
        fits.append((data, options["name"], options["num_epochs"]))
        return learn(data, *args, **options)

    monkeypatch.setattr(validation, "validation_metrics", measure)
    monkeypatch.setattr(validation, "learn", fit)
    monkeypatch.setattr(recipe, "learn", fit)
    trained = recipe.train(data, small(linear_weight="validation"), run := Run())
    told = trained.summary
    curve = run.curves["choose/nDCG@10"]
    assert [epoch for epoch, _ in curve] == [1, 3, 5, 7]
    best_epoch, best_value = max(curve, key=lambda point: (point[1], -point[0]))
    assert told["validation"]["best"] == {"after": best_epoch + 1, "value": best_value}
    assert told["validation"]["final"] == {"after": 8, "value": curve[-1][1]}
    assert told["num_epochs"] == best_epoch + 1
    assert told["linear_weight"] in validation._LINEAR_WEIGHTS
    assert len(looks) == 4 * len(validation._LINEAR_WEIGHTS)
    (part, first, _), (everything, second, num_epochs) = fits
    assert (first, second, num_epochs) == ("choose", "fit", best_epoch + 1)
    assert everything is data
    learned = part.histories().mask(40)
    relevant, excluded = looks[0]
    assert excluded.mask(40).sum() == learned.sum()
    held_out = data.histories().mask(40) & ~learned
    assert relevant.mask(40).sum() == (held_out & data.positives().histories().mask(40)).sum()


def test_choosing_stops_when_nothing_gets_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `patience` looks without a better value."""
    values = iter([0.5, 0.6, 0.4, 0.6, 0.3, 0.9])
    monkeypatch.setattr(validation, "validation_metrics", lambda *_: {"nDCG@10": next(values)})
    best, _, told = choose(make_interactions(), small(validate_every=1, patience=3), Run())
    assert (best.epoch, best.value) == (1, 0.6)
    assert told["validation"]["final"]["after"] == 5


def test_a_spent_time_budget_keeps_the_committee_that_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch, one look, no refit that would be cut short; and the summary says so."""
    fits = []

    def fit(*args: Any, **options: Any) -> Any:
        fits.append(options["name"])
        return learn(*args, **options)

    monkeypatch.setattr(validation, "learn", fit)
    monkeypatch.setattr(recipe, "learn", fit)
    trained = recipe.train(make_interactions(), small(), run := Run(time_budget=0.0))
    assert fits == ["choose"]
    assert trained.summary["refit"] is False
    assert trained.summary["num_epochs"] == 1
    assert [epoch for epoch, _ in run.curves["choose/nDCG@10"]] == [0]


def test_without_validation_it_takes_the_last_epoch() -> None:
    """All epochs on all data, with the configured linear weight; a weight chosen on nothing is refused."""
    trained = recipe.train(make_interactions(), small(validation_fraction=0.0, linear_weight=3.0), run := Run())
    assert trained.summary == {"refit": True, "num_epochs": 8, "linear_weight": 3.0}
    assert set(run.curves) >= {"fit/likelihood"}
    assert not any(name.startswith("choose") for name in run.curves)
    with pytest.raises(ConfigError, match="linear_weight=validation needs a validation_fraction above 0"):
        parse_config(Config, assignments=["linear_weight=validation", "validation_fraction=0"])


def test_the_linear_path_is_ease_cut_to_its_rank() -> None:
    """At full rank it is EASE itself; large catalogues and rank 0 go without."""
    from training.baselines import ease_weights  # noqa: PLC0415 - beside its use

    data = make_interactions()
    path = linear_path(data, small(linear_rank=40), Run())
    wanted_II = ease_weights(data.positives().matrix(), l2=20.0)
    torch.testing.assert_close((path.table_IR @ path.vectors_IR.T).double(), torch.from_numpy(wanted_II), atol=1e-5, rtol=1e-4)
    path = linear_path(data, small(linear_rank=40, signal="all", linear_levels=[0.0, 0.2, 0.4, 1.0, 1.5]), Run())
    with_low_II = ease_weights(data.matrix(np.array([0.0, 0.2, 0.4, 1.0, 1.5])[data.ratings.astype(int) - 1]), l2=20.0)
    torch.testing.assert_close(
        (path.table_IR @ path.vectors_IR.T).double(), torch.from_numpy(with_low_II), atol=1e-5, rtol=1e-4
    )
    for none in (small(linear_rank=0), small(linear_max_items=39)):
        assert linear_path(data, none, Run()).table_IR.shape == (40, 0)


def test_levels_spread_over_the_ratings_that_there_are() -> None:
    """Straight lines between levels, ends held, 1 without a rating; with positives alone, and on clicks, everything counts 1."""
    data = make_interactions()  # ratings 1 to 5
    scale = linear_path(data, small(signal="all", linear_levels=[0.0, 1.0, 3.0]), Run()).scale
    ratings = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0, np.nan])
    np.testing.assert_allclose(scale.weights(ratings), [0.0, 0.0, 0.5, 1.0, 2.0, 3.0, 3.0, 1.0])
    clicks = dataclasses.replace(data, ratings=None)
    for flat in (linear_path(data, small(), Run()).scale, linear_path(clicks, small(signal="all"), Run()).scale):
        np.testing.assert_array_equal(flat.weights(ratings), np.ones(8))


def test_histories_of_one_event_are_refused_in_plain_words() -> None:
    """Nothing can be hidden from them, neither for validation nor in the game."""
    data = make_interactions().positives()
    single = data.where(np.unique(data.user_rows, return_index=True)[1])
    with pytest.raises(DataError, match="nothing can be held out for validation"):
        recipe.train(single, small(), Run())
    with pytest.raises(DataError, match="none of 60 users has two liked events to learn from; use another ranker"):
        recipe.train(single, small(validation_fraction=0.0), Run())


def test_held_out_events_without_a_liked_one_cannot_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """An average over nobody would choose at random; the message says what to do."""
    data = make_interactions()
    monkeypatch.setattr(validation, "holdout", lambda data, **_: (data, data.where(~data.is_positive)))
    with pytest.raises(DataError, match=r"no liked event is among the \d+ held out .*--set validation_fraction=0"):
        recipe.train(data, small(), Run())
