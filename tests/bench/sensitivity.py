"""How many answers interleaving needs to find the better of two rankers, and how many an A/B test needs on the same traffic.

`python -m tests.bench.sensitivity [--json]`. Rankers are trained on MovieLens 100K; people are its users, who click as a click model
says on what they rated in the held-out part. Everything is done anew for each seed: split, training, answers, clicks.

Shapes: U users, I items, J answers drawn for each user, K positions, N units, R simulated experiments.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from app.experiments.interleaving import METHODS, Method, interleave
from app.experiments.simulation import CLICK_MODELS, ClickModel, click_chances, clicked, differences, needed, rejections
from tests.bench.trained import say, table
from training.config import parse_config
from training.data import Split, load_dataset, make_split
from training.evaluation import Evaluation, evaluate
from training.loop import Run
from training.registry import ranker as registered

SEEDS = range(5)
PAIRS = (("popularity", "ease"), ("item-knn", "ease"), ("puresvd", "ease"))
"""Control and treatment: far apart, nearer, near."""
ANSWERS_A_UNIT = (1, 5, 20)
"""Whether people never come back, come back, or come often."""
_SHOWN = 5
"""Of these, what the table shows row by row."""
_K = 10
_MIXES = 20
"""Answers that each method mixes for each user,"""
_VISITS = 10
"""and how often clicks are drawn on each; a ranker's own answers are visited as often as all of them twice."""
_COLUMNS = ("ab", "ab-any-click", *METHODS)
_UNITS = 200
"""In the experiments that should find nothing."""


@dataclass(frozen=True, slots=True)
class Lists:
    """What two rankers answer to the same users.

    Attributes:
        tops_UK: item rows of control and of treatment.
        ndcg: of both.
        grades_UI: of the held-out part, 0 to 4; 0 for what was not rated, and for the lowest rating.
    """

    tops_UK: tuple[np.ndarray, np.ndarray]
    ndcg: tuple[float, float]
    grades_UI: np.ndarray

    @property
    def shared(self) -> float:
        """The mean part of an answer that is in the other's, too."""
        return float(np.mean((self.tops_UK[0][:, :, None] == self.tops_UK[1][:, None, :]).any(axis=2)))


def lists_of(split: Split, seed: int) -> dict[tuple[str, str], Lists]:
    """Train all and pair them; users without a held-out item that they liked do not count."""
    found: dict[str, Evaluation] = {}
    for name in dict.fromkeys(name for pair in PAIRS for name in pair):
        spec = registered(name)
        trained = spec.recipe()(split.train, parse_config(spec.config()), Run(seed=seed))
        found[name] = evaluate(trained.model, split, "standard")
    test = split.test
    assert test.ratings is not None
    grades_UI = np.zeros((test.num_users, test.num_items), dtype=np.int64)
    grades_UI[test.user_rows, test.item_rows] = test.ratings.astype(np.int64) - 1
    grades_UI = grades_UI[found["ease"].user_rows]
    return {
        (a, b): Lists(
            (found[a].top_UK[:, :_K], found[b].top_UK[:, :_K]),
            (found[a].means["nDCG@10"], found[b].means["nDCG@10"]),
            grades_UI,
        )
        for a, b in (*PAIRS, ("ease", "ease"))
    }


