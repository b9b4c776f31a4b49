"""`irgan-ltr`: the pool holds what is not relevant, exact sums are what draws mean, and the twin without an adversary sees the same batches.

Shapes: N candidates, B queries, C candidates of the longest query, M members, R = M · B.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.judged import make_feature_split, make_judged
from training.config import parse_config
from training.data.candidates import CandidateBatch, Candidates
from training.errors import ConfigError
from training.evaluation.committees import Looks, learn_committee, prepare
from training.loop import Run
from training.models.features import FeatureCommittee
from training.recipes.irgan_ltr import Config, train
from training.recipes.irgan_ltr import learn as learning
from training.recipes.irgan_ltr.game import (
    discriminator_loss,
    observe,
    picks,
    policy,
    reward_loss,
    rewards,
    supervised_loss,
    true_pairs,
)

SMALL: dict[str, Any] = {"num_members": 2, "hidden_size": 8, "batch_size": 16, "num_epochs": 4, "num_rounds": 3}
GRADES = [0, 2, 1, 0, 1, 0]
"""Of a query of four candidates and one of two."""


def small(**settings: Any) -> Config:
    return Config(**(SMALL | settings))


@pytest.fixture
def batch() -> CandidateBatch:
    judged = replace(make_judged([4, 2]), grades=np.array(GRADES, dtype=np.int64))
    return Candidates(judged, torch.from_numpy(judged.features_NF).double(), gains="grade").take(np.array([0, 1]))


@pytest.fixture
def scores_MN() -> Tensor:
    return torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)


@pytest.fixture
def verdicts_MN() -> Tensor:
    return torch.randn(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def test_the_pool_holds_documents_without_a_relevant_label_and_nothing_else(batch: CandidateBatch, scores_MN: Tensor) -> None:
    """The first query's picks are its candidates 0 and 3 in proportion to e^score; the second's can only be its candidate 1."""
    picks_RC = picks(scores_MN, batch, small(), torch.Generator())
    for member in range(2):
        chances = scores_MN[member, [0, 3]].softmax(dim=0)
        torch.testing.assert_close(picks_RC[2 * member, [0, 3]], chances)
        assert picks_RC[2 * member, [1, 2]].tolist() == [0.0, 0.0]
        assert picks_RC[2 * member + 1].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_query_whose_candidates_are_all_relevant_has_no_picks() -> None:
    """It could otherwise pick places where nobody stands."""
    judged = replace(make_judged([4, 2]), grades=np.array([0, 1, 0, 1, 1, 2], dtype=np.int64))
    full = Candidates(judged, torch.from_numpy(judged.features_NF), gains="grade").take(np.array([0, 1]))
    for negatives in ("exact", "sampled"):
        picks_RC = picks(torch.zeros(1, 6), full, small(negatives=negatives), torch.Generator().manual_seed(0))
        assert picks_RC[1].tolist() == [0.0, 0.0, 0.0, 0.0]
        assert picks_RC[0].sum() == pytest.approx(1.0)


def test_drawn_picks_are_the_policy_on_average(batch: CandidateBatch, scores_MN: Tensor) -> None:
    """As many draws as relevant documents, two in the first query; their mean frequencies over 3,000 turns, at four standard errors."""
    random = torch.Generator().manual_seed(0)
    config = small(negatives="sampled")
    drawn_SRC = torch.stack([picks(scores_MN, batch, config, random) for _ in range(3000)])
    assert set(drawn_SRC[:, 0].unique().tolist()) <= {0.0, 0.5, 1.0}
    exact_RC = picks(scores_MN, batch, small(), random)
    errors_RC = (exact_RC * (1 - exact_RC) / 2 / 3000).sqrt()
    assert ((drawn_SRC.mean(dim=0) - exact_RC).abs() <= 4 * errors_RC + 1e-12).all()


def test_the_policy_of_the_reward_is_over_all_candidates_and_no_empty_place(batch: CandidateBatch, scores_MN: Tensor) -> None:
    probs_RC = policy(scores_MN, batch, temperature=0.5).exp()
    torch.testing.assert_close(probs_RC[1, :2], (scores_MN[0, 4:] / 0.5).softmax(dim=0))
    assert probs_RC[1, 2:].tolist() == [0.0, 0.0]


def test_pointwise_discriminator_is_equation_3_by_enumeration(
    batch: CandidateBatch, scores_MN: Tensor, verdicts_MN: Tensor
) -> None:
    """Σ over queries and members of gains · log σ(f) on relevant documents, and of total gain · E_pick[log(1 − σ(f))], over B queries."""
    picks_RC = picks(scores_MN, batch, small(), torch.Generator())
    expected = torch.zeros((), dtype=torch.float64)
    for member in range(2):
        f = verdicts_MN[member]
        chances = scores_MN[member, [0, 3]].softmax(dim=0)
        expected -= 2 * sigmoid(f[1]).log() + sigmoid(f[2]).log() + sigmoid(f[4]).log()
        expected -= 3 * (chances * sigmoid(-f[[0, 3]]).log()).sum() + sigmoid(-f[5]).log()
    torch.testing.assert_close(discriminator_loss(verdicts_MN, picks_RC, batch, small()), expected.detach() / 2)


def test_pairs_with_picks_by_enumeration(batch: CandidateBatch, scores_MN: Tensor, verdicts_MN: Tensor) -> None:
    """Each relevant document by its gain before each pick by its chance."""
    picks_RC = picks(scores_MN, batch, small(), torch.Generator())
    expected = torch.zeros((), dtype=torch.float64)
    for member in range(2):
        f = verdicts_MN[member]
        chances = dict(zip((0, 3), scores_MN[member, [0, 3]].softmax(dim=0), strict=True))
        for (better, gain), (pick, chance) in itertools.product(((1, 2), (2, 1)), chances.items()):
            expected -= gain * chance * sigmoid(f[better] - f[pick]).log()
        expected -= sigmoid(f[4] - f[5]).log()
    loss = discriminator_loss(verdicts_MN, picks_RC, batch, small(form="pairwise"))
    torch.testing.assert_close(loss, expected.detach() / 2)


def test_true_pairs_against_fake_ones_by_enumeration(batch: CandidateBatch, scores_MN: Tensor, verdicts_MN: Tensor) -> None:
    """The first query's true pairs have margins 2, 2, 1, 1 and 1, which sum to 7 and are scaled to its total gain 3."""
    pairs = {(1, 0): 2, (1, 3): 2, (1, 2): 1, (2, 0): 1, (2, 3): 1}
    weights = {pair: 3 * margin / 7 for pair, margin in pairs.items()} | {(4, 5): 1.0}
    better_P, worse_P, weights_P = true_pairs(batch, torch.ones(2))
    found = {(int(i), int(j)): float(w) for i, j, w in zip(better_P, worse_P, weights_P, strict=True)}
    assert found == pytest.approx(weights)
    picks_RC = picks(scores_MN, batch, small(), torch.Generator())
    expected = torch.zeros((), dtype=torch.float64)
    for member in range(2):
        f = verdicts_MN[member]
        chances = dict(zip((0, 3), scores_MN[member, [0, 3]].softmax(dim=0), strict=True))
        for (better, worse), weight in weights.items():
            expected -= weight * sigmoid(f[better] - f[worse]).log()
            for pick, chance in chances.items() if better != 4 else [(5, 1.0)]:
                expected -= weight * chance * (1 - sigmoid(f[pick] - f[worse])).log()
    loss = discriminator_loss(verdicts_MN, picks_RC, batch, small(form="pairwise", pairs="fake"))
    torch.testing.assert_close(loss, expected.detach() / 2)


