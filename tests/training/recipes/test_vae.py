"""`vae`: what is hidden stays hidden, the loss is the weighted bound, and the epoch is chosen on held-out events.

Shapes: B users, I items, M members.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from app.bundle import Histories
from tests.training.conftest import make_interactions
from training.errors import DataError
from training.loop import Run
from training.models.layers import by_length
from training.models.vae import Vae
from training.recipes.vae import Config, recipe
from training.recipes.vae.learn import hide, learn, step

SMALL: dict[str, Any] = {
    "num_members": 2,
    "hidden_size": 16,
    "embedding_size": 8,
    "batch_size": 16,
    "num_epochs": 8,
    "validate_every": 2,
    "validation_tolerance": 0.0,
}


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


def random_numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def liked_BI() -> Tensor:
    """What 8 users liked of 20 items; the last user liked nothing."""
    liked = np.random.default_rng(0).integers(0, 2, size=(8, 20))
    liked[-1] = 0
    return torch.from_numpy(liked).float()


def vae(**settings: Any) -> Vae:
    return Vae(
        **{
            "num_entries": 20,
            "num_members": 2,
            "encoder_hidden_size": 5,
            "embedding_size": 3,
            "decoder_hidden_size": 0,
            "dropout": 0.0,
            "initial_log_variance": -2.0,
            "initial_bias_I": torch.linspace(-2.0, 0.0, 20),
            "generator": random_numbers(),
            **settings,
        }
    )


def test_hiding_parts_a_history_and_nothing_visible_can_be_said_again() -> None:
    """Visible and targets make the history; each member has another part hidden."""
    batch = hide(liked_BI(), num_members=2, config=small(), random=random_numbers())
    assert torch.equal(batch.visible_MBI + batch.target_MBI, liked_BI().expand(2, 8, 20))
    assert torch.equal(batch.excluded_MBI, batch.visible_MBI.bool())
    assert not torch.equal(batch.visible_MBI[0], batch.visible_MBI[1])
    many = hide(torch.ones(200, 100), num_members=1, config=small(hidden_fraction=0.2), random=random_numbers())
    assert many.target_MBI.mean().item() == pytest.approx(0.2, abs=0.01)


def test_with_all_as_targets_the_whole_history_is_said_from_its_visible_part() -> None:
    """The same part is hidden, nothing is excluded."""
    hidden, everything = (
        hide(liked_BI(), num_members=2, config=small(targets=targets), random=random_numbers()) for targets in ("hidden", "all")
    )
    assert torch.equal(hidden.visible_MBI, everything.visible_MBI)
    assert torch.equal(everything.target_MBI, liked_BI().expand(2, 8, 20))
    assert not everything.excluded_MBI.any()


@pytest.mark.parametrize("targets", ["hidden", "all"])
@pytest.mark.parametrize("exponent", [0.0, 0.5])
def test_a_step_follows_the_gradient_of_the_weighted_bound(targets: str, exponent: float) -> None:
    """The loss written out with torch's own distributions, and one step of plain gradient descent by it."""
    config = small(targets=targets, user_weight_exponent=exponent)
    stepped, reference = vae(), vae()
    batch = hide(liked_BI(), num_members=2, config=config, random=random_numbers(1))
    optimizer = torch.optim.SGD(stepped.parameters(), lr=0.1)
    told = step(stepped, optimizer, batch, kl_weight=0.3, config=config, random=random_numbers(2))

    mean, log_variance = reference.encoder(by_length(batch.visible_MBI))
    q = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(dim=-1)
    logits = reference.decoder(q.mean + q.stddev * torch.randn(mean.shape, generator=random_numbers(2)))
    log_likelihood = torch.zeros(2, 8)
    for m in range(2):
        for b in range(8):
            candidates = [i for i in range(20) if targets == "all" or not batch.visible_MBI[m, b, i]]
            log_probs = dict(zip(candidates, torch.log_softmax(logits[m, b, candidates], dim=0), strict=True))
            for i in batch.target_MBI[m, b].nonzero()[:, 0].tolist():
                log_likelihood[m, b] = log_likelihood[m, b] + log_probs[i]
    weights = batch.target_MBI.sum(dim=-1).clamp(min=1.0) ** -exponent
    loss = -(weights * (log_likelihood - 0.3 * kl)).mean()
    gradients = torch.autograd.grad(loss, list(reference.parameters()))
    assert told["log_likelihood"] == pytest.approx(log_likelihood.mean().item(), rel=1e-5)
    assert told["kl"] == pytest.approx(kl.mean().item(), rel=1e-5)
    for (name, after), before, gradient in zip(stepped.named_parameters(), reference.parameters(), gradients, strict=True):
        torch.testing.assert_close(after, before - 0.1 * gradient, msg=name)