def clicks_alone(lists: Lists, model: ClickModel, rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """What A/B tests compare: clicks on answers of control and of treatment alone, and whether there are any, float64 [U, J] each.

    Small differences drown in the chance of the draws, so each user's mean is moved to what it is exactly.
    """
    found: dict[str, list[np.ndarray]] = {"ab": [], "ab-any-click": []}
    for top_UK in lists.tops_UK:
        grades_UK = np.take_along_axis(lists.grades_UI, top_UK, axis=1)
        visits = [clicked(grades_UK, model, rng).sum(axis=1) for _ in range(2 * _MIXES * _VISITS)]
        clicks_UJ = np.stack(visits, axis=1).astype(np.float64)
        # People stop after a click and never before one, so having none means refusing everything.
        exact = {
            "ab": click_chances(grades_UK, model).sum(axis=1),
            "ab-any-click": 1.0 - np.prod(1.0 - np.array(model.click_G)[grades_UK], axis=1),
        }
        for what, values_UJ in (("ab", clicks_UJ), ("ab-any-click", np.minimum(clicks_UJ, 1.0))):
            found[what].append(values_UJ + (exact[what] - values_UJ.mean(axis=1))[:, None])
    return found


class Mixes:
    """Answers that one method mixed for every user."""

    def __init__(self, lists: Lists, method: Method, rng: np.random.Generator) -> None:
        pairs = list(zip(*(top_UK.tolist() for top_UK in lists.tops_UK), strict=True))
        self._shape = (len(pairs), _MIXES)
        self._shown = [interleave(pair, _K, rng, method) for pair in pairs for _ in range(_MIXES)]
        items_NK = np.array([each.items for each in self._shown])
        self._grades_NK = np.take_along_axis(np.repeat(lists.grades_UI, _MIXES, axis=0), items_NK, axis=1)

    def credits(self, model: ClickModel, rng: np.random.Generator, *, blind: bool = False) -> np.ndarray:
        """Of answers, treatment − control, float64 [U, J]; neighbours come from different answers.

        Args:
            model: who clicks.
            rng: draws.
            blind: whether people take all items for equally irrelevant.
        """
        grades_NK = np.zeros_like(self._grades_NK) if blind else self._grades_NK
        visits = [differences(self._shown, clicked(grades_NK, model, rng)).reshape(self._shape) for _ in range(_VISITS)]
        return np.concatenate(visits, axis=1)


def units(values_UJ: np.ndarray, answers: int) -> np.ndarray:
    """Means over so many answers each, float64 [N]; every user is there equally often."""
    means_N: np.ndarray = values_UJ.reshape(-1, answers).mean(axis=1)
    return means_N


def measure(lists: Mapping[tuple[str, str], Lists], seed: int) -> list[dict[str, Any]]:
    """One row for each pair and click model, with the answers that A/B and each method need."""
    rng = np.random.default_rng([seed, 6])
    rows: list[dict[str, Any]] = []
    for pair in PAIRS:
        own = lists[pair]
        mixes = {method: Mixes(own, method, rng) for method in METHODS}
        for name, model in CLICK_MODELS.items():
            alone = clicks_alone(own, model, rng)
            control, treatment = (float(values_UJ.mean()) for values_UJ in alone["ab"])
            credit_of = {method: mix.credits(model, rng) for method, mix in mixes.items()}
            populations = alone | {method: [credits_UJ] for method, credits_UJ in credit_of.items()}
            rows.append(
                {
                    "seed": seed,
                    "pair": list(pair),
                    "clicks": name,
                    "shared": own.shared,
                    "ndcg": list(own.ndcg),
                    "clicks_per_answer": [control, treatment],
                    "winner": {
                        "offline": pair[int(own.ndcg[1] > own.ndcg[0])],
                        **{what: pair[int(sides[1].mean() > sides[0].mean())] for what, sides in alone.items()},
                        **{method: pair[int(credits_UJ.mean() > 0)] for method, credits_UJ in credit_of.items()},
                    },
                    "needed": {
                        str(answers): {
                            what: answers * needed([units(each, answers) for each in sides], rng)
                            for what, sides in populations.items()
                        }
                        for answers in ANSWERS_A_UNIT
                    },
                }
            )
        say(f"seed {seed}, {pair[0]} and {pair[1]}")
    return rows


def false_positives(lists: Mapping[tuple[str, str], Lists], seed: int) -> list[dict[str, Any]]:
    """How often a better one is found where none is: a ranker against itself, and people who take all items for the same."""
    rng = np.random.default_rng([seed, 7])
    model = CLICK_MODELS["informational"]
    itself, others = lists["ease", "ease"], lists["item-knn", "ease"]
    found: list[tuple[str, str, Sequence[np.ndarray]]] = [("ab", "itself", clicks_alone(itself, model, rng)["ab"])]
    for method in METHODS:
        found += [
            (method, "itself", [Mixes(itself, method, rng).credits(model, rng)]),
            (method, "blind clicks", [Mixes(others, method, rng).credits(model, rng, blind=True)]),
        ]
    rows = []
    for method, of, sides in found:
        low, high = rejections([units(each, _SHOWN) for each in sides], _UNITS, rng)
        rows.append({"seed": seed, "method": method, "of": of, "rate": low + high})
    say(f"seed {seed}, without a difference")
    return rows


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A/B's answers over interleaving's: over all pairs and click models, and one by one, with intervals over seeds.

    Of A/B's two metrics the one that needs fewer counts, as if it had been known before.
    """
    found = []
    cells = list(dict.fromkeys((tuple(row["pair"]), row["clicks"]) for row in rows))
    for answers in ANSWERS_A_UNIT:
        for method in METHODS:
            by_cell = {
                cell: np.array(
                    [
                        np.log(fewest(row, answers) / row["needed"][str(answers)][method])
                        for row in rows
                        if (tuple(row["pair"]), row["clicks"]) == cell
                    ]
                )
                for cell in cells
            }
            found.append(
                {
                    "answers_a_unit": answers,
                    "method": method,
                    "all": _times(np.mean(list(by_cell.values()), axis=0)),
                    "at_least_ten": sum(float(np.exp(logs.mean())) >= 10.0 for logs in by_cell.values()),
                    "of": len(by_cell),
                    "one_by_one": {" ".join((*pair, clicks)): _times(logs) for (pair, clicks), logs in by_cell.items()},
                }
            )
    return found


def fewest(row: Mapping[str, Any], answers: int) -> float:
    """Answers that A/B needs by its more sensitive metric."""
    need = row["needed"][str(answers)]
    return float(min(need["ab"], need["ab-any-click"]))


def _times(logs_S: np.ndarray) -> list[float]:
    """Geometric mean over seeds and its 95% interval, Student's t on logarithms."""
    mean, error = logs_S.mean(), logs_S.std(ddof=1) / np.sqrt(len(logs_S))
    reach = stats.t.ppf(0.975, len(logs_S) - 1) * error
    return [float(np.exp(mean + shift)) for shift in (0.0, -reach, reach)]


def page(rows: Sequence[Mapping[str, Any]], rates: Sequence[Mapping[str, Any]]) -> str:
    """All of it as Markdown."""
    totals = summary(rows)
    shown = {total["method"]: total for total in totals if total["answers_a_unit"] == _SHOWN}
    cells = []
    for pair in PAIRS:
        for clicks in CLICK_MODELS:
            own = [row for row in rows if tuple(row["pair"]) == pair and row["clicks"] == clicks]
            mean = {key: np.mean([row[key] for row in own], axis=0) for key in ("ndcg", "clicks_per_answer", "shared")}
            need = {what: np.median([row["needed"][str(_SHOWN)][what] for row in own]) for what in _COLUMNS}
            right = {what: sum(row["winner"][what] == row["winner"]["offline"] for row in own) for what in _COLUMNS}
            cells.append(
                [
                    " → ".join(pair),
                    clicks,
                    f"{mean['clicks_per_answer'][0]:.2f} → {mean['clicks_per_answer'][1]:.2f}",
                    *(f"{need[what]:,.0f}{_wrong(right[what], len(own))}" for what in ("ab", "ab-any-click")),
                    *(
                        f"{need[method]:,.0f}{_wrong(right[method], len(own))}; "
                        + "{:.1f} ({:.1f}–{:.1f})".format(*shown[method]["one_by_one"][" ".join((*pair, clicks))])
                        for method in METHODS
                    ),
                ]
            )
    ndcg = "; ".join(
        f"{a} {values[0]:.3f}, {b} {values[1]:.3f}, {100 * shared:.0f}% shared"
        for (a, b), values, shared in (
            (pair, *(np.mean([row[key] for row in rows if tuple(row["pair"]) == pair], axis=0) for key in ("ndcg", "shared")))
            for pair in PAIRS
        )
    )
    lines = [
        f"Offline nDCG@10: {ndcg}. {_SHOWN} answers a unit; medians over {len({row['seed'] for row in rows})} seeds; times fewer than A/B by its better metric "
        "as geometric means with 95% intervals over seeds. A number in brackets: in how many seeds the winner was the offline one, where not in all.",
        "",
        *table(["rankers", "clicks", "clicks an answer", "A/B, clicks", "A/B, any click", *METHODS], cells),
        "",
        *table(
            ["answers a unit", *METHODS],
            [
                [
                    str(answers),
                    *(
                        "{:.1f} ({:.1f}–{:.1f}), ≥ 10 in ".format(*total["all"]) + f"{total['at_least_ten']} of {total['of']}"
                        for total in totals
                        if total["answers_a_unit"] == answers
                    ),
                ]
                for answers in ANSWERS_A_UNIT
            ],
        ),
        "",
        "Winner as offline, of all rankers, click models and seeds: "
        + ", ".join(f"{what} {sum(row['winner'][what] == row['winner']['offline'] for row in rows)}" for what in _COLUMNS)
        + f", of {len(rows)}.",
        "",
        *table(
            ["found where nothing is", "itself", "blind clicks"],
            [[method, *(_rate(rates, method, of) for of in ("itself", "blind clicks"))] for method in ("ab", *METHODS)],
        ),
    ]
    return "\n".join(lines)


def _wrong(right: int, of: int) -> str:
    return "" if right == of else f" ({right} of {of})"


def _rate(rates: Sequence[Mapping[str, Any]], method: str, of: str) -> str:
    own = [row["rate"] for row in rates if row["method"] == method and row["of"] == of]
    return f"{100 * np.mean(own):.1f}%" if own else "–"


def measured(seeds: Sequence[int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of `measure` and of `false_positives`."""
    dataset = load_dataset("movielens-100k")
    rows: list[dict[str, Any]] = []
    rates: list[dict[str, Any]] = []
    for seed in seeds:
        lists = lists_of(make_split(dataset, "random", seed=seed), seed)
        rows += measure(lists, seed)
        rates += false_positives(lists, seed)
    return rows, rates


def interleaving_and_ab() -> str:
    """The tables of `docs/results.md`."""
    return page(*measured(SEEDS))


def main() -> None:
    """Print the tables, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="every figure of every seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="two or more; the intervals are over them")
    options = parser.parse_args()
    rows, rates = measured(options.seeds)
    found = {"rows": rows, "false_positives": rates, "summary": summary(rows)}
    print(json.dumps(found) if options.json else page(rows, rates))


if __name__ == "__main__":
    main()
