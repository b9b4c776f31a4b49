"""IRGAN with history encoders: part of a history is hidden, and both players are about the hidden part.

The generator sees the rest of the history and spreads its probability over the catalogue; the hidden items are the positives. The
discriminator sees the whole history, without the item in question, and tells hidden items from the generator's picks.

Shapes: B users in the batch, I items, C channels, X = C · I, M members.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from app.bundle import HistoryPolicy, VectorModel
from training.baselines import low_rank_ease
from training.config import RankerConfig
from training.data import Interactions, holdout
from training.data.batches import multi_hot, shuffled
from training.evaluation import validation_metrics
from training.export import export_encoder
from training.loop import Best, Run
from training.models.history import HistoryCommittee, HistoryQuery, LeaveOneOutDiscriminator
from training.objectives import irgan as objectives
from training.ranker import TrainedRanker

_VALIDATION_USERS = 1_000
_LINEAR_WEIGHT = 10.0
_LINEAR_WEIGHTS = (0.0, 2.5, 5.0, 10.0, 20.0)


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    signal: Literal["positives", "all"] = "positives"
    """`all`: items rated low are a second input, are no candidates of the softmax, and come last in the ranking."""
    num_members: int = Field(default=8, ge=1)
    """Encoders in the committee, trained at once; their scores are averaged."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each encoder."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    hidden_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Chance of each event of a history to be hidden from the generator."""
    user_weight_exponent: float = Field(default=0.5, ge=0, le=1)
    """A user's likelihood is divided by the number of hidden positives to this power: 0 counts items alike, 1 users alike."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.3, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=45, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""

    adversary: Literal["discriminator", "none"] = "discriminator"
    """`none`: the same steps by likelihood alone, the twin that shows what the adversary adds."""
    reward_weight: float = Field(default=1.0, ge=0)
    """The generator minimises −log likelihood − reward_weight · expected reward."""
    warmup_epochs: int = Field(default=3, ge=0)
    """Epochs of likelihood before the discriminator joins."""
    discriminator_hidden_size: int = Field(default=200, ge=1)
    """Its hidden units."""
    discriminator_learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW; a slow discriminator (1e-3) does harm."""
    discriminator_weight_decay: float = Field(default=0.1, ge=0)
    """Of AdamW."""

    linear_rank: int = Field(default=64, ge=0)
    """Rank of the linear path, EASE cut by singular values, which is added to the committee's scores; 0 for none."""
    linear_weight: float | None = Field(default=None, ge=0)
    """Its weight; None chooses among 0, 2.5, 5, 10 and 20 on validation data."""
    linear_l2: float = Field(default=400.0, gt=0)
    """λ of EASE."""
    linear_low_weight: float = Field(default=0.3, ge=0, le=1)
    """With `signal=all`: what an item rated low counts in the linear path."""
    linear_max_items: int = Field(default=20_000, ge=0)
    """EASE inverts a matrix of items by items; larger catalogues go without the linear path."""

    validation_fraction: float = Field(default=0.4, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch and the linear weight; 0 takes the last epoch and weight 10."""
    validation_members: int = Field(default=2, ge=1)
    """Members of the committee that chooses."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""


Watch = Callable[[int, HistoryCommittee], bool]
"""Told of every epoch's end; says whether to stop."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch and the linear weight on a part of the training data, then learn from all of it."""
    num_epochs, linear_weight = config.num_epochs, _LINEAR_WEIGHT if config.linear_weight is None else config.linear_weight
    summary: dict[str, Any] = {}
    if config.validation_fraction:
        best, summary = _choose(data, config, run)
        num_epochs, linear_weight = best.epoch + 1, best.state
    committee = _learn(data, config, run, name="fit", num_members=config.num_members, num_epochs=num_epochs)
    table_IR, vectors_IR = _linear_path(data, config, run)
    query = HistoryQuery(
        committee.cpu(),
        linear_table_IR=table_IR,
        linear_vectors_IR=linear_weight * vectors_IR,
        positive_threshold=data.positive_threshold,
        low_weight=config.linear_low_weight,
    )
    model = VectorModel(
        item_vectors_ID=np.ascontiguousarray(query.item_vectors_ID.numpy()),
        encoder=export_encoder(query, num_items=data.num_items),
        policy=HistoryPolicy(data.positive_threshold, config.signal, demote_low=config.signal == "all"),
    )
    summary |= {"num_epochs": num_epochs, "linear_weight": linear_weight}
    return TrainedRanker(model, bias_folded=True, summary=summary)


def _learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    num_members: int,
    num_epochs: int,
    watch: Watch | None = None,
    **stateful: Best,
) -> HistoryCommittee:
    """The game: every batch, the discriminator takes a step against the generator's picks, the generator one against its verdict."""
    random = run.generator()
    num_channels = 2 if config.signal == "all" else 1
    popularity_I = torch.from_numpy(data.popularity())
    generator = HistoryCommittee(
        num_items=data.num_items,
        num_channels=num_channels,
        num_members=num_members,
        hidden_size=config.hidden_size,
        dropout=config.dropout,
        log_popularity_I=torch.log((popularity_I + 0.5) / (popularity_I + 0.5).sum()),
        generator=random,
    ).to(run.device)
    discriminator = LeaveOneOutDiscriminator(
        num_items=data.num_items,
        num_channels=num_channels,
        hidden_size=config.discriminator_hidden_size,
        dropout=config.dropout,
        generator=random,
    ).to(run.device)
    generator_optimizer = torch.optim.AdamW(generator.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    discriminator_optimizer = torch.optim.AdamW(
        discriminator.parameters(), lr=config.discriminator_learning_rate, weight_decay=config.discriminator_weight_decay
    )
    liked, low = data.positives().histories(), data.where(~data.is_positive).histories()
    users = np.flatnonzero(liked.lengths >= 2)  # nothing can be hidden from a single event
    num_steps = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(generator_optimizer, num_steps)
    with run.phase(
        name,
        num_epochs,
        generator=generator,
        discriminator=discriminator,
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        schedule=schedule,
        random=random,
        **stateful,
    ) as phase:
        for epoch in phase:
            playing = config.adversary == "discriminator" and epoch >= config.warmup_epochs
            figures: list[dict[str, float]] = []
            for users_B in shuffled(users, config.batch_size, random):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                low_BI = multi_hot(low.take(users_B), data.num_items, run.device)
                batch = hide(liked_BI, low_BI, config, random)
                logits_MBI = generator(batch.visible_BX, random)
                # Members stand beside each other like more users: N = M · B rows.
                log_probs_NI = objectives.policy_log_probs(
                    logits_MBI.flatten(0, 1), excluded_BI=batch.excluded_BI.repeat(num_members, 1)
                )
                told: dict[str, float] = {}
                if playing:
                    picks_BI = log_probs_NI.detach().exp().view_as(logits_MBI).mean(0)
                    told |= discriminator_step(discriminator, discriminator_optimizer, batch, picks_BI, random)
                    told |= _picks(picks_BI, batch.hidden_BI, popularity_I)
                told |= generator_step(generator_optimizer, log_probs_NI, discriminator if playing else None, batch, config)
                schedule.step()
                figures.append(told)
            phase.log(**{key: float(np.mean([told[key] for told in figures])) for key in figures[0]})
            if watch is not None and watch(epoch, generator):
                phase.stop()
    return generator


class Batch(NamedTuple):
    """What the players see of some users.

    Attributes:
        visible_BX: the generator's input.
        whole_BX: the discriminator's input.
        hidden_BI: 1 for hidden positives.
        excluded_BI: no candidates of the softmax: what is visible, and what was rated low where that is known.
    """

    visible_BX: Tensor
    whole_BX: Tensor
    hidden_BI: Tensor
    excluded_BI: Tensor


def hide(liked_BI: Tensor, low_BI: Tensor, config: Config, random: torch.Generator) -> Batch:
    """Hide each event with the configured chance; low ratings take part only with `signal=all`."""

    def visible(events_BI: Tensor) -> Tensor:
        return events_BI * (torch.rand(events_BI.shape, generator=random) >= config.hidden_fraction).to(events_BI.device)

    visible_BI = visible(liked_BI)
    if config.signal == "positives":
        return Batch(visible_BI, liked_BI, liked_BI - visible_BI, visible_BI.bool())
    return Batch(
        visible_BX=torch.cat([visible_BI, visible(low_BI)], dim=1),
        whole_BX=torch.cat([liked_BI, low_BI], dim=1),
        hidden_BI=liked_BI - visible_BI,
        excluded_BI=(visible_BI + low_BI).bool(),
    )


def discriminator_step(
    discriminator: LeaveOneOutDiscriminator,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    picks_BI: Tensor,
    random: torch.Generator,
) -> dict[str, float]:
    """Tell hidden items from the generator's picks, users alike; Eq. (3) with exact expectations."""
    num_hidden_B = batch.hidden_BI.sum(1)
    weights_B = num_hidden_B.clamp(min=1.0).reciprocal() / len(num_hidden_B)
    logits_BI = discriminator(batch.whole_BX, random)
    loss = objectives.discriminator_loss(logits_BI, batch.hidden_BI, picks_BI, weights_B)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"discriminator_loss": loss.item()}


