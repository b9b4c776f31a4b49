"""The turns of a round on made-up interactions: who learns from what, and what the contrast changes.

Shapes: B users, I items, Z latent dimensions.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.conftest import make_interactions
from training.data.batches import multi_hot
from training.errors import DataError
from training.loop import Run
from training.models.avb import Adversary, BasisPosterior, Decoder
from training.recipes.avb import Config
from training.recipes.avb.learn import Model, learn
from training.recipes.avb.recipe import scores
from training.recipes.avb.rounds import adversary_step, draw, hide, model_step

DATA = make_interactions()
SMALL: dict[str, Any] = {"embedding_size": 6, "hidden_size": 16, "adversary_hidden_size": 8, "batch_size": 30, "dropout": 0.0}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def liked_BI() -> Tensor:
    return multi_hot(DATA.positives().histories(), DATA.num_items, torch.device("cpu"))


def networks() -> tuple[BasisPosterior, Decoder, Adversary]:
    random = torch.Generator().manual_seed(0)
    posterior = BasisPosterior(
        num_inputs=DATA.num_items,
        hidden_size=16,
        latent_size=6,
        num_noises=2,
        noise_hidden_size=4,
        noise_scale=0.3,
        input_scale=1.0,
        generator=random,
    )
    decoder = Decoder(
        latent_size=6, hidden_size=16, output_bias_J=torch.zeros(DATA.num_items), output_scale=0.1, generator=random
    )
    return (
        posterior,
        decoder,
        Adversary(num_inputs=DATA.num_items, latent_size=6, hidden_size=8, input_scale=1.0, generator=random),
    )


def weights_of(*networks: torch.nn.Module) -> list[Tensor]:
    return [weights.detach().clone() for network in networks for weights in network.parameters()]


def same(first: list[Tensor], second: list[Tensor]) -> list[bool]:
    return [torch.equal(old, new) for old, new in zip(first, second, strict=True)]


@pytest.mark.parametrize("contrast", ["adaptive", "prior"])
def test_the_adversary_s_turn_moves_the_adversary_alone(contrast: Any) -> None:
    """And many of them lower its loss below that of one that cannot tell: these posteriors are far from normal."""
    posterior, decoder, adversary = networks()
    config, random = small(contrast=contrast), torch.Generator().manual_seed(1)
    with torch.no_grad():
        posterior.noise_out_KGZ.mul_(30.0)  # far from a Gaussian
    x_BI = hide(liked_BI(), 0.5, random).inputs()
    optimizer = torch.optim.Adam(adversary.parameters(), lr=1e-2)
    others, own = weights_of(posterior, decoder), weights_of(adversary)
    losses = [
        adversary_step(adversary, optimizer, posterior, x_BI, config=config, random=random)["adversary_loss"]
        for _ in range(150)
    ]
    assert all(same(others, weights_of(posterior, decoder)))
    assert not any(same(own, weights_of(adversary)))
    assert sum(losses[-20:]) / 20 < 1.3


@pytest.mark.parametrize("contrast", ["adaptive", "prior"])
def test_the_model_s_turn_moves_the_other_two_alone(contrast: Any) -> None:
    """And thirty of them raise the likelihood of what is hidden."""
    posterior, decoder, adversary = networks()
    config, random = small(contrast=contrast), torch.Generator().manual_seed(1)
    batch = hide(liked_BI(), 0.5, random)
    optimizer = torch.optim.Adam([*posterior.parameters(), *decoder.parameters()], lr=1e-2)
    others, own = weights_of(adversary), weights_of(posterior, decoder)
    told = [
        model_step(posterior, decoder, adversary, optimizer, batch, config=config, kl_weight=0.1, random=random)
        for _ in range(30)
    ]
    assert all(same(others, weights_of(adversary)))
    assert not any(same(own, weights_of(posterior, decoder)))
    assert told[-1]["likelihood"] > told[0]["likelihood"]


def test_with_the_adaptive_contrast_the_adversary_sees_codes_of_mean_zero_and_width_one() -> None:
    """The same noise for both contrasts: the codes are the same, and only what the adversary sees differs."""
    posterior, _, _ = networks()
    x_BI = hide(liked_BI(), 0.5, torch.Generator().manual_seed(1)).inputs()
    adaptive, prior = (
        draw(posterior, x_BI, small(contrast=c), torch.Generator().manual_seed(2)) for c in ("adaptive", "prior")
    )
    torch.testing.assert_close(adaptive.z_BZ, prior.z_BZ)
    assert torch.equal(prior.judged_BZ, prior.z_BZ)
    assert prior.mean_BZ is None
    assert adaptive.mean_BZ is not None and not adaptive.mean_BZ.requires_grad
    assert adaptive.judged_BZ.mean().item() == pytest.approx(0.0, abs=0.15)
    assert adaptive.judged_BZ.std().item() == pytest.approx(1.0, abs=0.15)


def test_what_is_hidden_is_no_input() -> None:
    """Visible and hidden parts make up the history; the inputs of whoever has something left sum to one."""
    batch = hide(liked_BI(), 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(batch.visible_BI + batch.hidden_BI, liked_BI())
    assert (batch.inputs() * batch.hidden_BI).sum() == 0
    sums_B = batch.inputs().sum(dim=1)
    torch.testing.assert_close(sums_B, (batch.visible_BI.sum(dim=1) > 0).float())


def test_scores_do_not_depend_on_who_asks_when() -> None:
    """The noise of a query is fixed by the run's seed: asked twice, and for one history alone, the scores are the same."""
    config, run = small(num_query_draws=3), Run(seed=4)
    posterior, decoder, _ = networks()
    model = Model(posterior, decoder)
    first_UI = scores(model, liked_BI(), config, run)
    torch.testing.assert_close(first_UI, scores(model, liked_BI(), config, run))
    alone_1I = scores(model, liked_BI()[7:8], config, run)
    torch.testing.assert_close(alone_1I[0], first_UI[7], rtol=1e-4, atol=1e-5)


def test_the_weight_of_the_divergence_climbs_and_is_all_that_sets_runs_with_different_weights_apart() -> None:
    """In the first of many epochs a small part of it counts; with a weight of 0 and no annealing the curve of the divergence is still told."""
    runs = [Run(seed=1), Run(seed=1)]
    for run, kl_weight in zip(runs, (0.0, 5.0), strict=True):
        learn(DATA, small(kl_weight=kl_weight, num_epochs=10, kl_annealing=0.2), run, name="fit", num_epochs=10)
    without, with_it = (run.curves["fit/divergence"][-1][1] for run in runs)
    assert with_it < 0.5 * without


def test_users_with_one_event_each_cannot_be_learned_from() -> None:
    """And the message says what to do."""
    liked = DATA.positives()
    alone = liked.where(liked.user_rows == 3).where([0])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="two liked events"):
        learn(alone, small(), Run(seed=0), name="fit", num_epochs=1)
