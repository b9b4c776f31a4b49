"""Made-up units for the tests of statistics."""

from __future__ import annotations

import numpy as np

from app.experiments.statistics import Sample


def visits(num_units: int, *, seed: int = 0, lift: float = 0.0, before: bool = False) -> Sample:
    """Clicks per impression: every user has a number of impressions and a rate of clicks of their own."""
    rng = np.random.default_rng(seed)
    rates_N = rng.beta(2.0, 8.0, num_units)
    shown_N = 1 + rng.poisson(4.0, num_units)
    shown_before_N = rng.poisson(5.0, num_units)
    return Sample(
        numerator_N=rng.binomial(shown_N, np.minimum(rates_N + lift, 1.0)).astype(np.float64),
        denominator_N=shown_N.astype(np.float64),
        before_numerator_N=rng.binomial(shown_before_N, rates_N).astype(np.float64) if before else None,
        before_denominator_N=shown_before_N.astype(np.float64) if before else None,
    )
