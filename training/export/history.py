"""Any network whose first layer is a sum over the history, as an ONNX encoder that reads only the history's own rows.

Shapes: B histories, L the longest one, I items, K rating levels, H width of the first layer, D dimensions of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from app.bundle import OnnxEncoder
from training.export.onnx import export_encoder


class HistoryGraph(nn.Module):
    """q = head(Σ_h T[level(h), item(h)], n): the sum of one table row an event, and the number of events, into a query.

    Args:
        table_KIH: T, what an item adds at each level of its rating; K is 1 where ratings make no difference.
        head: (sums_BH, lengths_B1) → query vectors [B, D]; lengths are float and at least 0.
        boundaries: the K − 1 ratings from which the next level begins, ascending; an event without a rating has the highest level.
    """

    table_RH: Tensor
    boundaries: Tensor

    def __init__(self, table_KIH: Tensor, head: nn.Module, boundaries: Sequence[float] = ()) -> None:
        super().__init__()
        num_levels, self.num_items, width = table_KIH.shape
        assert len(boundaries) == num_levels - 1
        # One more row, of zeros, for what pads a history.
        rows_RH = torch.cat([table_KIH.detach().reshape(-1, width), table_KIH.new_zeros(1, width)])
        self.register_buffer("table_RH", rows_RH)
        self.register_buffer("boundaries", torch.tensor(list(boundaries), dtype=torch.float32))
        self.head = head

    def forward(self, items_BL: Tensor, ratings_BL: Tensor) -> Tensor:
        """Query vectors [B, D].

        Args:
            items_BL: int64 item rows, padded with I.
            ratings_BL: float32, NaN where there is none.
        """
        is_event_BL = items_BL < self.num_items
        rated_BL = torch.where(ratings_BL.isnan(), torch.full_like(ratings_BL, torch.finfo(torch.float32).max), ratings_BL)
        levels_BL = (rated_BL[..., None] >= self.boundaries).sum(-1)
        rows_BL = torch.where(is_event_BL, levels_BL * self.num_items + items_BL, self.table_RH.shape[0] - 1)
        lengths_B1 = is_event_BL.sum(1, keepdim=True).to(self.table_RH.dtype)
        queries_BD: Tensor = self.head(self.table_RH[rows_BL].sum(1), lengths_B1)
        return queries_BD


class UnitsHead(nn.Module):
    """Σ_h T_h and n to the query [g(c + s · Σ_h T_h / n^p); 1]: hidden units over a history that is divided by a power of its length.

    Args:
        activation: g.
        bias_H: c.
        scale: s.
        exponent: p.
    """

    bias_H: Tensor

    def __init__(self, activation: Callable[[Tensor], Tensor], bias_H: Tensor, *, exponent: float, scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("bias_H", bias_H.detach())
        self.activation = activation
        self.exponent = exponent
        self.scale = scale

    def forward(self, sums_BH: Tensor, lengths_B1: Tensor) -> Tensor:
        """Query vectors [B, H + 1]."""
        hidden_BH = self.activation(self.bias_H + self.scale * lengths_B1.clamp(min=1.0) ** -self.exponent * sums_BH)
        return torch.cat([hidden_BH, torch.ones_like(lengths_B1)], dim=1)


def history_encoder(table_KIH: Tensor, head: nn.Module, boundaries: Sequence[float] = ()) -> OnnxEncoder:
    """Export `HistoryGraph` and check the graph against it; see there for the arguments.

    Raises:
        RuntimeError: the graph's answers differ from the module's; a mistake of ours.
    """
    return export_encoder(HistoryGraph(table_KIH, head, boundaries), num_items=table_KIH.shape[1])
