"""Nights that begin with the weights of the night before, beside nights that begin with nothing: MovieLens 100K in the order of its times.

`python -m tests.bench.warm_start [--choose] [--seeds 3] [--ranker vae]`: what `irgan retrain` trains on nights that bring a twentieth of all events each; the
next tenth is what they are judged on. `--choose` tries lengths of warm starts on earlier nights, whose tests end before the first night that is reported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.bench.trained import say, table
from training.config import config_of
from training.data import Split, load_dataset
from training.evaluation import evaluate
from training.jobs.retrain.judge import without_newcomers
from training.loop import Run
from training.registry import ranker as registered
from training.warm import WarmStart, Weights

SEEDS = 3
NIGHTS = (0.75, 0.80, 0.85)
CHOOSING_NIGHTS = (0.50, 0.55, 0.60)
"""Shares of all events that a night has; the first one begins with nothing in any case."""
TEST = 0.10
TRIED = (5, 10, 20)
"""Epochs of a warm start, of 45 or 50 from nothing."""


@dataclass(frozen=True)
class Case:
    """A ranker, small, so that many nights can be had."""

    shown: str
    ranker: str
    settings: dict[str, Any]
    lengths: tuple[str, ...]
    warm: dict[str, Any]
    num_epochs: int
    figures: tuple[str, ...]

    def warm_settings(self, num_epochs: int) -> dict[str, Any]:
        """As in `warm_start`."""
        return {"validation_fraction": 0.0, **self.warm, **dict.fromkeys(self.lengths, num_epochs)}


CASES = (
    Case(
        "CF-NADE, user-based, 1 member",
        "cf-nade",
        {"form": "user", "num_members": 1, "exposure_members": 1, "item_weight": 0.0},
        ("num_epochs", "exposure_epochs"),
        {},
        20,
        ("nDCG@10", "RMSE"),
    ),
    Case(
        "VAE, 2 members",
        "vae",
        {"num_members": 2, "validation_members": 1},
        ("num_epochs",),
        {"kl_annealing": 0.0},
        20,
        ("nDCG@10",),
    ),
)


@dataclass(frozen=True)
class Night:
    """What a training came to."""

    epochs: float
    seconds: float
    users: int
    figures: dict[str, float]


def splits(shares: Sequence[float]) -> Iterator[tuple[float, Split]]:
    """Night after night: the first events, and the next ones of users who are among them."""
    dataset = load_dataset("movielens-100k")
    data = dataset.interactions
    assert data.times is not None
    order = np.argsort(data.times, kind="stable")
    for share in shares:
        ends = [round(part * len(data)) for part in (share, share + TEST)]
        parts = [data.where(np.sort(order[start:end])) for start, end in ((0, ends[0]), ends)]
        yield share, without_newcomers(Split(dataset.name, "time", {}, *parts, dataset.item_table))


def nights(case: Case, shares: Sequence[float], seed: int, starts: Sequence[int | None]) -> dict[int | None, list[Night]]:
    """All nights but the first, for each of several starts: a number of epochs that go on, or None for nothing; the first night is the same for all."""
    first, *others = splits(shares)
    _, before = _train(case, first, seed, None, None)
    told: dict[int | None, list[Night]] = {}
    for start in starts:
        weights = before
        for other in others:
            night, weights = _train(case, other, seed, start, weights)
            told.setdefault(start, []).append(night)
    return told


def _train(
    case: Case, night: tuple[float, Split], seed: int, num_epochs: int | None, weights: Weights | None
) -> tuple[Night, Weights]:
    share, split = night
    spec = registered(case.ranker)
    settings = case.settings if num_epochs is None else case.settings | case.warm_settings(num_epochs)
    start = WarmStart(split.train, None if num_epochs is None else weights)
    run = Run(seed=seed, warm_start=start)
    began = time.process_time()
    trained = spec.recipe()(split.train, config_of(spec.config(), settings), run)
    seconds = time.process_time() - began
    means = evaluate(trained.model, split, "standard").means
    epochs = [len(points) for name, points in run.curves.items() if name.endswith(("/cost", "/log_likelihood"))]
    users = len(np.unique(split.test.positives().user_rows))
    told = Night(sum(epochs), seconds, users, {name: means[name] for name in case.figures})
    say(f"{case.shown}, seed {seed}, {share:.0%}, {_shown(num_epochs)}: {told}")
    return told, start.left


def _shown(num_epochs: int | None) -> str:
    return "from nothing" if num_epochs is None else f"warm, {num_epochs} epochs"


def choose(seeds: int, cases: Sequence[Case] = CASES) -> str:
    """Means over the earlier nights for each length of a warm start; nDCG@10 chooses."""
    rows = []
    for case in cases:
        by_seed = [nights(case, CHOOSING_NIGHTS, seed, TRIED) for seed in range(seeds)]
        for length in TRIED:
            found = [night for told in by_seed for night in told[length]]
            means = [f"{np.mean([night.figures[name] for night in found]):.4f}" for name in case.figures]
            rows.append([case.shown, _shown(length), ", ".join(means)])
    return "\n".join(table(["ranker", "start", "nDCG@10 (, RMSE)"], rows))


def warm(seeds: int = SEEDS, cases: Sequence[Case] = CASES) -> str:
    """The table for the docs."""
    rows = []
    for case in cases:
        starts = (None, case.num_epochs)
        by_seed = [nights(case, NIGHTS, seed, starts) for seed in range(seeds)]
        for start in starts:
            for number, share in enumerate(NIGHTS[1:]):
                rows.append(
                    [case.shown, _shown(start), f"{share:.0%}", *_cells(case, [told[start][number] for told in by_seed])]
                )
            rows.append([case.shown, _shown(start), "all", *_cells(case, [_mean(told[start]) for told in by_seed])])
    head = ["ranker", "start", "events", "users", "nDCG@10", "RMSE", "epochs", "CPU s a night"]
    return "\n".join(
        [
            f"Means and standard deviations over {seeds} seeds; a night brings a twentieth of the events, and is judged on the next tenth. Epochs are those of "
            "the phase that chooses and of the one that learns from everything, together. Lengths of warm starts were chosen on earlier nights "
            "(`--choose`).",
            "",
            *table(head, rows),
        ]
    )


def _mean(told: list[Night]) -> Night:
    figures = {name: float(np.mean([night.figures[name] for night in told])) for name in told[0].figures}
    users = sum(night.users for night in told)
    return Night(
        float(np.mean([night.epochs for night in told])), float(np.mean([night.seconds for night in told])), users, figures
    )


def _cells(case: Case, found: list[Night]) -> list[str]:
    def shown(values: list[float]) -> str:
        spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        return f"{np.mean(values):.4f}{spread}"

    figures = [shown([night.figures[name] for night in found]) if name in case.figures else "" for name in ("nDCG@10", "RMSE")]
    epochs, seconds = (np.mean([getattr(night, name) for night in found]) for name in ("epochs", "seconds"))
    return [str(found[0].users), *figures, f"{epochs:.0f}", f"{seconds:.1f}"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--choose", action="store_true", help="try lengths of warm starts on earlier nights")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--ranker", choices=[case.ranker for case in CASES], help="one alone")
    options = parser.parse_args()
    cases = [case for case in CASES if options.ranker in {None, case.ranker}]
    print((choose if options.choose else warm)(options.seeds, cases))


if __name__ == "__main__":
    main()