def test_the_bound_rises_and_the_kl_weight_climbs_as_configured() -> None:
    """Over eight epochs of four batches: β climbs over the first half, and is constant after."""
    config = small(kl_weight=0.4, kl_annealing=0.5, learning_rate=0.1, weight_decay=0.0)
    learn(make_interactions(), config, run := Run(), name="fit", num_members=2, num_epochs=8)
    likelihoods = [value for _, value in run.curves["fit/log_likelihood"]]
    assert likelihoods[-1] > likelihoods[0] + 0.5
    weights = [value for _, value in run.curves["fit/kl_weight"]]
    assert weights[:4] == pytest.approx([0.1 * (epoch + 1.5 / 4) for epoch in range(4)])
    assert weights[4:] == pytest.approx([0.4] * 4)


def test_a_heavy_kl_weight_empties_the_code() -> None:
    """With β = 20 nothing passes through the code; with a small one something does."""
    kls = {}
    for weight in (0.01, 20.0):
        config = small(kl_weight=weight, kl_annealing=0.0, initial_log_variance=-1.0, learning_rate=0.1, num_epochs=20)
        learn(make_interactions(), config, run := Run(), name="fit", num_members=1, num_epochs=20)
        kls[weight] = run.curves["fit/kl"][-1][1]
    assert kls[20.0] < 0.05
    assert kls[0.01] > 1.0


def test_it_ranks_by_the_members_mean_logits_at_the_mean_code() -> None:
    """The served inner product against the network itself, low ratings not seen."""
    data, config = make_interactions(), small(validation_fraction=0.0)
    model = recipe.train(data, config, Run()).model
    vae = learn(data, config, Run(), name="fit", num_members=2, num_epochs=8)
    histories = Histories.of([[], [3], [0, 4, 8, 13]], [[], [5.0], [5.0, 4.0, float("nan"), 1.0]])
    liked = torch.from_numpy(histories.positives(4.0).mask(40)).float()
    with torch.no_grad():
        wanted = vae(by_length(liked)).mean(0)
    np.testing.assert_allclose(model.scores(histories), wanted.numpy(), rtol=1e-4, atol=1e-4)


def test_the_chosen_epoch_is_the_best_on_held_out_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refit is as long as the best look says, on all data, with the whole committee."""
    data, fits = make_interactions(), []

    def fit(data: Any, *args: Any, **options: Any) -> Any:
        fits.append((data, options["name"], options["num_members"], options["num_epochs"]))
        return learn(data, *args, **options)

    monkeypatch.setattr(recipe, "learn", fit)
    told = recipe.train(data, small(num_members=3, validation_members=1), run := Run()).summary
    curve = run.curves["choose/nDCG@10"]
    assert [epoch for epoch, _ in curve] == [1, 3, 5, 7]
    best_epoch, best_value = max(curve, key=lambda point: (point[1], point[0]))
    assert told["validation"]["best"]["value"] == best_value
    assert told["num_epochs"] == best_epoch + 1
    assert told["refit"] is True
    (part, *first), (everything, *second) = fits
    assert first == ["choose", 1, 8]
    assert second == ["fit", 3, best_epoch + 1]
    assert everything is data
    assert len(part) < len(data)


def test_a_spent_time_budget_keeps_the_committee_that_chose() -> None:
    """One epoch, one look, no refit that would be cut short; and the summary says so."""
    trained = recipe.train(make_interactions(), small(), run := Run(time_budget=0.0))
    assert trained.summary["refit"] is False
    assert trained.summary["num_epochs"] == 1
    assert not any(name.startswith("fit") for name in run.curves)


def test_without_validation_it_takes_the_last_epoch() -> None:
    trained = recipe.train(make_interactions(), small(validation_fraction=0.0), run := Run())
    assert trained.summary == {"refit": True, "num_epochs": 8}
    assert not any(name.startswith("choose") for name in run.curves)


def test_histories_of_one_event_are_refused_in_plain_words() -> None:
    """Nothing can be hidden from them."""
    data = make_interactions().positives()
    single = data.where(np.unique(data.user_rows, return_index=True)[1])
    with pytest.raises(DataError, match="none of 60 users has two liked events to learn from; use another ranker"):
        recipe.train(single, small(validation_fraction=0.0), Run())
