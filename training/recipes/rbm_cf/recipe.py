"""An RBM over which items people rated and how; it ranks by the probability that an item would be rated, and rated high.

Shapes: B users in the batch, U users, K levels, I items, C candidates, H hidden units, W hidden units of all members, D = W + 1 dimensions of the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from app.bundle import HistoryPolicy, VectorModel
from training.data import Interactions, holdout
from training.data.batches import shuffled
from training.data.levels import Levels
from training.errors import DataError
from training.evaluation.selection import EarlyStopping
from training.export import export_rescorer, fit_first_stage, users_to_fit_on
from training.export.history import UnitsHead, history_encoder
from training.loop import Best, Phase, Run
from training.models.rbm_cf import SoftmaxRBM
from training.ranker import TrainedRanker
from training.recipes.rbm_cf.config import Config
from training.recipes.rbm_cf.scoring import Rescorer
from training.recipes.rbm_cf.steps import losses, mean_field

_PRIOR_RATINGS = 5.0
"""Ratings at the overall frequencies that every item has beside its own, where the biases start."""

Watch = Callable[[Phase, int, SoftmaxRBM], None]
"""Told of every epoch's end."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Choose the epoch by RMSE on a part of the training data, then learn from all of it.

    Raises:
        DataError: the data have no ratings, or no user has two.
    """
    if data.ratings is None:
        raise DataError("rbm-cf learns from ratings, and these data have none; name the rating column, or use another ranker")
    levels = Levels.of(data.ratings, config.max_levels)
    summary: dict[str, Any] = {"num_levels": levels.num_levels}
    models: list[SoftmaxRBM] = []
    num_epochs = config.num_epochs
    if config.validation_fraction:
        chosen, stopping = choose(data, levels, config, run)
        models = [chosen]
        num_epochs = stopping.best.epoch + 1
        summary["validation"] = stopping.summary(run.curves["choose/RMSE"])
    # A refit that would be cut short is worth less than the model that chose.
    summary |= {"num_epochs": num_epochs, "refit": not models or not run.out_of_time}
    if summary["refit"]:
        models = [
            learn(data, levels, config, run, name=f"fit-{member}", member=member, num_epochs=num_epochs)
            for member in range(1, config.num_members + 1)
        ]
    return TrainedRanker(_as_vectors(models, data, levels, config, run.numpy_rng(3)), bias_folded=True, summary=summary)


def _as_vectors(
    models: list[SoftmaxRBM], data: Interactions, levels: Levels, config: Config, rng: np.random.Generator
) -> VectorModel:
    """Queries [h of all members; 1]; the exact score as a rescorer, and item vectors that come close to it."""
    with torch.no_grad():
        models = [model.cpu().eval() for model in models]
        table_KIW = torch.cat([model.table() for model in models], dim=2)
        bias_W = torch.cat([model.hidden_bias_H for model in models])
        scale, exponent = _scaling(config)
        head = UnitsHead(torch.sigmoid, bias_W, scale=scale, exponent=exponent)
        encoder = history_encoder(table_KIW, head, levels.boundaries.tolist())
        scoring = Rescorer(
            models,
            values_K=torch.from_numpy(levels.values_K),
            first_liked=levels.first_at_least(data.positive_threshold),
            rank_by=config.rank_by,
            rating_weight=config.rating_weight,
            exposure_weight=config.exposure_weight,
        )
        rescorer = export_rescorer(scoring, dim=encoder.dim, num_items=data.num_items)
        queries_UD = encoder.encode(data.histories().take(users_to_fit_on(data.num_users, rng)))
        scores_UI = rescorer.scores(queries_UD, np.arange(data.num_items))
        # What of a score is an inner product needs no regression.
        linear_ID = scoring.linear_part().numpy()
        vectors_ID = fit_first_stage(queries_UD, scores_UI - queries_UD @ linear_ID.T) + linear_ID
    policy = HistoryPolicy(data.positive_threshold, "all", demote_low=config.demote_low)
    return VectorModel(
        np.ascontiguousarray(vectors_ID, dtype=np.float32), encoder, policy, rescorer=rescorer, predicts_ratings=True
    )


def choose(data: Interactions, levels: Levels, config: Config, run: Run) -> tuple[SoftmaxRBM, EarlyStopping]:
    """The best epoch on held-out ratings, and the model as it was at the end."""
    fit, held = holdout(data, fraction=config.validation_fraction, rng=run.numpy_rng(1))
    stopping = EarlyStopping("RMSE", every=config.validate_every, patience=config.patience, lower_is_better=True)
    users = np.unique(held.user_rows)
    histories = fit.histories().take(users)
    scale, exponent = _scaling(config)
    values_K = torch.from_numpy(levels.values_K).float().to(run.device)
    assert held.ratings is not None
    rows_N, ratings_N = np.searchsorted(users, held.user_rows), held.ratings

    def watch(phase: Phase, epoch: int, model: SoftmaxRBM) -> None:
        def rmse() -> float:
            squared = 0.0
            for start in range(0, len(users), config.batch_size):
                mine_N = np.flatnonzero((rows_N >= start) & (rows_N < start + config.batch_size))
                chosen = np.arange(start, min(start + config.batch_size, len(users)))
                rated_BKI = levels.one_hot(histories.take(chosen), data.num_items, run.device)
                with torch.no_grad():
                    hidden_BH = mean_field(model, rated_BKI, scale=scale, exponent=exponent)
                    probs_BKI = torch.softmax(model.visible_logits(hidden_BH), 1)
                    expected_BI = torch.einsum("bki,k->bi", probs_BKI, values_K).cpu().numpy()
                squared += float(
                    np.square(expected_BI[rows_N[mine_N] - start, held.item_rows[mine_N]] - ratings_N[mine_N]).sum()
                )
            return float(np.sqrt(squared / len(ratings_N)))

        stopping.look(phase, epoch, rmse)

    model = learn(
        fit, levels, config, run, name="choose", member=0, num_epochs=config.num_epochs, watch=watch, best=stopping.best
    )
    return model, stopping


def learn(
    data: Interactions,
    levels: Levels,
    config: Config,
    run: Run,
    *,
    name: str,
    member: int,
    num_epochs: int,
    watch: Watch | None = None,
    **stateful: Best,
) -> SoftmaxRBM:
    """Batch after batch of users; each member has random numbers of its own."""
    random = run.generator(member)
    histories = data.histories()
    users = np.flatnonzero(histories.lengths >= 2)  # nothing can be hidden from a single rating
    if not len(users):
        raise DataError(
            f"rbm-cf learns what ratings have to do with each other, and none of {data.num_users} users has two; "
            "use another ranker, or more ratings a user"
        )
    model = _fresh(data, levels, config, random).to(run.device)
    biases = [model.visible_bias_IK, model.rated_bias_I, model.hidden_bias_H]
    weights = [model.steps_KIH] if model.rated_IH is None else [model.steps_KIH, model.rated_IH]
    optimizer = torch.optim.AdamW(
        [{"params": weights, "weight_decay": config.weight_decay}, {"params": biases, "weight_decay": 0.0}],
        lr=config.learning_rate,
        fused=True,
    )
    num_updates = config.num_epochs * -(-len(users) // config.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_updates)
    with run.phase(name, num_epochs, model=model, optimizer=optimizer, schedule=schedule, random=random, **stateful) as phase:
        for epoch in phase:
            figures: list[dict[str, float]] = []
            for users_B in shuffled(users, config.batch_size, random):
                rated_BKI = levels.one_hot(histories.take(users_B), data.num_items, run.device)
                told = losses(model, rated_BKI, config, random)
                loss = sum(told.values(), torch.zeros((), device=run.device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                figures.append({key: value.item() for key, value in told.items()})
            phase.log_means(figures)
            if watch is not None:
                watch(phase, epoch, model)
    return model


def _fresh(data: Interactions, levels: Levels, config: Config, random: torch.Generator) -> SoftmaxRBM:
    """Biases at the frequencies of each item's levels, drawn towards those of all items, and of the items themselves."""
    counts_IK = _counts(data, levels)
    overall_K = (counts_IK.sum(0) + 1.0) / (counts_IK.sum() + levels.num_levels)
    return SoftmaxRBM(
        num_levels=levels.num_levels,
        num_hidden=config.hidden_size,
        conditional=config.conditional,
        share_levels=config.share_levels,
        init_std=config.init_std,
        init_rated_std=config.init_rated_std,
        init_slope=config.init_slope,
        level_probs_IK=(counts_IK + _PRIOR_RATINGS * overall_K) / (counts_IK.sum(1, keepdim=True) + _PRIOR_RATINGS),
        rated_counts_I=counts_IK.sum(1),
        generator=random,
    )


def _counts(data: Interactions, levels: Levels) -> Tensor:
    assert data.ratings is not None
    cells_N = data.item_rows * levels.num_levels + levels.places(data.ratings)
    cells = np.bincount(cells_N, minlength=data.num_items * levels.num_levels)
    return torch.from_numpy(cells).float().view(data.num_items, levels.num_levels)


def _scaling(config: Config) -> tuple[float, float]:
    """How a history goes in: as it is trained to, or, where nothing was trained, as it is."""
    return (config.history_scale, config.history_exponent) if config.objective == "hybrid" else (1.0, 0.0)
