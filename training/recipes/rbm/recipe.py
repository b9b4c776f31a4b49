"""An RBM over what people liked; an item's score is the logit of its unit, given what the history makes of the hidden units.

Shapes: B users in the batch, I items, M members, H hidden units, W = M · H, D = W + 1 dimensions of the index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions
from training.data.batches import liked_shares, multi_hot, shuffled, users_to_hide_from
from training.evaluation.selection import CHOOSE, Watch, choose_and_refit
from training.export.history import UnitsHead, history_encoder
from training.loop import Best, Run
from training.models.rbm import BernoulliRBM, PersistentChains, bernoulli
from training.ranker import TrainedRanker
from training.recipes.rbm.config import Config
from training.recipes.rbm.steps import losses, mean_field, observe


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch on a part of the training data, then learn from all of it.

    Raises:
        DataError: no user has two liked events.
    """

    def learn_from(
        part: Interactions, *, name: str, watch: Watch[list[BernoulliRBM]] | None = None, **rest: Any
    ) -> list[BernoulliRBM]:
        if name == CHOOSE:
            assert watch is not None
            return [learn(part, config, run, name=name, member=0, watch=lambda p, e, model: watch(p, e, [model]), **rest)]
        members = range(1, config.num_members + 1)
        return [learn(part, config, run, name=f"{name}-{member}", member=member, **rest) for member in members]

    def scores(models: list[BernoulliRBM], liked_UI: Tensor) -> Tensor:
        scale, exponent = _scaling(config)
        return models[0].visible_logits(mean_field(models[0], liked_UI, scale=scale, exponent=exponent))

    models, summary = choose_and_refit(data, config, run, learn=learn_from, scores=scores)
    models = [model.cpu() for model in models]
    with torch.no_grad():
        # A mean of inner products is one inner product with all vectors beside each other, divided by M.
        weights_IW = torch.cat([model.weights_HD for model in models]).T
        bias_I1 = torch.stack([model.visible_bias_D for model in models]).sum(0)[:, None]
        bias_W = torch.cat([model.hidden_bias_H for model in models])
        scale, exponent = _scaling(config)
        vectors_ID = torch.cat([weights_IW, bias_I1], dim=1).numpy() / np.float32(len(models))
        encoder = history_encoder(weights_IW[None], UnitsHead(torch.sigmoid, bias_W, scale=scale, exponent=exponent))
    policy = HistoryPolicy(data.positive_threshold)
    return TrainedRanker(VectorModel(np.ascontiguousarray(vectors_ID), encoder, policy), bias_folded=True, summary=summary)


def learn(
    data: Interactions,
    config: Config,
    run: Run,
    *,
    name: str,
    member: int,
    num_epochs: int,
    watch: Watch[BernoulliRBM] | None = None,
    **stateful: Best,
) -> BernoulliRBM:
    """Batch after batch of users; each member has random numbers of its own."""
    random = run.generator(member)
    liked = data.positives().histories()
    users = users_to_hide_from(liked, "rbm")
    means_I = liked_shares(data)
    model = BernoulliRBM(
        num_visible=data.num_items,
        num_hidden=config.hidden_size,
        init_std=config.init_std,
        visible_bias_D=torch.logit(means_I),
        generator=random,
    ).to(run.device)
    chains = PersistentChains(bernoulli(means_I.expand(config.num_chains, -1), random)).to(run.device)
    optimizer = torch.optim.AdamW(
        [
            {"params": [model.weights_HD], "weight_decay": config.weight_decay},
            {"params": [model.visible_bias_D, model.hidden_bias_H], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        fused=True,
    )
    num_updates = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
    with run.phase(
        name,
        num_epochs,
        model=model,
        chains=chains,
        optimizer=optimizer,
        schedule=schedule,
        random=random,
        **stateful,
    ) as phase:
        for epoch in phase:
            figures: list[dict[str, float]] = []
            for users_B in shuffled(users, config.batch_size, random):
                liked_BI = multi_hot(liked.take(users_B), data.num_items, run.device)
                told = losses(model, chains, liked_BI, config, random)
                loss = sum(told.values(), torch.zeros((), device=run.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                figures.append({key: value.item() for key, value in told.items()})
            phase.log_means(figures, **observe(model, liked_BI, random))
            if watch is not None:
                watch(phase, epoch, model)
    return model


def _scaling(config: Config) -> tuple[float, float]:
    """How a history goes in: as it is trained to, or, where nothing was trained, as it is."""
    return (config.history_scale, config.history_exponent) if config.objective == "hybrid" else (1.0, 0.0)
