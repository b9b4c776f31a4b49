"""Rerunning a grid of variants over seeds, and the tables that come of it.

Shapes: U users, S seeds.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import write_file
from training.config import RankerConfig
from training.data import Split
from training.evaluation import compare_rankers, evaluate
from training.jobs.ablations import Group, Variant
from training.jobs.run_folder import make_folder
from training.loop import Run
from training.registry import RankerSpec

METRICS = ("nDCG@10", "AP")
_CURVES = {
    "positives_among_picks": "positives among picks",
    "entropy": "entropy, nats",
    "mean_reward": "mean reward",
    "policy_gradient_variance": "gradient variance",
    "pick_popularity": "popularity of picks",
}


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One training.

    Attributes:
        validation: the best value on validation data; NaN where the ranker tells none.
        per_user: model → metric → value of each user on the test part, float64 [U].
        picks: what the generator picked at the end.
        seconds: of the training.
    """

    validation: float
    per_user: dict[str, dict[str, np.ndarray]]
    picks: dict[str, float]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A variant over all seeds, after its sweep.

    Attributes:
        variant: what was run.
        chosen: the settings that the sweep ended with.
        results: one a seed.
    """

    variant: Variant
    chosen: dict[str, Any]
    results: list[Result]

    def seed_means(self, metric: str) -> np.ndarray:
        """Mean over users for each seed, float64 [S]."""
        return np.array([result.per_user[self.variant.model][metric].mean() for result in self.results])

    def user_means(self, metric: str) -> np.ndarray:
        """Mean over seeds for each user, float64 [U]."""
        means_U: np.ndarray = np.mean([result.per_user[self.variant.model][metric] for result in self.results], axis=0)
        return means_U


def run_ablation(
    spec: RankerSpec,
    split: Split,
    groups: Iterable[Group],
    *,
    seeds: Iterable[int],
    folder: Path,
    run: Callable[[int], Run],
    announce: Callable[[str], None] = lambda _: None,
) -> list[tuple[Group, list[Row]]]:
    """Train every variant with every seed; what `folder` holds already is not run again.

    Args:
        spec: which ranker.
        split: data; results are on its test part, protocol `paper`.
        groups: the grid.
        seeds: of every variant.
        folder: keeps each result, so that an interrupted ablation goes on.
        run: a fresh run for a seed.
        announce: told of every result.

    Raises:
        InputError: `folder` cannot be a folder; nothing was trained.
    """
    make_folder(folder)
    seeds = list(seeds)

    def result(settings: dict[str, Any], seed: int) -> Result:
        config = spec.config().model_validate(settings)
        return _result(spec, split, config, seed=seed, folder=folder, run=run)

    tables = []
    for group in groups:
        rows = []
        for variant in group.variants:
            tried = []
            for values in itertools.product(*variant.sweep.values()):
                chosen = dict(zip(variant.sweep, values, strict=True))
                results = [result(variant.settings | chosen, seed) for seed in seeds]
                tried.append(Row(variant, chosen, results))
            row = max(tried, key=lambda row: float(np.mean([r.validation for r in row.results])))
            rows.append(row)
            announce(f"{variant.name}: nDCG@10 {row.seed_means('nDCG@10').mean():.4f}, AP {row.seed_means('AP').mean():.4f}")
        tables.append((group, rows))
    return tables


def _result(
    spec: RankerSpec, split: Split, config: RankerConfig, *, seed: int, folder: Path, run: Callable[[int], Run]
) -> Result:
    identity = json.dumps([spec.name, config.model_dump(mode="json"), split.train.fingerprint(), seed], sort_keys=True)
    file = folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.npz"
    if file.is_file():
        with np.load(file, allow_pickle=False) as stored:
            told = json.loads(str(stored["told"]))
            models = told.pop("models")
            return Result(per_user={model: {m: stored[f"{model}:{m}"] for m in METRICS} for model in models}, **told)
    this_run = run(seed)
    trained = spec.recipe()(split.train, config, this_run)
    models = {"": trained.model, **trained.variants}
    evaluated = {name: evaluate(model, split, "paper").per_user for name, model in models.items()}
    per_user = {name: {metric: values[metric] for metric in METRICS} for name, values in evaluated.items()}
    told = {
        "validation": _validation(trained.summary),
        "picks": _last_points(this_run),
        "seconds": this_run.seconds,
    }
    arrays = {f"{name}:{metric}": values[metric] for name, values in per_user.items() for metric in METRICS}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, told=np.array(json.dumps(told | {"models": list(models)})), **arrays)
    write_file(file, buffer.getvalue())
    return Result(per_user=per_user, **told)


def _validation(summary: Any) -> float:
    """The value that selection went by, of the last phase that had one."""
    for key in ("game_validation", "validation", "pretraining_validation"):
        if key in summary:
            return float(summary[key]["best"]["value"])
    return float("nan")


def _last_points(run: Run) -> dict[str, float]:
    """Where the curves of the generator's picks ended in the last phase that logged them."""
    return {
        key: points[-1][1]
        for key in _CURVES
        for name, points in run.curves.items()
        if name.endswith(f"/{key}") and "validation" not in name and points
    }


def markdown(tables: list[tuple[Group, list[Row]]]) -> str:
    """The tables as Markdown: mean ± sd over seeds, and the paired difference from each group's first row with its interval."""
    lines: list[str] = []
    for group, rows in tables:
        values = {row.variant.name: {metric: row.user_means(metric) for metric in METRICS} for row in rows}
        reference = rows[0].variant.name
        compared = compare_rankers(values, METRICS, baseline=reference) if len(rows) > 1 else []
        differences = {(c.ranker, c.metric): c for c in compared}
        lines += [f"**{group.question}**", ""]
        lines += ["| variant | nDCG@10 | difference | AP | difference | seconds |", "|---|---|---|---|---|---|"]
        for row in rows:
            cells = [row.variant.name + _settings(row.chosen)]
            for metric in METRICS:
                means_S = row.seed_means(metric)
                deviation = means_S.std(ddof=1) if len(means_S) > 1 else 0.0
                cells.append(f"{means_S.mean():.4f} ± {deviation:.4f}")
                found = differences.get((row.variant.name, metric))
                cells.append(
                    f"{found.difference:+.4f} [{found.interval.low:+.4f}, {found.interval.high:+.4f}]" if found else "—"
                )
            cells.append(f"{np.mean([result.seconds for result in row.results]):.0f}")
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *_picks(rows)]
    return "\n".join(lines)


def _picks(rows: list[Row]) -> list[str]:
    known = [key for key in _CURVES if any(key in row.results[0].picks for row in rows)]
    if not known:
        return []
    lines = [
        "What the generator picks at the end (—: no judge, or validation chose not to play a round):",
        "",
        f"| variant | {' | '.join(_CURVES[key] for key in known)} |",
    ]
    lines.append("|---" * (len(known) + 1) + "|")
    for row in rows:
        means = [np.mean([result.picks.get(key, np.nan) for result in row.results]) for key in known]
        lines.append(f"| {row.variant.name} | {' | '.join('—' if np.isnan(m) else f'{m:.3g}' for m in means)} |")
    return [*lines, ""]


def _settings(chosen: dict[str, Any]) -> str:
    return "" if not chosen else " (" + ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in chosen.items()) + ")"