def test_rewards_of_pairs_are_means_over_those_a_pick_can_be_paired_with(batch: CandidateBatch, verdicts_MN: Tensor) -> None:
    """Relevant documents count by their gains: for the first query candidate 1 by two thirds, candidate 2 by one."""
    rewards_RC = rewards(verdicts_MN, batch, small(form="pairwise", generator_objective="non-saturating"))
    f = verdicts_MN[0]
    for pick in range(4):
        expected = 2 / 3 * sigmoid(f[pick] - f[1]).log() + 1 / 3 * sigmoid(f[pick] - f[2]).log()
        torch.testing.assert_close(rewards_RC[0, pick], expected)
    torch.testing.assert_close(rewards_RC[1, 1], sigmoid(f[5] - f[4]).log())
    told = observe(verdicts_MN * 0, verdicts_MN, batch, small())
    assert told["positives_among_picks"] == pytest.approx(0.5), "two of four and one of two, chosen blindly"


def test_reinforce_has_the_exact_gradient_on_average(batch: CandidateBatch, scores_MN: Tensor, verdicts_MN: Tensor) -> None:
    """The mean gradient of 4,000 turns against that of the sum, at five standard errors."""
    random = torch.Generator().manual_seed(0)

    def gradient(config: Config) -> Tensor:
        return torch.autograd.grad(reward_loss(scores_MN, verdicts_MN, batch, config, random), scores_MN)[0]

    exact_MN = gradient(small())
    drawn_SMN = torch.stack([gradient(small(reward="sampled")) for _ in range(4000)])
    errors_MN = drawn_SMN.std(dim=0) / 4000**0.5
    assert ((drawn_SMN.mean(dim=0) - exact_MN).abs() <= 5 * errors_MN + 1e-12).all()


@pytest.mark.parametrize("pretraining", ["likelihood", "ranknet"])
def test_members_learn_independently(batch: CandidateBatch, scores_MN: Tensor, pretraining: str) -> None:
    """A committee's loss is the sum of its members', so that its gradient does not depend on their number."""
    config = small(pretraining=pretraining)
    alone = sum(supervised_loss(scores_MN[[member]], batch, config) for member in range(2))
    torch.testing.assert_close(supervised_loss(scores_MN, batch, config), alone)


