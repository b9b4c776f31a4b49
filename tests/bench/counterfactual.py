"""Counterfactual estimates beside the truth: on Open Bandit, and on logs drawn from real data whose truth is known exactly.

    python -m tests.bench.counterfactual [--json] [--logs 500] [--seed 7]

Shapes: N rows, A actions, P positions, L logs, E estimators.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from app.bundle import Vocabulary
from tests.bench.trained import say, table
from training.data import LoggedActions, load_logged, load_shown
from training.evaluation.counterfactual import ESTIMATORS, LoggedStudy, TargetPolicy, shown_policy, study_logged
from training.evaluation.counterfactual.intervals import Influence
from training.evaluation.counterfactual.rewards import ModelName

SEED = 7
NUM_LOGS = 500
_ROWS = 10_000
_DIGIT_ROWS = 2_000

Draw = Callable[[np.random.Generator], tuple[LoggedActions, TargetPolicy]]


@dataclass(frozen=True)
class Setting:
    """Where logs are drawn from.

    Attributes:
        told: in words.
        truth: the target's value in it.
        draw: a log, and the target for its rows.
    """

    told: str
    truth: float
    draw: Draw


def open_bandit(log: str = "open-bandit/random", target: str = "open-bandit/bts", model: ModelName = "linear") -> LoggedStudy:
    """One of the two policies evaluated on the other one's log."""
    shown = load_shown(target)
    policy, read = shown_policy(shown, load_logged(log))
    return study_logged(read, policy, shown=shown, model=model)


def clicks(num_rows: int = _ROWS) -> Setting:
    """Logs like the random policy's: its rows drawn anew, clicks by rates that both logs together suggest.

    The rate of an action at a position is that of all 20,000 rows, drawn half-way to the mean: (clicks + 125 · mean) / (rows + 125).
    The target is Thompson sampling's frequencies, whose value under these rates is exact.
    """
    random, shown = load_logged("open-bandit/random"), load_shown("open-bandit/bts")
    target, random = shown_policy(shown, random)
    num_actions = len(random.actions)
    rows_A = np.bincount(random.action_rows_N, minlength=num_actions) + np.bincount(shown.action_rows_N, minlength=num_actions)
    assert shown.rewards_N is not None
    clicks_A = np.bincount(random.action_rows_N, random.rewards_N, num_actions) + np.bincount(
        shown.action_rows_N, shown.rewards_N, num_actions
    )
    rates_A = (clicks_A + 125 * clicks_A.sum() / rows_A.sum()) / (rows_A + 125)
    groups_P = np.bincount(target.groups_N) / len(random)
    truth = float(groups_P @ target.probs_GA @ rates_A)

    def draw(rng: np.random.Generator) -> tuple[LoggedActions, TargetPolicy]:
        rows = rng.integers(0, len(random), num_rows)
        actions_N = rng.integers(0, num_actions, num_rows)
        log = replace(
            random,
            action_rows_N=actions_N,
            positions_N=random.positions_N[rows],
            rewards_N=(rng.random(num_rows) < rates_A[actions_N]).astype(np.float64),
            propensities_N=np.full(num_rows, 1 / num_actions),
            clusters_N=np.arange(num_rows),
            cluster=None,
            times_N=None,
            context={name: values[rows] for name, values in random.context.items()},
            keys={},
        )
        return log, replace(target, groups_N=target.groups_N[rows])

    return Setting(f"Open Bandit redrawn, {num_rows:,} rows", truth, draw)