def generator_step(
    optimizer: torch.optim.Optimizer,
    log_probs_NI: Tensor,
    discriminator: LeaveOneOutDiscriminator | None,
    batch: Batch,
    config: Config,
) -> dict[str, float]:
    """Towards the hidden items' likelihood, and towards what the discriminator takes for hidden items, Eq. (4) computed exactly."""
    num_members = len(log_probs_NI) // len(batch.hidden_BI)
    num_hidden_B = batch.hidden_BI.sum(1)
    weights_B = num_hidden_B.clamp(min=1.0) ** -config.user_weight_exponent / len(log_probs_NI)
    loss = objectives.likelihood_loss(log_probs_NI, batch.hidden_BI.repeat(num_members, 1), weights_B.repeat(num_members))
    told = {"likelihood": -loss.item()}
    if discriminator is not None:
        with torch.no_grad():
            rewards_BI = objectives.rewards(discriminator(batch.whole_BX), "bounded")
        # On the likelihood's scale: as if each hidden item were one pick.
        picks_B = config.reward_weight * weights_B * num_hidden_B
        reward_loss = objectives.expected_reward_loss(
            log_probs_NI, rewards_BI.repeat(num_members, 1), picks_B.repeat(num_members)
        )
        told["reward"] = -reward_loss.item()
        loss = loss + reward_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return told


