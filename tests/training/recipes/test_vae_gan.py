"""`vae-gan`: three losses, three groups of parameters, and each moves by its own loss alone.

Shapes: B users, I items, M members.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.config import parse_config
from training.errors import ConfigError, DataError
from training.loop import Run
from training.models.layers import by_length
from training.models.vae import Vae
from training.models.vae_gan import BagDiscriminator
from training.objectives import vae_gan as objectives
from training.recipes.vae_gan import Config, recipe
from training.recipes.vae_gan.game import Batch, Losses, Round, descend, hide, losses, observe, play
from training.recipes.vae_gan.learn import learn

SMALL: dict[str, Any] = {
    "num_members": 2,
    "hidden_size": 16,
    "embedding_size": 8,
    "discriminator_hidden_sizes": (12, 6),
    "batch_size": 16,
    "num_epochs": 8,
    "validate_every": 2,
    "validation_tolerance": 0.0,
}
GROUPS = ("encoder", "decoder", "discriminator")


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def random_numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def liked_BI() -> Tensor:
    """What 8 users liked of 20 items; the last user liked nothing."""
    liked = np.random.default_rng(0).integers(0, 2, size=(8, 20))
    liked[-1] = 0
    return torch.from_numpy(liked).float()


def networks() -> tuple[Vae, BagDiscriminator]:
    random = random_numbers()
    vae = Vae(
        num_entries=20,
        num_members=2,
        encoder_hidden_size=5,
        embedding_size=3,
        decoder_hidden_size=0,
        dropout=0.0,
        initial_log_variance=-2.0,
        initial_bias_I=torch.linspace(-2.0, 0.0, 20),
        generator=random,
    )
    return vae, BagDiscriminator(num_entries=20, num_members=2, hidden_sizes=(6, 4), similarity_layer=1, generator=random)


def groups(vae: Vae, discriminator: BagDiscriminator) -> dict[str, nn.Module]:
    return {"encoder": vae.encoder, "decoder": vae.decoder, "discriminator": discriminator}


def a_batch(config: Config) -> Batch:
    return hide(liked_BI(), num_members=2, config=config, random=random_numbers(1))


def a_round(config: Config, *, seed: int = 2) -> tuple[dict[str, nn.Module], Round, Losses]:
    vae, discriminator = networks()
    batch = a_batch(config)
    played = play(vae, discriminator, batch, random_numbers(seed))
    weights_MB = batch.target_MBI.sum(dim=-1).clamp(min=1.0) ** -0.5
    return groups(vae, discriminator), played, losses(played, weights_MB, config.kl_weight, config)


def steps(config: Config) -> dict[str, list[Tensor]]:
    """How far each group's parameters move in one step of plain gradient descent."""
    modules, _, told = a_round(config)
    before = {name: [p.detach().clone() for p in module.parameters()] for name, module in modules.items()}
    optimizers: dict[str, torch.optim.Optimizer] = {
        name: torch.optim.SGD(module.parameters(), lr=1.0) for name, module in modules.items()
    }
    descend(told, modules, optimizers)
    return {
        name: [(after - was).detach() for after, was in zip(modules[name].parameters(), before[name], strict=True)]
        for name in GROUPS
    }


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", GROUPS)
def test_each_group_steps_down_its_own_loss_and_no_other(name: str) -> None:
    """A step is minus the gradient of the group's own loss, and the group has moved."""
    modules, _, told = a_round(small())
    gradients = torch.autograd.grad(getattr(told, name), list(modules[name].parameters()))
    moved = steps(small())[name]
    assert any(step.abs().max() > 0 for step in moved)
    for step, gradient in zip(moved, gradients, strict=True):
        torch.testing.assert_close(step, -gradient)


