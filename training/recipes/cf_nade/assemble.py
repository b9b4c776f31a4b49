"""From trained forms and exposure to queries, a history's table and a rescorer.

Shapes: U users, I items, K levels, X width of the sums, D dimensions of the index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from app.bundle import Histories
from training.data import Interactions
from training.models.cf_nade import CFNADE
from training.models.history import HistoryCommittee
from training.recipes.cf_nade.levels import Scale, Table
from training.recipes.cf_nade.serve import (
    ItemFactors,
    Layout,
    QueryHead,
    Rescorer,
    history_table,
    item_factors,
    joined_outputs,
)


@dataclass(slots=True)
class Weights:
    """Of what is mixed and added.

    Attributes:
        item: the item-based form's share for known users, beside the user-based form.
        exposure: of log p(rated | history).
        rating: of log P(rating ≥ threshold).
    """

    item: float = 0.5
    exposure: float = 1.0
    rating: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the service is given.

    Attributes:
        layout: of the queries.
        table_KIX: what an item adds to the sums at each level.
        head: sums to queries.
        queries_UD: of known users, float32.
        rescorer: scores and expected ratings.
        weights: in it.
    """

    layout: Layout
    table_KIX: Tensor
    head: QueryHead
    queries_UD: np.ndarray
    rescorer: Rescorer
    weights: Weights


@torch.no_grad()
def assemble(
    data: Interactions,
    scale: Scale,
    models: dict[str, CFNADE],
    exposure: HistoryCommittee,
    weights: Weights,
    *,
    table_rank: int,
) -> Parts:
    """Put the forms together; known users who rated something get the item-based form's factors, weighed by `weights.item`.

    Args:
        data: what the models were trained on.
        scale: its levels.
        models: by the name of their form, `user` and `item` or one of both.
        exposure: trained.
        weights: of the parts.
        table_rank: to which the item-based form's scores are kept.
    """
    exposure = exposure.cpu()
    user_model, item_model = (models[form].cpu() if form in models else None for form in ("user", "item"))
    factors: ItemFactors | None = None
    if item_model is not None:
        factors = item_factors(item_model, Table.of(data, scale, by_item=True), rank=table_rank)
    layout = Layout(
        exposure=exposure.input_bias_MH.numel(),
        user=1 + user_model.num_members * user_model.num_units if user_model is not None else 0,
        ranks=factors.users_UKR[0].size if factors is not None else 0,
    )
    histories = data.histories()
    filled = np.flatnonzero(histories.lengths)
    # Without the user-based form, somebody new is an average user to the item-based one.
    strangers = None
    if factors is not None and user_model is None:
        strangers = factors.users_UKR[filled].mean(axis=0).ravel()
    table_KIX = history_table(exposure, user_model, scale, data.num_items)
    head = QueryHead(exposure, user_model, strangers, layout)
    queries_UD = _queries(table_KIX, head, histories, scale)
    if factors is not None:
        queries_UD[filled, layout.share] = 1.0
        queries_UD[filled, layout.factors] = factors.users_UKR[filled].reshape(len(filled), -1)
    members = exposure.num_members
    outputs_IE = exposure.output_MHI.permute(2, 0, 1).flatten(1) / members
    rescorer = Rescorer(
        layout,
        exposure_vectors_IE=torch.cat([outputs_IE, exposure.output_bias_MI.mean(dim=0)[:, None]], dim=1),
        user_table_KIS=joined_outputs(user_model) if user_model is not None else None,
        item_factors_IR=torch.from_numpy(factors.items_IR) if factors is not None else None,
        item_weight=weights.item,
        scale=scale,
        exposure_weight=weights.exposure,
        rating_weight=weights.rating,
    )
    return Parts(layout, table_KIX, head, queries_UD, rescorer, weights)


def _queries(table_KIX: Tensor, head: QueryHead, histories: Histories, scale: Scale) -> np.ndarray:
    """What the encoder makes of every history, float32 [U, D]."""
    num_levels, num_items, width = table_KIX.shape
    cells_N = (scale.levels(histories.ratings) - 1) * num_items + histories.items
    shape = (len(histories), num_levels * num_items)
    events = sp.csr_matrix((np.ones(len(cells_N), dtype=np.float32), (histories.users, cells_N)), shape=shape)
    sums_UX = torch.from_numpy(events @ table_KIX.reshape(-1, width).numpy())
    lengths_U1 = torch.from_numpy(histories.lengths).float()[:, None]
    queries_UD: np.ndarray = head(sums_UX, lengths_U1).numpy()
    return queries_UD
