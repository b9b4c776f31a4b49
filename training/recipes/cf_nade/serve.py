"""Both forms and the exposure as what a service needs: a sum over the history, a query, and a rescorer.

A query is [exposure; 1 | d; user-based hidden units | share of the item-based form; item-based scores as factors].

Shapes: B queries, C candidates, U users, I items, K levels, M members, H hidden units, G units of the last hidden layer, E width of
the exposure, S = 2 + M · G, R rank of the item-based factors, X = K · R, D dimensions of the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.models.cf_nade import CFNADE
from training.models.history import HistoryCommittee
from training.recipes.cf_nade.levels import Scale, Table

_TINY = 1e-30
"""No probability is taken to be smaller, so that its logarithm is finite."""


class ItemFactors(NamedTuple):
    """The item-based form's scores of known users, Σ_r user_UKR item_IR, float32."""

    users_UKR: np.ndarray
    items_IR: np.ndarray


@torch.no_grad()
def item_factors(model: CFNADE, table: Table, *, rank: int) -> ItemFactors:
    """The scores that the item-based form gives with all of an item's ratings in view, the mean over members, by singular values.

    Args:
        model: with users as columns.
        table: items' histories.
        rank: singular values kept.
    """
    hidden_IS = _states(model, table)
    outputs_KUS = joined_outputs(model).double().numpy()
    basis_IS, triangle_SS = np.linalg.qr(hidden_IS)
    num_levels, num_users, _ = outputs_KUS.shape
    stacked_XS = outputs_KUS.transpose(1, 0, 2).reshape(num_users * num_levels, -1) @ triangle_SS.T
    # Of the small side, so that nothing as large as users times users is made.
    _, vectors_SS = np.linalg.eigh(stacked_XS.T @ stacked_XS)
    kept_SR = vectors_SS[:, ::-1][:, :rank]
    users_UKR = (stacked_XS @ kept_SR).reshape(num_users, num_levels, -1)
    return ItemFactors(users_UKR.astype(np.float32), (basis_IS @ kept_SR).astype(np.float32))