def digits(num_rows: int = _DIGIT_ROWS) -> Setting:
    """Classification as a bandit: which of ten digits an image shows; a right guess earns 1 (scikit-learn's 1,797 images).

    One classifier learns from 100 images and, softened with chance, chooses what is logged; the target is a better one that learned
    from another quarter of the images, softened with a twentieth of chance. Logs are drawn from the other half, over which the
    target's value is exact. Eight principal components are the context.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only here
    from sklearn.decomposition import PCA  # noqa: PLC0415 - only here
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - only here

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = PCA(8, random_state=0).fit_transform(images[order]), labels[order]
    quarter = len(labels) // 4
    weak = LogisticRegression(C=0.001, max_iter=1_000).fit(images[:100], labels[:100])
    better = LogisticRegression(max_iter=1_000).fit(images[quarter : 2 * quarter], labels[quarter : 2 * quarter])
    images, labels = images[2 * quarter :], labels[2 * quarter :]
    logging = 0.7 * weak.predict_proba(images) + 0.03
    target = 0.95 * np.eye(10)[better.predict(images)] + 0.005
    truth = float(target[np.arange(len(labels)), labels].mean())

    def draw(rng: np.random.Generator) -> tuple[LoggedActions, TargetPolicy]:
        rows = rng.integers(0, len(labels), num_rows)
        actions_N = (rng.random(num_rows)[:, None] > logging[rows].cumsum(axis=1)).sum(axis=1).clip(max=9)
        log = LoggedActions(
            name="digits",
            actions=Vocabulary("item", map(str, range(10))),
            action_rows_N=actions_N,
            positions_N=np.ones(num_rows, dtype=np.int64),
            rewards_N=(actions_N == labels[rows]).astype(np.float64),
            propensities_N=logging[rows, actions_N],
            clusters_N=np.arange(num_rows),
            context={str(dim): values for dim, values in enumerate(images[rows].T)},
        )
        return log, TargetPolicy(name="better", probs_GA=target, groups_N=rows)

    return Setting(f"digits as a bandit, {num_rows:,} rows", truth, draw)


def calibrate(setting: Setting, *, num_logs: int, seed: int, model: ModelName = "linear") -> dict[str, Any]:
    """Bias, error, coverage and width of every estimator over many logs."""
    found: list[list[Influence]] = []
    effective_rows = []
    for number in range(num_logs):
        log, target = setting.draw(np.random.default_rng([seed, number]))
        study = study_logged(log, target, model=model, seed=number)
        found.append([study.estimates[name] for name in ESTIMATORS])
        effective_rows.append(study.weights.effective_rows)
    values_LE = np.array([[estimate.value for estimate in row] for row in found])
    errors_LE = np.array([[estimate.standard_error for estimate in row] for row in found])
    ends_LE2 = np.array([[(estimate.interval.low, estimate.interval.high) for estimate in row] for row in found])
    too_low_LE, too_high_LE = ends_LE2[..., 1] < setting.truth, ends_LE2[..., 0] > setting.truth
    return {
        "setting": setting.told,
        "truth": setting.truth,
        "logs": num_logs,
        "seed": seed,
        "reward_model": model,
        "effective_rows": float(np.mean(effective_rows)),
        "estimators": {
            name: {
                "bias": float(values_LE[:, e].mean() - setting.truth),
                "deviation": float(values_LE[:, e].std(ddof=1)),
                "standard_error": float(np.sqrt((errors_LE[:, e] ** 2).mean())),
                "rmse": float(np.sqrt(((values_LE[:, e] - setting.truth) ** 2).mean())),
                "coverage": float(1 - (too_low_LE | too_high_LE)[:, e].mean()),
                "too_low": float(too_low_LE[:, e].mean()),
                "too_high": float(too_high_LE[:, e].mean()),
                "width": float(np.ptp(ends_LE2[:, e], axis=1).mean()),
            }
            for e, name in enumerate(ESTIMATORS)
        },
    }


def _study_lines(study: LoggedStudy) -> list[str]:
    rows = [["logging policy", *_cells(study.logging), ""]]
    for name, words in ESTIMATORS.items():
        difference = study.difference(name)
        rows.append([words, *_cells(study.estimates[name]), " ".join(_cells(difference))])
    assert study.truth is not None
    rows.append(["truth", *_cells(study.truth), ""])
    weights = study.weights
    told = (
        f"{study.target} from the log of {study.log}, {study.num_rows:,} rows, reward model {study.model}, seed {study.seed}: effective "
        f"sample {weights.effective_rows:,.0f}, effective rewards {weights.effective_rewards:.1f}, mean weight {weights.mean:.3f} ± "
        f"{weights.mean_error:.3f}, largest {weights.largest:.1f}, switch at {study.threshold:.2f}"
    )
    table_lines = table(["", "value", "95% interval", "− logging policy"], rows)
    return [told, "", *table_lines, "", *(f"- {warning}" for warning in study.warnings), ""]


def _cells(found: Influence) -> tuple[str, str]:
    return f"{found.value:.5f}", f"[{found.interval.low:.5f}, {found.interval.high:.5f}]"


def _calibration_lines(found: dict[str, Any]) -> list[str]:
    told = (
        f"{found['setting']}: {found['logs']} logs, seed {found['seed']}, truth {found['truth']:.5f}, effective sample "
        f"{found['effective_rows']:,.0f}, {found['seconds']:.0f} s"
    )
    names = ("bias", "deviation", "standard_error", "rmse", "width")
    rows = [
        [
            ESTIMATORS[name],
            *(f"{own[key]:.5f}" for key in names),
            *(f"{own[key]:.1%}" for key in ("coverage", "too_low", "too_high")),
        ]
        for name, own in found["estimators"].items()
    ]
    return [told, "", *table(["", *names, "coverage", "too low", "too high"], rows), ""]


def page(*, num_logs: int = NUM_LOGS, seed: int = SEED) -> str:
    """All tables, as Markdown."""
    studies, calibrations = measure(num_logs=num_logs, seed=seed)
    lines = [line for study in studies for line in _study_lines(study)]
    return "\n".join([*lines, *(line for found in calibrations for line in _calibration_lines(found))]).rstrip("\n")


def measure(*, num_logs: int = NUM_LOGS, seed: int = SEED) -> tuple[list[LoggedStudy], list[dict[str, Any]]]:
    """The studies of Open Bandit, and the calibrations."""
    studies = [
        open_bandit(),
        open_bandit(model="trees"),
        open_bandit("open-bandit/bts", "open-bandit/random"),
    ]
    calibrations = []
    for setting in (clicks(), clicks(2_500), digits()):
        say(setting.told)
        started = time.process_time()
        calibrations.append(calibrate(setting, num_logs=num_logs, seed=seed))
        calibrations[-1]["seconds"] = time.process_time() - started
    return studies, calibrations


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--logs", type=int, default=NUM_LOGS)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if options.json:
        studies, calibrations = measure(num_logs=options.logs, seed=options.seed)
        print(json.dumps({"open_bandit": [study.as_json() for study in studies], "calibration": calibrations}))
    else:
        print(page(num_logs=options.logs, seed=options.seed))


if __name__ == "__main__":
    main()
