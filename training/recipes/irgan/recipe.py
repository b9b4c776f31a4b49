"""The story: pre-train a generator, let it play a discriminator, choose the moment on validation data, refit on all, export.

Known defects of the official code that this one cannot have: the moment is chosen on a part of the training data and never on the
test; negatives are computed from the generator anew at every step of the discriminator; liked items among the negatives are
masked, or counted and logged.
"""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import numpy as np
import torch

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions, holdout
from training.export.fold_in import fit_fold_in
from training.loop import Best, Run
from training.models.matrix_factorization import MatrixFactorization
from training.ranker import TrainedRanker
from training.recipes.irgan.config import Config
from training.recipes.irgan.game import (
    Player,
    discriminator_turn,
    generator_turn,
    hard_negatives_turn,
    likelihood_turn,
    observe,
)
from training.recipes.irgan.positives import Positives
from training.recipes.irgan.validation import SELECTED, Validation, Watch


class Watches(NamedTuple):
    """Who looks at either phase."""

    pretraining: Watch
    game: Watch


class Models(NamedTuple):
    """What a fit leaves: the generator before the game, and both players after it."""

    pretrained: MatrixFactorization
    generator: MatrixFactorization
    discriminator: MatrixFactorization


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the numbers of epochs and rounds on a part of the training data, then learn from all of it."""
    lengths = (0 if config.pretraining == "none" else config.num_pretraining_epochs, config.num_rounds)
    summary: dict[str, Any] = {"player": config.player, "refit": True}
    chosen = None
    if config.validation_fraction:
        fit, held = holdout(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
        validation = Validation(fit, held, max_users=config.validation_users, rng=run.numpy_rng(2))
        watches = Watches(*(Watch(validation, every=config.validate_every, patience=config.patience) for _ in range(2)))
        chosen = _fit(fit, config, run, suffix="-validation", lengths=lengths, watches=watches)
        lengths = (watches.pretraining.best.epoch + 1, watches.game.best.epoch + 1)
        for name, watch in watches._asdict().items():
            summary[f"{name}_validation"] = watch.summary(run.curves.get(f"{name}-validation/{SELECTED}", []))
    models = chosen
    if chosen is None or not run.out_of_time:
        models = _fit(data, config, run, lengths=lengths)
    if chosen is not None and run.out_of_time:
        # The refit was cut short or did not begin: the players of the validation part, at their best, are the better ones.
        models, summary["refit"] = chosen, False
    assert models is not None
    summary |= {"num_pretraining_epochs": lengths[0], "num_rounds": lengths[1]}
    exported = {name: _vector_model(model, data) for name, model in models._asdict().items()}
    if config.adversary != "discriminator":
        del exported["discriminator"]  # it has not played
    return TrainedRanker(exported.pop(config.player), bias_folded=True, summary=summary, variants=exported)


def _fit(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    suffix: str = "",
    lengths: tuple[int, int],
    watches: Watches | None = None,
) -> Models:
    """Pre-training and the game; where watched, either ends early and is left at its best moment.

    Args:
        data: events to learn from.
        config: settings.
        run: seed and device.
        suffix: of the phases' names.
        lengths: epochs of pre-training and rounds of the game, at most.
        watches: None for a fit that nobody chooses from.
    """
    random = run.generator()
    positives = Positives(data, device=run.device, batch_size=config.batch_size, weight_exponent=config.user_weight_exponent)
    popularity_I = torch.from_numpy(data.popularity()).to(run.device)
    generator = _model(data, config, random).to(run.device)
    if config.bias_start == "log-popularity":
        with torch.no_grad():
            generator.bias_I.copy_(torch.log1p(popularity_I))

    learner = _player(generator, config, config.pretraining_learning_rate, config.pretraining_weight_decay)
    watch = None if watches is None else watches.pretraining
    stateful: dict[str, Any] = {"generator": generator, "optimizer": learner.optimizer, "random": random, "best": _best(watch)}
    with run.phase(f"pretraining{suffix}", lengths[0], **stateful) as phase:
        for epoch in phase:
            _set_learning_rate(learner, config, config.pretraining_learning_rate, epoch, config.num_pretraining_epochs)
            if config.pretraining == "dns":
                hard_negatives_turn(learner, positives, config, random)
            else:
                likelihood_turn(learner, positives, random)
            if watch is not None:
                watch.look(phase, epoch, generator, {"generator": generator})
    if watch is not None and watch.best.state is not None:
        watch.restore({"generator": generator})
    pretrained = copy.deepcopy(generator)

    discriminator = _model(data, config, random).to(run.device)
    if config.discriminator_start == "pretrained":
        discriminator.load_state_dict(pretrained.state_dict())
    artist = _player(generator, config, config.generator_learning_rate, config.generator_weight_decay)
    critic = _player(discriminator, config, config.discriminator_learning_rate, config.discriminator_weight_decay)
    watch = None if watches is None else watches.game
    models = Models(pretrained, generator, discriminator)
    ranking = generator if config.player == "generator" else discriminator
    players = {"generator": generator, "discriminator": discriminator}
    if watch is not None:
        watch.begin(ranking, players)
    optimizers = {"generator_optimizer": artist.optimizer, "discriminator_optimizer": critic.optimizer}
    with run.phase(f"game{suffix}", lengths[1], **players, **optimizers, random=random, best=_best(watch)) as phase:
        for round_ in phase:
            _set_learning_rate(artist, config, config.generator_learning_rate, round_, config.num_rounds)
            _play(artist, critic, positives, config, random)
            judge = discriminator if config.adversary == "discriminator" else None
            phase.log(**observe(generator, judge, positives, config, popularity_I))
            if watch is not None:
                watch.look(phase, round_, ranking, players)
    if watch is not None:
        watch.restore(players)
    return models


def _play(artist: Player, critic: Player, positives: Positives, config: Config, random: torch.Generator) -> None:
    """One round: the discriminator learns from the generator's picks, then the generator from the discriminator's verdict."""
    if config.adversary == "discriminator":
        for _ in range(config.discriminator_steps):
            discriminator_turn(critic, artist.model, positives, config, random)
    for _ in range(config.generator_steps):
        match config.adversary:
            case "discriminator":
                generator_turn(artist, critic.model, positives, config, random)
            case "likelihood":
                likelihood_turn(artist, positives, random, max_users=config.users_per_turn)
            case "hard-negatives":
                hard_negatives_turn(
                    artist,
                    positives,
                    config,
                    random,
                    likelihood_weight=config.likelihood_weight,
                    max_users=config.users_per_turn,
                )


def _best(watch: Watch | None) -> Best:
    return Best() if watch is None else watch.best


def _model(data: Interactions, config: Config, random: torch.Generator) -> MatrixFactorization:
    return MatrixFactorization(
        num_users=data.num_users,
        num_items=data.num_items,
        embedding_size=config.embedding_size,
        init_std=config.init_std,
        generator=random,
    )


def _player(model: MatrixFactorization, config: Config, learning_rate: float, weight_decay: float) -> Player:
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.SGD
    return Player(model, kind(model.parameters(), lr=learning_rate), weight_decay)


def _set_learning_rate(player: Player, config: Config, learning_rate: float, epoch: int, num_epochs: int) -> None:
    factor = 0.5 * (1 + math.cos(math.pi * epoch / num_epochs)) if config.schedule == "cosine" else 1.0
    for group in player.optimizer.param_groups:
        group["lr"] = learning_rate * factor


def _vector_model(model: MatrixFactorization, data: Interactions) -> VectorModel:
    """Known users by their factors, new ones and those without a positive by a fold-in of their history."""
    users_UD, items_ID = (tensor.cpu().numpy() for tensor in model.vectors())
    liked = data.positives().histories()
    encoder = fit_fold_in(users_UD, items_ID[:, :-1], liked)
    # The factors of a user without a positive have learned nothing; the encoder of an empty history has.
    unknown_U = liked.lengths == 0
    users_UD[unknown_U] = encoder.encode(liked.take(np.flatnonzero(unknown_U)))
    return VectorModel(items_ID, encoder, HistoryPolicy(data.positive_threshold), users_UD)