@pytest.mark.parametrize("name", GROUPS)
def test_a_loss_moves_no_other_group(name: str) -> None:
    """With one loss of three in the game and the others zero, two of the groups stay where they were."""
    modules, played, told = a_round(small())
    everything = sum(figure.sum() for figure in (played.kl_MB, played.real.logits_MB, played.prior.logits_MB))
    nothing = 0.0 * (everything + played.reconstructed.logits_MB.sum())  # hangs on every parameter, and pulls at none
    alone = Losses(**{group: getattr(told, group) if group == name else nothing for group in GROUPS})
    before = {group: [p.detach().clone() for p in module.parameters()] for group, module in modules.items()}
    optimizers: dict[str, torch.optim.Optimizer] = {
        group: torch.optim.SGD(module.parameters(), lr=1.0) for group, module in modules.items()
    }
    descend(alone, modules, optimizers)
    for group in GROUPS:
        stayed = all(torch.equal(p, was) for p, was in zip(modules[group].parameters(), before[group], strict=True))
        assert stayed == (group != name), group


@pytest.mark.parametrize(
    ("setting", "value", "moves"),
    [
        ("similarity_weight", 7.0, {"decoder"}),
        ("gan_weight", 0.0, {"decoder"}),
        ("gan_objective", "minimax", {"decoder"}),
        ("encoder_similarity_weight", 7.0, {"encoder"}),
        ("kl_weight", 0.7, {"encoder"}),
        ("likelihood_weight", 0.0, {"encoder", "decoder"}),
    ],
)
def test_a_weight_changes_only_the_steps_of_whose_loss_it_is_in(setting: str, value: Any, moves: set[str]) -> None:
    """γ and the game pull at the decoder, the KL at the encoder, the likelihood at both, none of them at the discriminator."""
    usual, changed = steps(small()), steps(small(**{setting: value}))
    assert {name for name in GROUPS if not same(usual[name], changed[name])} == moves


def test_without_likelihood_the_losses_are_the_paper_s() -> None:
    """Encoder: KL + similarity. Decoder: γ similarity − L_GAN, as `minimax` has it. Discriminator: −L_GAN. Users alike."""
    config = small(
        likelihood_weight=0.0, similarity_weight=3.0, encoder_similarity_weight=1.0, gan_weight=1.0, gan_objective="minimax"
    )
    vae, discriminator = networks()
    played = play(vae, discriminator, a_batch(config), random_numbers(2))
    told = losses(played, torch.ones(2, 8), 1.0, config)
    similarity = objectives.learned_similarity(played.real.features_MBH, played.reconstructed.features_MBH)
    value = objectives.gan_value(played.real.logits_MB, played.reconstructed.logits_MB, played.prior.logits_MB)
    torch.testing.assert_close(told.encoder, (played.kl_MB + similarity).mean())
    torch.testing.assert_close(told.discriminator, -value.mean())
    real_term = nn.functional.logsigmoid(played.real.logits_MB)  # of L_GAN, and constant to the decoder
    torch.testing.assert_close(told.decoder, (3.0 * similarity + value - real_term).mean())


def test_prior_samples_take_part_in_the_game() -> None:
    """What is decoded from z ~ N(0, 1) has a verdict of its own, which the decoder's and the discriminator's losses hang on."""
    modules, played, told = a_round(small())
    for group in ("decoder", "discriminator"):
        (gradient,) = torch.autograd.grad(getattr(told, group), [played.prior.logits_MB], retain_graph=True)
        assert (gradient != 0).all()
    (unused,) = torch.autograd.grad(told.encoder, [played.prior.logits_MB], retain_graph=True, allow_unused=True)
    assert unused is None
    encoder = list(modules["encoder"].parameters())
    pulled = torch.autograd.grad(played.prior.logits_MB.sum(), encoder, retain_graph=True, allow_unused=True)
    values = [0.0 if gradient is None else gradient.abs().max().item() for gradient in pulled]
    assert max(values) == 0.0, "a sample of the prior knows nothing of the history"


