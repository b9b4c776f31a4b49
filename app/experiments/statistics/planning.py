"""How many units an experiment needs, how long that takes, and what it costs to look at it daily.

Shapes: V variants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import Mean

from app.errors import ServiceError
from app.experiments.statistics.crossing import LOOKS, cost_of_looking
from app.experiments.statistics.families import simultaneous_level
from app.experiments.statistics.moments import history
from app.experiments.statistics.samples import Sample

_MOST_LOOKS = 120


class PlanInvalid(ServiceError):
    """No experiment can be planned with these numbers."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an experiment takes.

    Attributes:
        baseline: the metric's value in the control.
        deviation: standard deviation of what units have.
        minimum_effect: the smallest difference worth knowing of, as a part of the baseline.
        absolute_effect: the same in the metric's own unit.
        level: of the intervals; over all comparisons together.
        power: the chance to find the minimum effect if it is there.
        variants: how many, with the control.
        correlation: of what units have with what they had before.
        units: of all variants together, looked at once at the end.
        units_by_variant: the same, the control first.
        always_valid_units: of all variants together at most, looked at `looks` times and stopped when it is clear.
        typical_units: at which half of the experiments with just the minimum effect stop, when looked at `looks` times.
        looks: how many, evenly spread.
        days, always_valid_days: how long that takes with the units a day that there are; None where that is not known.
    """

    baseline: float
    deviation: float
    minimum_effect: float
    absolute_effect: float
    level: float
    power: float
    variants: int
    correlation: float
    units: int
    units_by_variant: tuple[int, ...]
    always_valid_units: int
    typical_units: int
    looks: int
    days: float | None
    always_valid_days: float | None

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return asdict(self) | {"units_by_variant": list(self.units_by_variant)}


def plan(
    *,
    baseline: float,
    minimum_effect: float,
    deviation: float | None = None,
    level: float = 0.95,
    power: float = 0.8,
    weights: Sequence[float] = (1.0, 1.0),
    correlation: float = 0.0,
    units_a_day: float | None = None,
    traffic: float = 1.0,
    looks: int = LOOKS,
) -> Plan:
    """How many units it takes to find a difference of a given size, by tea-tasting's power analysis.

    The treatment is taken to spread as an effect makes it: shares of units as their share says, other metrics in proportion to the
    mean, which is the least that leaves the power as planned when the effect multiplies what units have.

    Args:
        baseline: the metric's value in the control, over 0.
        minimum_effect: the smallest difference worth knowing of, as a part of the baseline.
        deviation: standard deviation of what units have; of a quotient that of the linearised values (n − R d) / mean(d), see
            `from_history`. None for a share of units (conversion), where it follows from the baseline.
        level: of the intervals, over all comparisons with the control together (Bonferroni).
        power: the chance to find each variant's difference if it is as large as the minimum effect.
        weights: of the variants, the control first.
        correlation: of what units have with what they had before, which CUPED makes use of.
        units_a_day: new ones, of whom `traffic` takes part.
        traffic: the part of the units that takes part.
        looks: how often somebody looks, evenly spread, where the plan is for always-valid intervals.

    Raises:
        PlanInvalid: a number breaks its range; the message names all that do.
    """
    _check(
        baseline=baseline,
        minimum_effect=minimum_effect,
        deviation=deviation,
        level=level,
        power=power,
        weights=weights,
        correlation=correlation,
        units_a_day=units_a_day,
        traffic=traffic,
        looks=looks,
    )
    raised = baseline * (1.0 + minimum_effect)
    if deviation is None:
        spread, raised_spread = (math.sqrt(share * (1.0 - share)) for share in (baseline, raised))
    else:
        spread, raised_spread = deviation, deviation * (1.0 + minimum_effect)
    each_level = simultaneous_level(level, len(weights) - 1)
    shares = [weight / math.fsum(weights) for weight in weights]
    needed = [
        pair_units(
            baseline=baseline,
            minimum_effect=minimum_effect,
            deviations=(spread, raised_spread),
            level=each_level,
            power=power,
            ratio=share / shares[0],
            correlation=correlation,
        )
        / (shares[0] + share)
        for share in shares[1:]
    ]
    # At least two of each, or nothing is known of how they differ.
    total = max(*needed, *(2.0 / share for share in shares))
    cost = cost_of_looking(each_level, power, looks)
    a_day = None if units_a_day is None else units_a_day * traffic
    return Plan(
        baseline=baseline,
        deviation=spread,
        minimum_effect=minimum_effect,
        absolute_effect=baseline * minimum_effect,
        level=level,
        power=power,
        variants=len(weights),
        correlation=correlation,
        units=sum(by_variant := tuple(math.ceil(total * share) for share in shares)),
        units_by_variant=by_variant,
        always_valid_units=math.ceil(total * cost.units),
        typical_units=math.ceil(total * cost.typical),
        looks=looks,
        days=None if a_day is None else total / a_day,
        always_valid_days=None if a_day is None else total * cost.units / a_day,
    )


def pair_units(
    *,
    baseline: float,
    minimum_effect: float,
    deviations: tuple[float, float],
    level: float,
    power: float,
    ratio: float,
    correlation: float,
) -> float:
    """Units of control and treatment together, of whom the treatment has `ratio` for each of the control."""
    metric = Mean(
        "value",
        "before",
        alternative="two-sided",
        equal_var=False,
        use_t=False,
        alpha=1.0 - level,
        power=power,
        ratio=ratio,
        rel_effect_size=minimum_effect,
    )
    # tea-tasting plans with one variance; this one gives the difference of means the error that the two variances give it.
    variance = (ratio * deviations[0] ** 2 + deviations[1] ** 2) / (ratio + 1.0)
    known = Aggregates(
        count_=2,  # only asked for where units are given
        mean_={"value": baseline, "before": 0.0},
        var_={"value": variance, "before": 1.0},
        cov_={("before", "value"): correlation * math.sqrt(variance)},
    )
    try:
        (result,) = metric.solve_power_from_aggregates(known, "n_obs")
    except ValueError:  # fewer units than the three at which it begins to look
        return 3.0
    return float(result.n_obs)


def from_history(sample: Sample) -> tuple[float, float, float]:
    """What a plan takes from units of the past: baseline, deviation, and the correlation with the time before them (0 if unknown)."""
    value, deviation, correlation = history(sample.moments)
    return value, deviation, correlation


def _check(
    *,
    baseline: float,
    minimum_effect: float,
    deviation: float | None,
    level: float,
    power: float,
    weights: Sequence[float],
    correlation: float,
    units_a_day: float | None,
    traffic: float,
    looks: int,
) -> None:
    """Everything that is wrong at once."""
    conditions = [
        (0.0 < baseline < math.inf, f"the baseline is {baseline:g}; expected a number over 0, to which effects are relative"),
        (
            deviation is not None or baseline < 1.0,
            f"a baseline of {baseline:g} is no share of units; give the standard deviation of what units have (--sd)",
        ),
        (
            0.0 < minimum_effect < math.inf,
            f"the minimum effect is {minimum_effect:g}; expected a part of the baseline over 0, such as 0.02",
        ),
        (
            deviation is not None or not baseline < 1.0 < baseline * (1.0 + minimum_effect) < math.inf,
            f"a share of units of {baseline:g} cannot grow by {100.0 * minimum_effect:g}% of it; give a smaller minimum effect, or what units "
            "have by its standard deviation (--sd)",
        ),
        (deviation is None or 0.0 < deviation < math.inf, f"the standard deviation is {deviation}; expected a number over 0"),
        (0.5 <= level < 1.0, f"the level is {level:g}; expected 0.5 to below 1, such as 0.95"),
        (1.0 - level < power < 1.0, f"the power is {power:g}; expected a number between 1 − level and 1, such as 0.8"),
        (2 <= len(weights) <= 20, f"{len(weights)} variants; expected 2 to 20"),
        (all(0.0 < weight < math.inf for weight in weights), f"the weights are {list(weights)}; expected numbers over 0"),
        (-1.0 < correlation < 1.0, f"the correlation is {correlation:g}; expected a number between −1 and 1"),
        (units_a_day is None or 0.0 < units_a_day < math.inf, f"{units_a_day} units a day; expected a number over 0"),
        (0.0 < traffic <= 1.0, f"the traffic is {traffic:g}; expected a part of the units, over 0 and up to 1"),
        (1 <= looks <= _MOST_LOOKS, f"{looks} looks; expected 1 to {_MOST_LOOKS}"),
    ]
    wrong = [message for holds, message in conditions if not holds]
    if wrong:
        raise PlanInvalid("; ".join(wrong))
