"""Whether the statistics of experiments keep their word, on made-up users of whom the truth is known: `python -m tests.bench.inference`.

False positives under daily looks, coverage of intervals, power at the planned size, false alarms of the mismatch of sample ratios.
All experiments of a row are computed at once, by the lines that compute a single one; tests pin that the batched intervals equal those
of `difference` and `sequence`.

Shapes: R simulations, T looks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from scipy import stats

from app.experiments.statistics import Sample, betting_sequence, from_history, mismatches, plan
from app.experiments.statistics.moments import Contrast, Moments, contrast
from app.experiments.statistics.sequences import BURN_IN, best_scale, critical_value, elapsed
from tests.bench import populations

LEVEL = 0.95
SEED = 0
NUM_LOOKS = 30

Variant = Callable[[np.random.Generator, int, float], Moments]
"""One variant of R experiments, with a lift: [R, T, …]."""


@dataclass(frozen=True, slots=True)
class FalsePositives:
    """Shares of A/A experiments in which a difference was shown at one look at least."""

    users: str
    units: int
    simulations: int
    sequence: float
    daily: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of experiments whose intervals of the fixed horizon hold the truth."""

    users: str
    control: int
    treatment: int
    simulations: int
    absolute: float
    relative: float


@dataclass(frozen=True, slots=True)
class Power:
    """Shares of experiments with just the minimum effect that find it, at the planned sizes."""

    users: str
    units: int
    planned: float
    once: float
    always_valid_units: int
    daily: float
    typical_units: int
    median_units: int


def sequence_shows(found: Contrast, planned_units: float, *, level: float = LEVEL, burn_in: int = BURN_IN) -> np.ndarray:
    """Whether 0 lies outside the confidence sequence, bool [R, T]; `sequence` for many experiments at once."""
    found = found.cautious()
    units = found.control_units + found.treatment_units
    with np.errstate(all="ignore"):
        usable = (found.telling >= burn_in) & (found.variance() > 0)
        times = best_scale(1.0 - level) / planned_units * elapsed(units, found.spread, usable)
        reach = critical_value(times, level) * np.sqrt(found.variance())
    shown: np.ndarray = usable & (np.abs(found.treatment - found.control) > reach)
    return shown


