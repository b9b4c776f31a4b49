"""One metric of one variant, unit by unit.

Shapes: N units, 4 columns as in `moments`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tea_tasting.aggr import Aggregates

from app.experiments.statistics.moments import Moments

COLUMNS = ("numerator", "denominator", "before_numerator", "before_denominator")
"""Names of the four in `Sample.aggregates`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """What the units of one variant have of one metric.

    A unit is whatever was assigned: all that one user did stands in one place of the arrays, never in several, for units are what
    chance distributed.

    Attributes:
        numerator_N: what is averaged, or the upper half of a quotient.
        denominator_N: the lower half, of metrics that are one (clicks per impression); None for a mean over units.
        before_numerator_N, before_denominator_N: the same of a time before the experiment, which it cannot have changed; None if
            unknown, 0 for units that were not there yet.

    Raises:
        ValueError: arrays of different lengths, or values that are no numbers.
    """

    numerator_N: np.ndarray
    denominator_N: np.ndarray | None = None
    before_numerator_N: np.ndarray | None = None
    before_denominator_N: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in COLUMNS:
            values = getattr(self, f"{name}_N")
            if values is None:
                continue
            values = np.asarray(values, dtype=np.float64)
            if values.shape != (self.num_units,):
                raise ValueError(
                    f"{name}_N has the shape {values.shape}; expected one value for each of {self.num_units} units"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"{name}_N holds NaN or infinity; expected finite numbers")
        if self.before_denominator_N is not None and self.before_numerator_N is None:
            raise ValueError("before_denominator_N is given without before_numerator_N")

    @property
    def num_units(self) -> int:
        """N."""
        return len(self.numerator_N)

    @property
    def is_ratio(self) -> bool:
        """Whether units have denominators of their own."""
        return self.denominator_N is not None

    @property
    def has_before(self) -> bool:
        """Whether a time before is known."""
        return self.before_numerator_N is not None

    @cached_property
    def moments(self) -> Moments:
        """What all estimates are computed from; absent denominators are 1, an absent time before is 0."""
        absent = (0.0, 1.0, 0.0, 1.0)
        given = (getattr(self, f"{name}_N") for name in COLUMNS)
        columns_N4 = np.empty((self.num_units, 4))
        for column, (values, default) in enumerate(zip(given, absent, strict=True)):
            columns_N4[:, column] = default if values is None else values
        return Moments.of(columns_N4)

    @cached_property
    def aggregates(self) -> Aggregates:
        """The same for tea-tasting, with the columns that there are."""
        present = [(column, name) for column, name in enumerate(COLUMNS) if getattr(self, f"{name}_N") is not None]
        mean_4, cov_44 = self.moments.mean_4, self.moments.cov_44
        return Aggregates(
            count_=self.num_units,
            mean_={name: float(mean_4[column]) for column, name in present},
            var_={name: float(cov_44[column, column]) for column, name in present},
            cov_={
                (name, other): float(cov_44[column, row]) for column, name in present for row, other in present if name < other
            },
        )
