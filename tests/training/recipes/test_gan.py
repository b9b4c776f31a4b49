"""The turns of the game on made-up interactions: who learns from what, what is shown, and what a setting of 0 leaves out.

Shapes: B users, I items, M members.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.training.conftest import make_interactions
from training.data.batches import multi_hot
from training.errors import DataError
from training.loop import Run
from training.models.gan import PreferenceDiscriminator, PreferenceGenerator
from training.recipes.gan import Config
from training.recipes.gan.game import Batch, discriminator_step, generator_step, hide, offer
from training.recipes.gan.learn import first_biases, learn

DATA = make_interactions()
SMALL: dict[str, Any] = {
    "likelihood_weight": 0.0,
    "hidden_size": 16,
    "discriminator_hidden_size": 8,
    "batch_size": 30,
    "dropout": 0.0,
}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def liked_BI() -> Tensor:
    return multi_hot(DATA.positives().histories(), DATA.num_items, torch.device("cpu"))


def players(config: Config) -> tuple[PreferenceGenerator, PreferenceDiscriminator]:
    random = torch.Generator().manual_seed(0)
    generator = PreferenceGenerator(
        num_items=DATA.num_items,
        num_members=2,
        hidden_size=config.hidden_size,
        dropout=config.dropout,
        output_bias_I=first_biases(DATA, config),
        generator=random,
    )
    judge = PreferenceDiscriminator(num_items=DATA.num_items, num_members=2, hidden_size=8, generator=random)
    return generator, judge


def cut(config: Config) -> Batch:
    return hide(liked_BI(), num_members=2, config=config, random=torch.Generator().manual_seed(1))


def test_a_batch_cuts_each_history_in_two_and_shows_no_visible_item() -> None:
    """Half is hidden on average, another half for each member; of what was not liked a tenth is shown."""
    batch = cut(small(shown_negatives=0.1))
    whole_MBI = batch.visible_MBI + batch.hidden_MBI
    assert torch.equal(whole_MBI, liked_BI().expand_as(whole_MBI))
    assert not torch.equal(batch.hidden_MBI[0], batch.hidden_MBI[1])
    assert (batch.hidden_MBI.sum() / whole_MBI.sum()).item() == pytest.approx(0.5, abs=0.05)
    assert (batch.mask_MBI * batch.visible_MBI).sum() == 0
    assert (batch.mask_MBI * batch.hidden_MBI).sum() == batch.hidden_MBI.sum()
    shown_share = (batch.mask_MBI - batch.hidden_MBI).sum() / (1 - whole_MBI).sum()
    assert shown_share.item() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(("shown_negatives", "expected"), [(0.0, "hidden"), (1.0, "all but visible")])
def test_the_ends_of_partial_masking(shown_negatives: float, expected: str) -> None:
    """0 shows what was observed alone, 1 everything but the condition."""
    batch = cut(small(shown_negatives=shown_negatives))
    wanted_MBI = batch.hidden_MBI if expected == "hidden" else 1.0 - batch.visible_MBI
    assert torch.equal(batch.mask_MBI, wanted_MBI)


@pytest.mark.parametrize("preferences", ["softmax", "sigmoid"])
def test_an_offer_is_a_vector_of_preferences(preferences: Any) -> None:
    """A softmax offers as much in all as is hidden, none of it on visible items; sigmoids lie between 0 and 1."""
    config = small(preferences=preferences)
    generator, _ = players(config)
    batch = cut(config)
    vectors_MBI = offer(generator, batch, config, torch.Generator()).vectors_MBI
    if preferences == "softmax":
        torch.testing.assert_close(vectors_MBI.sum(dim=-1), batch.hidden_MBI.sum(dim=-1))
        assert (vectors_MBI * batch.visible_MBI).max() == 0
    else:
        assert 0 < vectors_MBI.min() < vectors_MBI.max() < 1


@pytest.mark.parametrize("objective", ["minimax", "non-saturating"])
def test_each_player_s_turn_moves_that_player_alone_and_its_own_way(objective: Any) -> None:
    """Ten turns of the discriminator lower its loss and leave the generator; ten of the generator do the opposite."""
    config = small(objective=objective)
    generator, judge = players(config)
    batch, random = cut(config), torch.Generator().manual_seed(2)
    judge_optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    optimizer = torch.optim.Adam(generator.parameters(), lr=1e-2)
    before = [weights.clone() for weights in generator.parameters()]
    vectors_MBI = offer(generator, batch, config, random).vectors_MBI
    losses = [discriminator_step(judge, judge_optimizer, batch, vectors_MBI)["discriminator_loss"] for _ in range(10)]
    assert losses[-1] < losses[0]
    assert all(torch.equal(old, new) for old, new in zip(before, generator.parameters(), strict=True))
    before = [weights.clone() for weights in judge.parameters()]
    told = [
        generator_step(judge, optimizer, batch, offer(generator, batch, config, random), config)["generator_loss"]
        for _ in range(10)
    ]
    assert told[-1] < told[0]
    assert all(torch.equal(old, new) for old, new in zip(before, judge.parameters(), strict=True))


def test_with_nothing_shown_but_what_was_observed_other_items_teach_the_generator_nothing() -> None:
    """With sigmoids, each entry on its own: the output biases of items that nobody has hidden get no gradient from the game."""
    config = small(preferences="sigmoid", shown_negatives=0.0)
    generator, judge = players(config)
    batch = cut(config)
    optimizer = torch.optim.SGD(generator.parameters(), lr=1.0)
    before_MI = generator.output_bias_MI.detach().clone()
    generator_step(judge, optimizer, batch, offer(generator, batch, config, torch.Generator()), config)
    moved_MI = (generator.output_bias_MI.detach() - before_MI) != 0
    is_shown_MI = batch.hidden_MBI.sum(dim=1) > 0
    assert not moved_MI[~is_shown_MI].any()
    assert moved_MI[is_shown_MI].any()
    assert (~is_shown_MI).any()


def test_the_pure_game_alone_teaches_two_tastes() -> None:
    """Without any likelihood, even users come to be offered even items: the share of their own taste rises well above a half."""
    config = small(num_epochs=40, hidden_size=32)
    generator = learn(DATA, config, Run(seed=1), name="fit", num_members=2, num_epochs=40)
    own_BI = torch.arange(DATA.num_items) % 2 == (torch.arange(DATA.num_users) % 2)[:, None]
    with torch.no_grad():
        policy_BI = torch.softmax(generator(liked_BI()).mean(dim=0), dim=1)
    assert (policy_BI * own_BI).sum(dim=1).mean() > 0.7


def test_the_curves_are_those_of_the_players_that_take_part() -> None:
    """The twin without a game logs its likelihood alone; the game logs losses, verdicts and the divergence that follows from them."""
    run = Run(seed=1)
    learn(DATA, small(game_weight=0.0, likelihood_weight=1.0), run, name="twin", num_members=1, num_epochs=1)
    learn(DATA, small(), run, name="game", num_members=1, num_epochs=1)
    assert {name for name in run.curves if name.startswith("twin/")} == {"twin/likelihood"}
    told = {name.removeprefix("game/") for name in run.curves if name.startswith("game/")}
    assert told == {"likelihood", "discriminator_loss", "divergence", "right_verdicts", "generator_loss"}
    loss, divergence = run.curves["game/discriminator_loss"][0][1], run.curves["game/divergence"][0][1]
    assert divergence == pytest.approx(torch.log(torch.tensor(2.0)).item() - loss / 2, abs=1e-6)


def test_zero_reconstruction_pulls_down_what_was_not_liked() -> None:
    """One step with its weight alone large lowers the offer on items that were not liked."""
    config = small(preferences="sigmoid", zero_reconstruction_weight=100.0, zero_reconstruction_fraction=1.0)
    generator, judge = players(config)
    batch = cut(config)
    optimizer = torch.optim.SGD(generator.parameters(), lr=1e-4)

    def offered() -> float:
        vectors_MBI = offer(generator, batch, config, torch.Generator()).vectors_MBI
        return float((vectors_MBI.detach() * (1 - liked_BI())).sum())

    before = offered()
    generator_step(judge, optimizer, batch, offer(generator, batch, config, torch.Generator()), config)
    assert offered() < before


def test_the_generator_starts_from_popularity() -> None:
    """With either kind of preferences an item that more people like starts with the greater logit."""
    for preferences in ("softmax", "sigmoid"):
        biases_I = first_biases(DATA, small(preferences=preferences))
        order = torch.from_numpy(DATA.popularity()).argsort(stable=True)
        assert (biases_I[order].diff() >= 0).all()


def test_a_game_that_nothing_teaches_is_refused() -> None:
    with pytest.raises(ValidationError, match="nothing would teach the generator"):
        Config(game_weight=0.0, likelihood_weight=0.0)


def test_users_with_one_event_each_cannot_be_learned_from() -> None:
    """And the message says what to do."""
    liked = DATA.positives()
    alone = liked.where(liked.user_rows == 3).where([0])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="two liked events"):
        learn(alone, small(), Run(seed=0), name="fit", num_members=1, num_epochs=1)
