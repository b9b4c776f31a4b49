"""Order-agnostic NADE over likes: a random part of each history is hidden, and predicted by its conditionals given the rest.

Shapes: B users in the batch, I items, M members, H hidden units, N = M · B rows, W = M · H, D = W + 1 dimensions of the index.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from app.bundle import HistoryPolicy, VectorModel
from training.config import RankerConfig
from training.data import Interactions
from training.data.batches import liked_shares, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import CHOOSE, Watch, choose_and_refit
from training.export.history import UnitsHead, history_encoder
from training.loop import Best, Run
from training.models.nade import NadeCommittee
from training.objectives.autoregressive import conditionals_loss, hidden_likes_loss
from training.ranker import TrainedRanker


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on parts of MovieLens 100K's training data."""

    conditionals: Literal["bernoulli", "softmax"] = "bernoulli"
    """`bernoulli`: the paper's, each item that is not observed liked or not. `softmax`: which of them are the hidden likes."""
    num_members: int = Field(default=8, ge=1)
    """Networks in the ensemble, trained at once; their logits are averaged."""
    hidden_size: int = Field(default=200, ge=1)
    """Hidden units of each; the paper has 500."""
    length_exponent: float = Field(default=1.0, ge=0)
    """A history of n likes is divided by n to this power; the paper has 0."""
    dropout: float = Field(default=0.3, ge=0, lt=1)
    """Share of hidden units switched off in training."""
    hidden_fraction: Annotated[float, Field(gt=0, lt=1)] | Literal["uniform"] = 0.5
    """Chance of each like to be hidden; `uniform` draws it for each user and batch, as the paper draws the split of an order."""
    user_weight_exponent: float = Field(default=0.0, ge=0, le=1)
    """A user's loss is divided by the number of hidden likes to this power: 0 counts likes alike, 1 users alike."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Of AdamW, on a cosine to zero over the epochs."""
    weight_decay: float = Field(default=0.15, ge=0)
    """Of AdamW."""
    batch_size: int = Field(default=128, ge=1)
    """Users."""
    num_epochs: int = Field(default=45, ge=1)
    """Length of the cosine; validation may choose to stop earlier on it."""
    validation_fraction: float = Field(default=0.4, ge=0, lt=1)
    """Share of each user's events held out to choose the epoch; 0 takes the last epoch."""
    validation_members: int = Field(default=2, ge=1)
    """Members of the ensemble that chooses."""
    validate_every: int = Field(default=5, ge=1)
    """Epochs between looks at the validation data."""
    patience: int = Field(default=4, ge=1)
    """Looks without a better value after which the choosing stops."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it.

    Raises:
        DataError: no user has two liked events.
    """

    def learn_from(part: Interactions, *, name: str, **rest: Any) -> NadeCommittee:
        num_members = min(config.validation_members, config.num_members) if name == CHOOSE else config.num_members
        return learn(part, config, run, name=name, num_members=num_members, **rest)

    committee, summary = choose_and_refit(
        data, config, run, learn=learn_from, scores=lambda committee, liked_UI: committee(liked_UI).mean(dim=0)
    )
    committee = committee.cpu()
    with torch.no_grad():
        table_IW = committee.input_MIH.transpose(0, 1).flatten(1)
        outputs_IW = committee.output_MHI.permute(2, 0, 1).flatten(1) / len(committee.output_MHI)
        vectors_ID = torch.cat([outputs_IW, committee.output_bias_MI.mean(dim=0)[:, None]], dim=1).numpy()
        encoder = history_encoder(
            table_IW[None], UnitsHead(torch.tanh, committee.input_bias_MH.flatten(), exponent=config.length_exponent)
        )
    policy = HistoryPolicy(data.positive_threshold)
    return TrainedRanker(VectorModel(np.ascontiguousarray(vectors_ID), encoder, policy), bias_folded=True, summary=summary)


def learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    num_members: int,
    num_epochs: int,
    watch: Watch[NadeCommittee] | None = None,
    **stateful: Best,
) -> NadeCommittee:
    """Batch after batch of users; each member has another part of a history hidden.

    Raises:
        DataError: no user has two liked events.
    """
    random = run.generator()
    liked = data.positives().histories()
    users = users_to_hide_from(liked, "nade")
    committee = NadeCommittee(
        num_items=data.num_items,
        num_members=num_members,
        hidden_size=config.hidden_size,
        length_exponent=config.length_exponent,
        dropout=config.dropout,
        mean_I=liked_shares(data),
        generator=random,
    ).to(run.device)
    optimizer = torch.optim.AdamW(committee.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    num_steps = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    with run.phase(
        name, num_epochs, committee=committee, optimizer=optimizer, schedule=schedule, random=random, **stateful
    ) as phase:
        for epoch in phase:
            losses: list[float] = []
            for users_B in shuffled(users, config.batch_size, random):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                observed_MBI = observe(liked_BI, num_members, config, random)
                loss = conditional_loss(committee(observed_MBI, random), liked_BI, observed_MBI, config)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            phase.log(loss=float(np.mean(losses)))
            if watch is not None:
                watch(phase, epoch, committee)
    return committee


def observe(liked_BI: Tensor, num_members: int, config: Config, random: torch.Generator) -> Tensor:
    """What each member sees of the histories: 1 for likes that are not hidden, [M, B, I]."""
    shape = (num_members, *liked_BI.shape)
    if config.hidden_fraction == "uniform":
        hidden_MB1 = torch.rand(*shape[:2], 1, generator=random)
    else:
        hidden_MB1 = torch.full((*shape[:2], 1), config.hidden_fraction)
    return liked_BI * (torch.rand(shape, generator=random) >= hidden_MB1).to(liked_BI.device)


def conditional_loss(logits_MBI: Tensor, liked_BI: Tensor, observed_MBI: Tensor, config: Config) -> Tensor:
    """Of the hidden likes given the observed ones; members stand beside each other like more users."""
    loss = conditionals_loss if config.conditionals == "bernoulli" else hidden_likes_loss
    liked_NI = liked_BI.expand_as(observed_MBI).flatten(0, 1)
    return loss(
        logits_MBI.flatten(0, 1),
        liked_NI,
        observed_MBI.flatten(0, 1),
        user_weight_exponent=config.user_weight_exponent,
    )