def _picks(picks_BI: Tensor, hidden_BI: Tensor, popularity_I: Tensor) -> dict[str, float]:
    """What the generator would pick: how often a known positive, how surely, how popular."""
    probs_BI, known_BI = picks_BI.cpu(), hidden_BI.cpu()
    return {
        "positives_among_picks": (probs_BI * known_BI).sum(1).mean().item(),
        "entropy": torch.special.entr(probs_BI).sum(1).mean().item(),
        "popularity_of_picks": (probs_BI @ popularity_I).mean().item(),
    }


def _linear_path(data: Interactions, config: Config, run: Run) -> tuple[Tensor, Tensor]:
    """Low-rank EASE, float32 [I, R] each for the history's and the item's side; R is 0 where there is none."""
    if not config.linear_rank or data.num_items > config.linear_max_items:
        return torch.zeros(data.num_items, 0), torch.zeros(data.num_items, 0)
    if config.signal == "all":
        matrix_UI = data.matrix(np.where(data.is_positive, 1.0, config.linear_low_weight))
    else:
        matrix_UI = data.positives().matrix()
    left_IR, right_IR = low_rank_ease(matrix_UI, l2=config.linear_l2, rank=config.linear_rank, seed=run.seed)
    return torch.from_numpy(left_IR).float(), torch.from_numpy(right_IR).float()


def _choose(data: Interactions, config: Config, run: Run) -> tuple[Best, dict[str, Any]]:
    """The best epoch, and with it the best weight of the linear path, on events held out of the training data."""
    rng = run.numpy_rng(1)
    fit, held_out = holdout(data, fraction=config.validation_fraction, rng=rng)
    relevant = held_out.positives().histories()
    users = np.flatnonzero(relevant.lengths)
    users = np.sort(rng.permutation(users)[:_VALIDATION_USERS])
    relevant, excluded = relevant.take(users), fit.histories().take(users)
    liked_UI = multi_hot(fit.positives().histories().take(users), fit.num_items, run.device)
    low_UI = multi_hot(fit.where(~fit.is_positive).histories().take(users), fit.num_items, run.device)
    history_UX = torch.cat([liked_UI, low_UI], dim=1) if config.signal == "all" else liked_UI
    table_IR, vectors_IR = _linear_path(fit, config, run)
    low_weight = config.linear_low_weight if config.signal == "all" else 0.0
    linear_UI = ((liked_UI + low_weight * low_UI).cpu() @ table_IR @ vectors_IR.T).numpy()
    weights = _LINEAR_WEIGHTS if config.linear_weight is None else (config.linear_weight,)
    weights = weights if table_IR.shape[1] else (0.0,)
    best, last = Best(), {"epoch": 0, "nDCG@10": 0.0}

    def watch(epoch: int, generator: HistoryCommittee) -> bool:
        if (epoch + 1) % config.validate_every and epoch + 1 != config.num_epochs:
            return False
        with torch.no_grad():
            scores_UI = generator(history_UX).mean(0).cpu().numpy()
        values = [validation_metrics(scores_UI + w * linear_UI, relevant, excluded)["nDCG@10"] for w in weights]
        run.scalar("choose/validation nDCG@10", max(values), epoch + 1)
        last.update({"epoch": epoch + 1, "nDCG@10": max(values)})
        best.update(max(values), epoch, weights[int(np.argmax(values))])
        return epoch - best.epoch >= config.patience * config.validate_every

    _learn(
        fit,
        config,
        run,
        name="choose",
        num_members=min(config.validation_members, config.num_members),
        num_epochs=config.num_epochs,
        watch=watch,
        best=best,
    )
    return best, {"validation": {"best_epoch": best.epoch + 1, "best_nDCG@10": best.value, "final": last}}