def _states(model: CFNADE, table: Table) -> np.ndarray:
    """[1; d; hidden units of all members] of every history, float64 [I, S]."""
    parts = []
    for rows_B in np.array_split(np.arange(len(table.histories)), max(1, len(table.histories) // 256)):
        levels_MBC = table.dense(rows_B, torch.device("cpu")).expand(model.num_members, -1, -1)
        lengths_MB = (levels_MBC > 0).sum(dim=-1).float()
        hidden_BS = model.hidden(model.sums(levels_MBC), lengths_MB).transpose(0, 1).flatten(1)
        offsets_B1 = model.offsets(levels_MBC)[0][:, None]
        parts.append(torch.cat([torch.ones_like(offsets_B1), offsets_B1, hidden_BS], dim=1).double().numpy())
    return np.concatenate(parts)


def joined_outputs(model: CFNADE) -> Tensor:
    """The output table so that the members' mean score is one product with [1; d; hidden units of all], [K, C, S]."""
    table_MKCX = model.output_table().detach() / model.num_members
    shared_KCX = table_MKCX[..., :2].sum(dim=0)
    own_KCX = table_MKCX[..., 2:].permute(1, 2, 0, 3).flatten(2)
    return torch.cat([shared_KCX, own_KCX], dim=-1)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where what stands in a query.

    Attributes:
        exposure: E.
        user: 1 + M · G, or 0 without the user-based form.
        ranks: K · R, or 0 without the item-based form.
    """

    exposure: int
    user: int
    ranks: int

    @property
    def dim(self) -> int:
        """D: with the constant, and the share of the item-based form where there is one."""
        return self.exposure + 1 + self.user + (self.ranks + 1 if self.ranks else 0)

    @property
    def state(self) -> slice:
        """The constant and the user-based form: what the first stage regresses on."""
        return slice(self.exposure, self.exposure + 1 + self.user)

    @property
    def share(self) -> int:
        """Place of the item-based form's share."""
        return self.exposure + 1 + self.user

    @property
    def factors(self) -> slice:
        """The item-based form."""
        return slice(self.share + 1, self.dim)


@torch.no_grad()
def history_table(exposure: HistoryCommittee, user_model: CFNADE | None, scale: Scale, num_items: int) -> Tensor:
    """What an item adds to the sums at each level, [K, I, exposure's M · H + user-based M · H + 1]."""
    inputs_2IE = exposure.input_MXH.unflatten(1, (2, num_items)).permute(1, 2, 0, 3).flatten(2)
    # The first channel holds what was liked.
    parts = [torch.stack([inputs_2IE[int(level < scale.positive_level)] for level in range(scale.num_levels)])]
    if user_model is not None:
        parts.append(user_model.input_table().permute(1, 2, 0, 3).flatten(2))
        levels_K1 = torch.arange(1.0, scale.num_levels + 1.0)[:, None]
        parts.append((levels_K1 - user_model.mean_levels_C)[..., None])
    return torch.cat(parts, dim=2)


class QueryHead(nn.Module):
    """Sums over a history to a query; see the module for its parts.

    Args:
        exposure: trained.
        user_model: trained; None without the user-based form.
        strangers_X: the item-based form's factors for somebody whom it doesn't know; None for a share of 0.
        layout: of the query.
    """

    exposure_bias_E: Tensor
    tail_X: Tensor

    def __init__(
        self, exposure: HistoryCommittee, user_model: CFNADE | None, strangers_X: np.ndarray | None, layout: Layout
    ) -> None:
        super().__init__()
        self.layout = layout
        self.user_model = user_model
        self.register_buffer("exposure_bias_E", exposure.input_bias_MH.detach().flatten())
        tail_X = torch.zeros(layout.dim - layout.share)
        if strangers_X is not None:
            tail_X = torch.cat([torch.ones(1), torch.from_numpy(strangers_X)])
        self.register_buffer("tail_X", tail_X)

    def forward(self, sums_BX: Tensor, lengths_B1: Tensor) -> Tensor:
        """Query vectors [B, D]."""
        width = self.layout.exposure
        averages_BE = sums_BX[:, :width] / lengths_B1.clamp(min=1.0)
        parts = [torch.tanh(averages_BE + self.exposure_bias_E), torch.ones_like(lengths_B1)]
        if self.user_model is not None:
            sums_MBH = sums_BX[:, width:-1].unflatten(1, (self.user_model.num_members, -1)).transpose(0, 1)
            hidden_MBG = self.user_model.hidden(sums_MBH, lengths_B1.T)
            parts += [self.user_model.shrunk(sums_BX[:, -1:], lengths_B1), hidden_MBG.transpose(0, 1).flatten(1)]
        parts.append(self.tail_X.expand(sums_BX.shape[0], -1))
        return torch.cat(parts, dim=1)


class Rescorer(nn.Module):
    """The mix of both forms: expected ratings, and scores of a ranking.

    score = e · logit of being rated + g · log P(rating ≥ threshold), up to a constant of the user's.

    Args:
        layout: of queries.
        exposure_vectors_IE: of log p(rated | history), the bias behind them.
        user_table_KIS: the user-based form's outputs; None without it.
        item_factors_IR: the item-based form's side of the items; None without it.
        item_weight: share of the item-based form where the query has it.
        scale: levels.
        exposure_weight: e.
        rating_weight: g.
    """

    exposure_vectors_IE: Tensor
    user_table_KIS: Tensor
    item_factors_IR: Tensor
    values_K: Tensor

    def __init__(
        self,
        layout: Layout,
        *,
        exposure_vectors_IE: Tensor,
        user_table_KIS: Tensor | None,
        item_factors_IR: Tensor | None,
        item_weight: float,
        scale: Scale,
        exposure_weight: float,
        rating_weight: float,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("exposure_vectors_IE", exposure_vectors_IE)
        self.register_buffer("user_table_KIS", user_table_KIS)
        self.register_buffer("item_factors_IR", item_factors_IR)
        self.register_buffer("values_K", torch.from_numpy(scale.steps.values_K))
        self.positive_level = scale.positive_level
        self.highest = float(scale.steps.values_K[-1])
        self.item_weight = item_weight
        self.exposure_weight = exposure_weight
        self.rating_weight = rating_weight

    def forward(self, queries_BD: Tensor, items_C: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and expected ratings, float64 [B, C] each.

        Args:
            queries_BD: float32.
            items_C: int64 rows.
        """
        queries_BD = queries_BD.double()
        probs_BCK = self.level_probs(queries_BD, items_C)
        # Levels above the lowest add to it, so that rounding cannot leave the scale downwards.
        ratings_BC = self.values_K[0] + probs_BCK @ (self.values_K - self.values_K[0])
        logits_BC, log_liked_BC = self._log_parts(queries_BD, items_C, probs_BCK)
        return self.exposure_weight * logits_BC + self.rating_weight * log_liked_BC, ratings_BC.clamp(max=self.highest)

    def log_parts(self, queries_BD: Tensor, items_C: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of being rated, and log P(rating ≥ threshold), [B, C] each."""
        queries_BD = queries_BD.double()
        return self._log_parts(queries_BD, items_C, self.level_probs(queries_BD, items_C))

    def _log_parts(self, queries_BD: Tensor, items_C: Tensor, probs_BCK: Tensor) -> tuple[Tensor, Tensor]:
        log_liked_BC = probs_BCK[..., self.positive_level :].sum(dim=-1).clamp(min=_TINY).log()
        exposure_BE = queries_BD[:, : self.layout.exposure + 1]
        return exposure_BE @ self.exposure_vectors_IE[items_C].double().T, log_liked_BC

    def level_probs(self, queries_BD: Tensor, items_C: Tensor) -> Tensor:
        """p(r = k | history) of the mix, [B, C, K]."""
        probs: Tensor | None = None
        if self.layout.user:
            state_BS = queries_BD[:, self.layout.state]
            scores_BCK = torch.einsum("bs,kcs->bck", state_BS, self.user_table_KIS[:, items_C].double())
            probs = scores_BCK.softmax(dim=-1)
        if not self.layout.ranks:
            assert probs is not None
            return probs
        factors_BKR = queries_BD[:, self.layout.factors].unflatten(1, (len(self.values_K), -1))
        item_scores_BCK = torch.einsum("bkr,cr->bck", factors_BKR, self.item_factors_IR[items_C].double())
        item_probs_BCK = item_scores_BCK.softmax(dim=-1)
        if probs is None:
            return item_probs_BCK
        share_B11 = self.item_weight * queries_BD[:, self.layout.share, None, None]
        return (1.0 - share_B11) * probs + share_B11 * item_probs_BCK
