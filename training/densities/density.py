"""What every density model gives: the log-likelihood of rows it has not seen, and how sure that figure is.

Shapes: N rows, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Kind = Literal["exact", "ais", "bound"]
"""`exact`: the likelihood itself. `ais`: log Z by annealed importance sampling. `bound`: an importance-weighted lower bound."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean log-likelihood of some rows, nats a row.

    Attributes:
        value: the figure.
        low, high: 95% interval of what makes the figure uncertain beyond the choice of rows: of log Z for `ais`, of the sampling for
            `bound`; equal to `value` where it is exact.
        kind: how it was computed.
    """

    value: float
    low: float
    high: float
    kind: Kind


class Density(Protocol):
    """A trained distribution over binary vectors."""

    def log_likelihood(self, rows_ND: Tensor) -> Estimate:
        """Mean log p(x) of the rows, entries 0 or 1."""
        ...
