"""Choosing epochs and weights on ratings held out of the training data.

Shapes: U users looked at, I items, N held-out ratings, K levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from training.evaluation.selection import EarlyStopping, HeldOut
from training.loop import Phase, Run
from training.models.cf_nade import CFNADE
from training.objectives.ordinal import expected_ratings
from training.recipes.cf_nade.assemble import Parts, Weights
from training.recipes.cf_nade.config import Config
from training.recipes.cf_nade.learn import learn
from training.recipes.cf_nade.levels import Scale, Table

_ITEM_WEIGHTS = np.linspace(0.0, 1.0, 21)
_RATING_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)


def errors(expected_N: np.ndarray, ratings_N: np.ndarray) -> float:
    """Root mean squared error."""
    return float(np.sqrt(np.mean((expected_N - ratings_N) ** 2)))


@torch.no_grad()
def expected(model: CFNADE, table: Table, scale: Scale, rows_N: np.ndarray, columns_N: np.ndarray) -> np.ndarray:
    """Expected ratings in some cells, each history seen whole; of the members' mean scores, float64 [N]."""
    device = model.bias_MKC.device
    values_K = torch.from_numpy(scale.steps.values_K)
    found_N = np.empty(len(rows_N))
    rows = np.unique(rows_N)
    for rows_B in np.array_split(rows, max(1, len(rows) // 256)):
        levels_MBC = table.dense(rows_B, device).expand(model.num_members, -1, -1)
        scores_BKC = model(levels_MBC).mean(dim=0).cpu().double()
        mine = np.flatnonzero(np.isin(rows_N, rows_B))
        places = np.searchsorted(rows_B, rows_N[mine])
        found_N[mine] = expected_ratings(scores_BKC[places, :, columns_N[mine]], values_K).numpy()
    return found_N


def choose_epochs(
    held: HeldOut, scale: Scale, config: Config, run: Run
) -> tuple[dict[str, CFNADE], dict[str, int], dict[str, Any]]:
    """A small committee of each form on the part to fit, its best epoch by RMSE on the rest.

    Returns:
        Models as they were at the end, their best numbers of epochs, and what to tell of both.
    """
    assert held.held.ratings is not None
    ratings_N = held.held.ratings.astype(np.float64)
    models, num_epochs, told = {}, {}, {}
    for form in config.forms:
        by_item = form == "item"
        table = Table.of(held.fit, scale, by_item=by_item)
        cells = (held.held.user_rows, held.held.item_rows)[:: -1 if by_item else 1]
        stopping = EarlyStopping("RMSE", every=config.validate_every, patience=config.patience, lower_is_better=True)

        def watch(phase: Phase, epoch: int, model: CFNADE) -> None:
            stopping.look(phase, epoch, lambda: errors(expected(model, table, scale, *cells), ratings_N))  # noqa: B023 - at once

        name = f"choose-{form}"
        models[form] = learn(
            table,
            config,
            run,
            name=name,
            by_item=by_item,
            num_members=min(config.validation_members, config.num_members),
            num_epochs=config.num_epochs,
            watch=watch,
            best=stopping.best,
        )
        num_epochs[form] = stopping.best.epoch + 1
        told[form] = stopping.summary(run.curves[f"{name}/RMSE"])
    return models, num_epochs, told


def choose_item_weight(models: dict[str, CFNADE], held: HeldOut, scale: Scale) -> tuple[float, float]:
    """The item-based form's weight with the smallest RMSE of the mix on the held-out ratings, and that RMSE."""
    assert held.held.ratings is not None
    users_N, items_N = held.held.user_rows, held.held.item_rows
    by_user_N = expected(models["user"], Table.of(held.fit, scale, by_item=False), scale, users_N, items_N)
    by_item_N = expected(models["item"], Table.of(held.fit, scale, by_item=True), scale, items_N, users_N)
    values = [errors(w * by_item_N + (1 - w) * by_user_N, held.held.ratings) for w in _ITEM_WEIGHTS]
    best = int(np.argmin(values))
    return float(_ITEM_WEIGHTS[best]), values[best]


@torch.no_grad()
def choose_rating_weight(parts: Parts, weights: Weights, held: HeldOut) -> tuple[float, float]:
    """The weight of log P(rating ≥ threshold) with the best nDCG@10 of the held-out likes, and that nDCG@10."""
    queries_UD = torch.from_numpy(parts.queries_UD[held.users])
    rows_I = torch.arange(held.fit.num_items)
    exposure_UI, liked_UI = (part.numpy() for part in parts.rescorer.log_parts(queries_UD, rows_I))
    values = []
    for weight in _RATING_WEIGHTS:
        scores_UI = weights.exposure * exposure_UI + weight * liked_UI
        values.append(held.ndcg(lambda _, scores_UI=scores_UI: scores_UI))  # type: ignore[misc]
    best = int(np.argmax(values))
    return _RATING_WEIGHTS[best], values[best]