def test_queries_can_count_alike(batch: CandidateBatch, scores_MN: Tensor) -> None:
    """With exponent 1 a query's likelihood is divided by its total gain, 3 and 1."""
    log_probs_RC = policy(scores_MN, batch, temperature=1.0)
    per_row = [
        2 * log_probs_RC[0, 1] + log_probs_RC[0, 2],
        log_probs_RC[1, 0],
        2 * log_probs_RC[2, 1] + log_probs_RC[2, 2],
        log_probs_RC[3, 0],
    ]
    plain = -sum(per_row) / 2
    alike = -(per_row[0] / 3 + per_row[1] + per_row[2] / 3 + per_row[3]) / 2
    torch.testing.assert_close(supervised_loss(scores_MN, batch, small()), plain)
    torch.testing.assert_close(supervised_loss(scores_MN, batch, small(query_weight_exponent=1.0)), alike)


def test_each_turn_moves_its_own_player_alone() -> None:
    """A discriminator's pass leaves the generator as it is, and the other way round."""
    data, config, random = make_feature_split(), small(), torch.Generator().manual_seed(0)
    _, candidates, _ = prepare(data, gains="grade", device=torch.device("cpu"))

    def player() -> learning.Player:
        committee = FeatureCommittee(
            num_features=6, num_members=2, hidden_size=8, activation="relu", dropout=0.0, generator=random
        )
        optimizer = torch.optim.SGD(committee.parameters(), lr=0.1)
        return learning.Player(committee, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer))

    generator, discriminator = player(), player()
    before = weights(generator.committee), weights(discriminator.committee)
    learning.discriminator_pass(discriminator, generator.committee, candidates, config, random)
    assert torch.equal(weights(generator.committee), before[0]) and not torch.equal(weights(discriminator.committee), before[1])
    between = weights(discriminator.committee)
    learning.generator_pass(generator, discriminator.committee, candidates, config, random=random, jury_random=random)
    assert not torch.equal(weights(generator.committee), before[0]) and torch.equal(weights(discriminator.committee), between)


def played(config: Config, run: Run | None = None) -> tuple[FeatureCommittee, FeatureCommittee, FeatureCommittee | None]:
    """Before the game, and both players after it."""
    run = run or Run(seed=1)
    _, candidates, valid = prepare(make_feature_split(), gains="grade", device=torch.device("cpu"))
    pretrained, _ = learn_committee(
        candidates,
        valid,
        config,
        run,
        name="pretraining",
        loss=lambda scores_MN, batch: supervised_loss(scores_MN, batch, config),
    )
    generator, discriminator, _ = learning.play(pretrained, candidates, valid, config, run)
    return pretrained, generator, discriminator


def weights(committee: FeatureCommittee) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in committee.parameters()])


def test_the_twin_sees_the_same_batches() -> None:
    """With a reward of weight 0 the generator ends where the twin without an adversary does, to the last bit; the game leaves its start alone."""
    before, unmoved, _ = played(small(reward_weight=0.0))
    pretrained, twin, nobody = played(small(adversary="none"))
    _, moved, _ = played(small())
    assert nobody is None
    assert torch.equal(weights(before), weights(pretrained))
    assert torch.equal(weights(unmoved), weights(twin))
    assert not torch.equal(weights(moved), weights(twin))
    assert not torch.equal(weights(pretrained), weights(twin))


def test_the_player_that_ranks_is_a_choice_and_the_others_are_variants() -> None:
    """The graph of who ranks, of the other one, and of the generators before the game."""
    data = make_feature_split()
    trained = train(data, small(player="discriminator"), Run(seed=1))
    assert set(trained.variants) == {"pretrained", "generator"}
    committees = dict(zip(("pretrained", "generator", "discriminator"), played(small(player="discriminator")), strict=True))
    standardised_NF = prepare(data, gains="grade", device=torch.device("cpu"))[2].features_NF
    for name, model in {"discriminator": trained.model, **trained.variants}.items():
        expected_N = committees[name](standardised_NF).mean(dim=0).detach().numpy()
        np.testing.assert_allclose(model.scores(data.valid.features_NF), expected_N, rtol=1e-4, atol=1e-5)


def test_who_has_not_played_cannot_rank() -> None:
    for settings in (["adversary=none"], ["num_rounds=0"]):
        with pytest.raises(ConfigError, match="player=discriminator needs adversary=discriminator and at least one round"):
            parse_config(Config, assignments=["player=discriminator", *settings])


def test_with_epoch_validation_the_best_look_ranks() -> None:
    """Both players go back to it."""
    config, run = small(epoch="validation", validate_every=1, num_rounds=6, generator_learning_rate=0.5), Run(seed=1)
    _, generator, discriminator = played(config, run)
    valid = prepare(make_feature_split(), gains="grade", device=torch.device("cpu"))[2]
    looks = Looks(valid, choice="validation", every=1, patience=1)
    curve = dict(run.curves["game/mean of AP and nDCG@10"])
    best = max(curve, key=lambda epoch: curve[epoch])
    assert best < max(curve), "a learning rate that does harm, so that the last look is none to keep"
    assert looks.figure(generator) == curve[best]
    assert looks.figure(discriminator) == dict(run.curves["game/other: mean of AP and nDCG@10"])[best]