@pytest.mark.parametrize("targets", ["hidden", "all"])
def test_generated_bags_are_as_long_as_the_history(targets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is judged: the history, what is visible with the softmax times the number of targets on top, the prior's softmax."""
    vae, discriminator = networks()
    batch = a_batch(config := small(targets=targets))
    judged: list[Tensor] = []
    forward = discriminator.forward

    def listen(bags_MBI: Tensor) -> Any:
        judged.append(bags_MBI.detach())
        return forward(bags_MBI)

    monkeypatch.setattr(discriminator, "forward", listen)
    play(vae, discriminator, batch, random_numbers(2))
    real_MBI, reconstructed_MBI, prior_MBI = judged
    assert torch.equal(real_MBI, liked_BI().expand(2, 8, 20))
    for made_MBI in (reconstructed_MBI, prior_MBI):
        torch.testing.assert_close(made_MBI.sum(dim=-1), real_MBI.sum(dim=-1))
        assert (made_MBI >= 0).all()
    if targets == "hidden":
        visible_MBI = batch.visible_MBI.bool()
        assert (reconstructed_MBI[visible_MBI] == 1.0).all()
    else:
        assert not batch.excluded_MBI.any()
    assert config.targets == targets


def test_verdicts_are_counted_over_all_three_kinds() -> None:
    """By hand: right about both real ones, about one of two reconstructions and about no sample of the prior: 3 of 6."""
    _, played, told = a_round(small())
    made = played._replace(
        real=played.real._replace(logits_MB=torch.tensor([[1.0, 2.0]])),
        reconstructed=played.reconstructed._replace(logits_MB=torch.tensor([[-1.0, 2.0]])),
        prior=played.prior._replace(logits_MB=torch.tensor([[1.0, 2.0]])),
    )
    assert observe(made, told, 0.1)["right_verdicts"] == pytest.approx(0.5)


def test_the_discriminator_learns_to_tell_and_the_game_is_logged() -> None:
    """Against a decoder that stands still. Calling everything a fake is right in 2 of 3 cases and costs log 3 + 2 log 1.5 nats."""
    config = small(learning_rate=1e-9, discriminator_learning_rate=0.1, discriminator_weight_decay=0.0, num_epochs=20)
    learn(make_interactions(), config, run := Run(), name="fit", num_members=1, num_epochs=20)
    assert run.curves["fit/discriminator_loss"][-1][1] < np.log(3) + 2 * np.log(1.5) - 0.3
    assert run.curves["fit/right_verdicts"][-1][1] > 0.75
    curves = {name.removeprefix("fit/") for name in run.curves}
    assert curves >= {"kl", "similarity", "discriminator_loss", "generator_loss", "right_verdicts", "log_likelihood"}
    assert {len(points) for points in run.curves.values()} == {20}


def test_it_ranks_by_the_decoders_mean_logits_at_the_mean_code() -> None:
    """The served inner product against the network itself, low ratings not seen."""
    data, config = make_interactions(), small(validation_fraction=0.0)
    trained = recipe.train(data, config, Run())
    vae = learn(data, config, Run(), name="fit", num_members=2, num_epochs=8)
    histories = Histories.of([[], [3], [0, 4, 8, 13]], [[], [5.0], [5.0, 4.0, float("nan"), 1.0]])
    liked = torch.from_numpy(histories.positives(4.0).mask(40)).float()
    with torch.no_grad():
        wanted = vae(by_length(liked)).mean(0)
    np.testing.assert_allclose(trained.model.scores(histories), wanted.numpy(), rtol=1e-4, atol=1e-4)
    assert trained.summary == {"refit": True, "num_epochs": 8}


def test_the_chosen_epoch_is_the_best_on_held_out_events() -> None:
    """Looks every second epoch, and as many epochs in the refit as the best of them says."""
    told = recipe.train(make_interactions(), small(), run := Run()).summary
    curve = run.curves["choose/nDCG@10"]
    best_epoch, best_value = max(curve, key=lambda point: (point[1], point[0]))
    assert told["validation"]["best"]["value"] == best_value
    assert told["num_epochs"] == best_epoch + 1 == len(run.curves["fit/similarity"])


def test_a_layer_that_the_discriminator_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="similarity_layer is 3, but the discriminator has 2 hidden layers"):
        parse_config(Config, assignments=["similarity_layer=3"])


def test_histories_of_one_event_are_refused_in_plain_words() -> None:
    """Nothing can be hidden from them."""
    data = make_interactions().positives()
    single = data.where(np.unique(data.user_rows, return_index=True)[1])
    with pytest.raises(DataError, match="none of 60 users has two liked events to learn from; use another ranker"):
        recipe.train(single, small(validation_fraction=0.0), Run())