def fixed_intervals(found: Contrast, *, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the absolute and of the relative intervals, float64 [2, …] each; `difference` for many experiments at once."""
    with np.errstate(all="ignore"):
        absolute, quotient = found.treatment - found.control, found.treatment / found.control
        half = _half(found.control_variance, found.treatment_variance, found, level)
        log_half = _half(found.control_variance / found.control**2, found.treatment_variance / found.treatment**2, found, level)
        relative = np.stack([quotient * np.exp(sign * log_half) - 1.0 for sign in (-1, 1)])
    return np.stack([absolute - half, absolute + half]), relative


def _half(first: np.ndarray, second: np.ndarray, found: Contrast, level: float) -> np.ndarray:
    """Half of Welch's interval."""
    freedom = (first + second) ** 2 / (first**2 / (found.control_units - 1) + second**2 / (found.treatment_units - 1))
    half: np.ndarray = stats.t.ppf((1.0 + level) / 2.0, freedom) * np.sqrt(first + second)
    return half


def false_positives(num_simulations: int = 2_000, *, seed: int = SEED) -> Iterator[FalsePositives]:
    """A/A experiments with a look a day for a month."""
    at_looks = partial(np.linspace, 1 / NUM_LOOKS, 1.0, NUM_LOOKS)
    for users, draw, units, share in (
        ("conversion, 10%", populations.binary(0.1), 2_000, 0.5),
        ("conversion, 1%", populations.binary(0.01), 4_000, 0.5),
        ("conversion, 3%, variants 9 to 1", populations.binary(0.03), 4_000, 0.1),
        ("revenue, skewed", populations.skewed, 4_000, 0.5),
        ("clicks per impression", populations.quotient, 2_000, 0.5),
        ("a mean with CUPED", populations.with_before, 2_000, 0.5),
        ("clicks per impression with CUPED", populations.quotient_with_before, 2_000, 0.5),
    ):
        variants = [
            partial(_settled, draw, units_T=np.maximum(np.round(size * units * at_looks()), 2).astype(int))
            for size in (1.0 - share, share)
        ]
        yield _looked_at(users, units, num_simulations, seed, variants)
    for users, options in (
        ("returning: clicks per user", {"metric": "clicks"}),
        ("returning: clicks per impression", {"metric": "click-through"}),
        ("returning: clicked at all", {"metric": "clicked"}),
        ("returning, all alike: clicks per user", {"metric": "clicks", "alike": True}),
        ("returning, all alike: clicks per impression", {"metric": "click-through", "alike": True}),
        ("returning, all from day 1: clicks per impression", {"metric": "click-through", "at_once": True}),
    ):
        yield _looked_at(users, 1_000, num_simulations, seed, [partial(_returning, options, 500)] * 2)


def _settled(
    draw: populations.Draw, rng: np.random.Generator, num_simulations: int, lift: float, *, units_T: np.ndarray
) -> Moments:
    return populations.settled(draw, rng, num_simulations=num_simulations, units_T=units_T, lift=lift)


def _returning(options: dict, num_units: int, rng: np.random.Generator, num_simulations: int, lift: float) -> Moments:
    return populations.returning(
        rng=rng, num_simulations=num_simulations, num_units=num_units, num_looks=NUM_LOOKS, lift=lift, **options
    )


def _looked_at(users: str, units: int, num_simulations: int, seed: int, variants: list[Variant]) -> FalsePositives:
    rng = np.random.default_rng([seed, 1])
    shown, naive = [], []
    for _, size in parts(num_simulations, 250):
        found = contrast(*(variant(rng, size, 0.0) for variant in variants))
        shown.append(sequence_shows(found, units).any(axis=1))
        low, high = fixed_intervals(found)[0]
        naive.append(((low > 0) | (high < 0)).any(axis=1))
    return FalsePositives(users, units, num_simulations, share_of(shown), share_of(naive))


def coverage(num_simulations: int = 10_000, *, small: bool = True, seed: int = SEED) -> Iterator[Coverage]:
    """Experiments with a true difference of 10%, looked at once; also where samples are small or have few events, if wanted."""
    kinds = (
        ("conversion, 10%", populations.binary(0.1)),
        ("revenue, skewed", populations.skewed),
        ("clicks per impression", populations.quotient),
        ("a mean with CUPED", populations.with_before),
        ("clicks per impression with CUPED", populations.quotient_with_before),
    )
    sizes = [(users, draw, units, units) for users, draw in kinds for units in ((1_000, 100, 30) if small else (1_000,))]
    if small:
        sizes += [
            ("conversion, 1%", populations.binary(0.01), 1_000, 1_000),
            ("conversion, 1%", populations.binary(0.01), 100, 100),
            ("conversion, 1%, variants 9 to 1", populations.binary(0.01), 9_000, 1_000),
            ("revenue, skewed, variants 9 to 1", populations.skewed, 9_000, 1_000),
        ]
    for users, draw, control, treatment in sizes:
        held = _covered(draw, (control, treatment), num_simulations, seed)
        yield Coverage(users, control, treatment, num_simulations, *held)


def _covered(draw: populations.Draw, sizes: tuple[int, int], num_simulations: int, seed: int) -> list[float]:
    rng = np.random.default_rng([seed, 2])
    batches = [
        [_settled(draw, rng, part, lift, units_T=np.array([units])) for units, lift in zip(sizes, (0.0, 0.1), strict=True)]
        for _, part in parts(num_simulations, max(1, 1_000_000 // sum(sizes)))
    ]
    sides = [_together([batch[side] for batch in batches]) for side in (0, 1)]
    # All experiments together know the truth a hundred times better than one of them does.
    truth = [float(side.mean_4[..., 0].mean() / side.mean_4[..., 1].mean()) for side in sides]
    absolute, relative = fixed_intervals(contrast(*sides))
    return [
        float(((ends[0] <= true) & (true <= ends[1])).mean())
        for ends, true in ((absolute, truth[1] - truth[0]), (relative, truth[1] / truth[0] - 1.0))
    ]


def _together(batches: list[Moments]) -> Moments:
    return Moments(*(np.concatenate([getattr(batch, name) for batch in batches]) for name in ("units", "mean_4", "cov_44")))


def power(num_simulations: int = 2_000, *, seed: int = SEED) -> Iterator[Power]:
    """Experiments with just the minimum effect, at the sizes that `plan` gives from units of the past."""
    for users, draw, effect, deviation_known in (
        ("conversion, 10%", populations.binary(0.1), 0.2, False),
        ("revenue, skewed", populations.skewed, 0.25, True),
        ("clicks per impression", populations.quotient, 0.1, True),
        ("a mean with CUPED", populations.with_before, 0.1, True),
        ("clicks per impression with CUPED", populations.quotient_with_before, 0.1, True),
    ):
        rng = np.random.default_rng([seed, 3])
        past_N4 = draw(rng, (200_000,), 0.0).astype(np.float64)
        baseline, deviation, correlation = from_history(
            Sample(
                numerator_N=past_N4[:, 0],
                denominator_N=past_N4[:, 1],
                before_numerator_N=past_N4[:, 2],
                before_denominator_N=past_N4[:, 3],
            )
        )
        planned = plan(
            baseline=baseline,
            minimum_effect=effect,
            deviation=deviation if deviation_known else None,
            correlation=correlation,
            looks=NUM_LOOKS,
        )
        once, daily, stops = [], [], []
        units_T = np.round(np.arange(1, NUM_LOOKS + 1) * planned.always_valid_units / (2 * NUM_LOOKS)).astype(int)
        for _, size in parts(num_simulations, 250):
            sides = [_settled(draw, rng, size, lift, units_T=np.array([planned.units // 2])) for lift in (0.0, effect)]
            low, high = fixed_intervals(contrast(*sides))[0]
            once.append(((low > 0) | (high < 0))[:, 0])
            looks = [_settled(draw, rng, size, lift, units_T=units_T) for lift in (0.0, effect)]
            shown = sequence_shows(contrast(*looks), planned.always_valid_units)
            daily.append(shown.any(axis=1))
            stops.append(np.where(shown.any(axis=1), 2 * units_T[np.argmax(shown, axis=1)], planned.always_valid_units))
        yield Power(
            users,
            planned.units,
            planned.power,
            share_of(once),
            planned.always_valid_units,
            share_of(daily),
            planned.typical_units,
            int(np.median(np.concatenate(stops))),
        )


def mismatch_alarms(share: float, num_simulations: int = 1_000, *, units: int = 10_000, seed: int = SEED) -> dict[str, float]:
    """How often a check of the sample ratio is red at one of 30 looks, where a variant that should get half of the units gets a share."""
    rng = np.random.default_rng([seed, 4])
    arrived_RT = np.cumsum(rng.binomial(units // NUM_LOOKS, share, (num_simulations, NUM_LOOKS)), axis=1)
    totals_T = units // NUM_LOOKS * np.arange(1, NUM_LOOKS + 1)
    alarms = []
    for arrived_T in arrived_RT:
        found = mismatches([((total - own, own), (1, 1)) for total, own in zip(totals_T, arrived_T, strict=True)])
        alarms.append((any(each.is_red for each in found), found[-1].always_valid_p_value < found[-1].threshold))
    red, always_valid = np.mean(alarms, axis=0)
    return {
        "share": share,
        "units": units,
        "simulations": num_simulations,
        "red": float(red),
        "always_valid": float(always_valid),
    }


def betting_misses(num_simulations: int = 500, *, rate: float = 0.05, units: int = 1_000, seed: int = SEED) -> float:
    """The share of betting sequences of a conversion rate that miss it at one of all looks."""
    rng = np.random.default_rng([seed, 5])
    missed = 0
    for _ in range(num_simulations):
        (last,) = betting_sequence((rng.random(units) < rate).astype(np.float64), [units], num_candidates=400)
        missed += rate not in last  # what was excluded once stays excluded
    return missed / num_simulations


def parts(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and size of pieces that fit into memory."""
    for start in range(0, total, size):
        yield start, min(size, total - start)


def share_of(shown: list[np.ndarray]) -> float:
    """Of the experiments of all pieces."""
    return float(np.concatenate(shown).mean())


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    figures = measure(arguments.seed)
    print(json.dumps(figures, indent=2) if arguments.json else as_tables(figures))


def measure(seed: int = SEED) -> dict:
    """All figures, JSON values only."""
    start = time.process_time()
    figures = {
        "false_positives": [asdict(row) for row in false_positives(seed=seed)],
        "coverage": [asdict(row) for row in coverage(seed=seed)],
        "power": [asdict(row) for row in power(seed=seed)],
        "mismatch": [mismatch_alarms(share, seed=seed) for share in (0.5, 0.52)],
        "betting_misses": betting_misses(seed=seed),
    }
    return figures | {"seed": seed, "cpu_seconds": round(time.process_time() - start, 1)}


_CAPTIONS = {
    "false_positives": (
        "A/A experiments in which a difference was shown at one of 30 daily looks: by the confidence sequence, and by the interval of the "
        "fixed horizon, which is made for one look."
    ),
    "coverage": "Intervals of the fixed horizon that hold a true difference of 10%, absolute and relative; the small ones show where that ends.",
    "power": (
        "Experiments with just the minimum effect that find it at the planned units: looking once, and looking daily with the sequence; "
        "half of the latter are planned to end by the typical units, and did by the median ones."
    ),
    "mismatch": "Experiments whose sample ratio was red at one of 30 looks, where a variant that should get half of the units gets a share.",
}


def as_tables(figures: dict) -> str:
    """In Markdown."""
    lines = []
    for name, caption in _CAPTIONS.items():
        rows = figures[name]
        lines += [caption, ""]
        lines += ["| " + " | ".join(key.replace("_", " ") for key in rows[0]) + " |", "|" + "---|" * len(rows[0])]
        lines += ["| " + " | ".join(_shown(value) for value in row.values()) + " |" for row in rows]
        lines.append("")
    lines.append(f"Betting sequences that miss at one of 1,000 looks: {_shown(figures['betting_misses'])}.")
    lines.append(f"Seed {figures['seed']}; {figures['cpu_seconds']} s of one core.")
    return "\n".join(lines)


def _shown(value: float | str) -> str:
    if isinstance(value, float):
        return f"{100 * value:.2f}%"
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    main()
