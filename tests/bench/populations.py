"""Made-up users in two variants, many experiments at once, as moments at each look: what the figures on statistics are measured on.

Shapes: R simulations, T looks, N units of one variant, 4 columns as in `app.experiments.statistics.moments`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from app.experiments.statistics.moments import Moments

Draw = Callable[[np.random.Generator, tuple[int, ...], float], np.ndarray]
"""Units of some shape, with a lift (a part of the metric's value): float32 [..., 4]."""


def binary(rate: float) -> Draw:
    """Each unit converts or not."""

    def draw(rng: np.random.Generator, shape: tuple[int, ...], lift: float) -> np.ndarray:
        return columns(rng.random(shape, dtype=np.float32) < rate * (1.0 + lift))

    return draw


def skewed(rng: np.random.Generator, shape: tuple[int, ...], lift: float) -> np.ndarray:
    """Revenue: one in five buys, for a log-normal sum with σ = 1; skewness about 9."""
    buys = rng.random(shape, dtype=np.float32) < 0.2
    return columns(buys * np.exp(rng.standard_normal(shape, dtype=np.float32)) * np.float32(1.0 + lift))


def quotient(rng: np.random.Generator, shape: tuple[int, ...], lift: float) -> np.ndarray:
    """Clicks per impression: users differ in how much they see (geometric) and in how readily they click, and both go together."""
    eager = rng.random(shape, dtype=np.float32)
    shown = 1.0 + np.floor(np.log(rng.random(shape, dtype=np.float32) + 1e-12) / np.log(0.6 + 0.25 * eager))
    clicks = np.minimum(shown, rng.poisson(shown * (0.05 + 0.2 * eager) * (1.0 + lift)))
    return columns(clicks, shown)


def with_before(rng: np.random.Generator, shape: tuple[int, ...], lift: float) -> np.ndarray:
    """A number per user that goes along with the one of the time before, correlation about 0.7, skewed."""
    taste = rng.standard_exponential(shape, dtype=np.float32)
    now, before = (taste + 0.65 * rng.standard_exponential(shape, dtype=np.float32) for _ in range(2))
    return columns(now * np.float32(1.0 + lift), None, before)


def quotient_with_before(rng: np.random.Generator, shape: tuple[int, ...], lift: float) -> np.ndarray:
    """Clicks per impression, of users of whom three in four were there before."""
    rate = 0.05 + 0.3 * rng.random(shape, dtype=np.float32) ** 2
    shown, shown_before = 1.0 + rng.poisson(4.0, shape), rng.poisson(6.0, shape) * (rng.random(shape, dtype=np.float32) < 0.75)
    clicks, clicks_before = (
        np.minimum(seen, rng.poisson(seen * rate * factor)) for seen, factor in ((shown, 1.0 + lift), (shown_before, 1.0))
    )
    return columns(clicks, shown, clicks_before, shown_before)


def columns(numerator: np.ndarray, denominator: np.ndarray | None = None, *before: np.ndarray) -> np.ndarray:
    """The four columns side by side, float32 [..., 4]."""
    together = np.zeros((*numerator.shape, 4), dtype=np.float32)
    together[..., 1] = together[..., 3] = 1.0
    for column, values in enumerate((numerator, denominator, *before)):
        if values is not None:
            together[..., column] = values
    return together


def settled(draw: Draw, rng: np.random.Generator, *, num_simulations: int, units_T: np.ndarray, lift: float = 0.0) -> Moments:
    """One variant whose units' outcomes are final when they are counted, at each look; float64 [R, T, …].

    Args:
        draw: of units.
        rng: of everything.
        num_simulations: R.
        units_T: how many units there are at each look, growing.
        lift: of the metric.
    """
    sums_4, products_44 = np.zeros((num_simulations, 4)), np.zeros((num_simulations, 4, 4))
    found = []
    for new in np.diff(units_T, prepend=0):
        values = draw(rng, (num_simulations, int(new)), lift)
        sums_4 = sums_4 + values.sum(axis=1, dtype=np.float64)
        products_44 = products_44 + np.einsum("rni,rnj->rij", values, values, dtype=np.float64, optimize=True)
        found.append((sums_4, products_44))
    units = np.broadcast_to(units_T.astype(np.float64), (num_simulations, len(units_T)))
    return moments_of(units, *(np.stack(each, axis=1) for each in zip(*found, strict=True)))


def returning(
    metric: str,
    rng: np.random.Generator,
    *,
    num_simulations: int,
    num_units: int,
    num_looks: int,
    alike: bool = False,
    at_once: bool = False,
    lift: float = 0.0,
) -> Moments:
    """One variant whose users come back, one look a day: what they did so far grows; float64 [R, T, …].

    Each day every user who has arrived comes with a probability of their own, sees one answer and clicks it with a probability of their
    own.

    Args:
        metric: `clicks` (per user), `click-through` (per answer), `clicked` (whether ever).
        rng: of everything.
        num_simulations: R.
        num_units: N, all of whom have arrived at the last look.
        num_looks: T.
        alike: users have the same probabilities: the least that a user's later days go along with the earlier ones.
        at_once: all arrive on the first day; else each on a random one.
        lift: of the clicks' probability.
    """
    shape = (num_simulations, num_units)
    if alike:
        comes, clicks = np.full(shape, 0.25, dtype=np.float32), np.full(shape, 0.04, dtype=np.float32)
    else:
        comes = rng.beta(0.8, 2.4, shape).astype(np.float32)
        clicks = comes * rng.beta(1.0, 5.0, shape).astype(np.float32)
    clicks *= np.float32(1.0 + lift)
    arrives = np.zeros(shape, dtype=np.int8) if at_once else rng.integers(0, num_looks, shape, dtype=np.int8)
    shown, clicked = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    found = []
    for look in range(num_looks):
        here = (arrives <= look).astype(np.float32)
        chance = rng.random(shape, dtype=np.float32)
        shown += here * (chance < comes)
        clicked += here * (chance < clicks)
        numerator = np.minimum(clicked, 1.0) if metric == "clicked" else clicked
        denominator = shown if metric == "click-through" else here
        found.append(_sums(here, numerator, denominator))
    return moments_of(*(np.stack(each, axis=1) for each in zip(*found, strict=True)))


def _sums(here: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> tuple[np.ndarray, ...]:
    """Units, sums and sums of products over the units that are here, of whom no time before is known."""
    columns_4 = {0: numerator, 1: denominator, 3: here}
    sums_4, products_44 = np.zeros((len(here), 4)), np.zeros((len(here), 4, 4))
    for left, first in columns_4.items():
        sums_4[:, left] = first.sum(axis=1, dtype=np.float64)
        for right, second in columns_4.items():
            if right >= left:
                products_44[:, left, right] = products_44[:, right, left] = np.einsum("rn,rn->r", first, second)
    return sums_4[:, 3], sums_4, products_44


def moments_of(units: np.ndarray, sums_4: np.ndarray, products_44: np.ndarray) -> Moments:
    """From sums over units, float64 [R, T], [R, T, 4] and [R, T, 4, 4]."""
    with np.errstate(all="ignore"):
        mean_4 = sums_4 / units[..., None]
        cov_44 = (products_44 - sums_4[..., :, None] * mean_4[..., None, :]) / (units[..., None, None] - 1.0)
    return Moments(units, mean_4, cov_44)
