"""Figures of the other systems of the literature: rankings, ratings, densities, and whether HTTP answers what training measured.

Shapes: U users.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.bundle import read_manifest
from tests.bench.trained import METRICS, SEEDS, Trained, say, table, train
from tests.e2e.demo import get, irgan, service
from training.config import parse_config
from training.data import Split, load_dataset, make_split
from training.data.binary import load_binary
from training.densities import density_model
from training.evaluation import compare_rankers, ranked_rows
from training.export import export_bundle
from training.jobs.density import measure_density
from training.loop import Run
from training.ranker import TrainedRanker
from training.registry import RankerSpec

RANKERS = ("rbm", "nade", "vae", "vae-gan", "avb", "gan")
"""From likes alone."""
RATING_MODELS = ("rbm-cf", "cf-nade")
_ADVERSARIAL = ("vae-gan", "avb", "gan")
_REFERENCES = (("EASE, λ 400", ()), ("EASE, all ratings", ("signal=all",)))
_ASKED = 100
"""Users asked over HTTP, and items asked for."""


def movielens_100k() -> str:
    """Every one of them on the paper's split, five seeds, against the plain VAE; errors of those that predict ratings."""
    split = make_split(load_dataset("movielens-100k"), "paper")
    found: dict[str, Trained] = {}
    served: list[list[str]] = []
    for shown, settings in _REFERENCES:
        found |= train(shown, "ease", split, settings, SEEDS[:1])
    for ranker in (*RANKERS, *RATING_MODELS):
        rows = train(
            f"`{ranker}`", ranker, split, (), SEEDS, on_first=lambda spec, first: served.append(_served(spec, first, split))
        )
        found |= rows
    lines = [
        "Protocol `paper`, mean ± sd over seeds 0 to 4 (one training of EASE, which has nothing random). `rbm-cf` and `cf-nade` "
    ]
    lines[0] += "see all ratings, the others likes alone."
    lines += ["", *table(["ranker", *METRICS, "seconds"], [[shown, *t.row("paper", METRICS)] for shown, t in found.items()])]
    lines += ["", "Paired differences over the 456 users (each user's mean over seeds):", ""]
    lines += [f"- {sentence}" for sentence in _sentences(found)]
    lines += ["", f"Expected ratings of the {len(split.test):,} test events:", "", *error_table(found)]
    lines += [
        "",
        f"What HTTP answers {_ASKED} users who ask for {_ASKED} items, beside the full ranking of the model that training measured (seed 0):",
        "",
        *table(["ranker", "same answers", "first stage"], served),
    ]
    return "\n".join(lines)


def douban_ratings() -> str:
    """The rating models on Douban's own split."""
    split = make_split(load_dataset("douban"))
    found: dict[str, Trained] = {}
    for ranker in RATING_MODELS:
        found |= train(f"`{ranker}`", ranker, split, (), SEEDS)
    told = f"Split `given`, {len(split.train):,} training and {len(split.test):,} test ratings; default settings, mean ± sd over seeds 0 to 4."
    return "\n".join([told, "", *error_table(found)])


def error_table(found: dict[str, Trained]) -> list[str]:
    """RMSE and MAE of those rankers that predict ratings."""
    rows = [
        [shown, *trained.row("paper", ("RMSE", "MAE"))]
        for shown, trained in found.items()
        if "RMSE" in trained.evaluations["paper"][0].overall
    ]
    return table(["ranker", "RMSE", "MAE", "seconds"], rows)


def _sentences(found: dict[str, Trained]) -> list[str]:
    best = max((f"`{name}`" for name in RANKERS), key=lambda shown: float(found[shown].per_user("paper", "nDCG@10").mean()))
    pairs = [(f"`{name}`", "`vae`") for name in _ADVERSARIAL] + [(best, "EASE, λ 400"), ("`cf-nade`", "EASE, all ratings")]
    sentences = []
    for first, second in pairs:
        values = {name: {m: found[name].per_user("paper", m) for m in ("nDCG@10", "AP")} for name in (first, second)}
        sentences += [comparison.sentence for comparison in compare_rankers(values, ("nDCG@10", "AP"), baseline=second)]
    return sentences


def _served(spec: RankerSpec, trained: TrainedRanker, split: Split) -> list[str]:
    """Export, publish, serve and ask; a row of how many users got exactly the ranking of the model in memory."""
    users = np.flatnonzero(split.train.histories().lengths)[:_ASKED]
    histories = split.train.histories().take(users)
    wanted_UK = ranked_rows(trained.model.scores(histories, users), histories.mask(split.train.num_items))[:, :_ASKED]
    with tempfile.TemporaryDirectory() as folder:
        path = export_bundle(
            trained.model,
            split,
            root=Path(folder) / "bundles",
            name=spec.name,
            ranker=spec.name,
            paper=spec.paper,
            seed=0,
            config={},
            bias_folded=trained.bias_folded,
            metrics={},
            training={},
        )
        scoring, rescorer = read_manifest(path).scoring, read_manifest(path).rescorer
        releases = str(Path(folder) / "releases")
        irgan("publish", str(path), "--releases", releases, quiet=True)
        with service(releases) as address:
            answers = [
                [item["id"] for item in get(f"{address}/v1/recommendations/{split.train.users.id(user)}?k={_ASKED}")["items"]]
                for user in users.tolist()
            ]
    same = sum(
        answer == [split.train.items.id(row) for row in wanted]
        for answer, wanted in zip(answers, wanted_UK.tolist(), strict=True)
    )
    stage = "exact" if rescorer is None else f"overlap@100 {scoring.overlap_at_100:.4f} with {rescorer.candidates:,} candidates"
    return [f"`{spec.name}`", f"{same} of {len(users)}", stage]


DENSITIES: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
"""Shown as, model, settings."""
_BINARY = ("mushrooms", "dna", "nips")
_BINARY_FOLDER = Path(os.environ.get("IRGAN_DATA_DIR", "../shared/data")) / "binary"
_PUBLISHED = {
    "RBM (published)": ("−15.15", "−96.74", "−277.37"),
    "NADE, fixed order (published)": ("−9.81", "−84.81", "−273.08"),
    "EoNADE (published)": ("−9.69", "−82.31", "−272.39"),
}


def densities() -> str:
    """Test log-likelihoods of the density models on three binary sets."""
    rows: list[list[str]] = []
    for shown, model, settings in DENSITIES:
        cells, seconds = [], 0.0
        for name in _BINARY:
            found = [_log_likelihood(model, name, settings, seed) for seed in SEEDS]
            values = np.array([value for value, _ in found])
            seconds += float(np.mean([spent for _, spent in found]))
            cells.append(f"{values.mean():.2f} ± {values.std(ddof=1):.2f}")
        rows.append([shown, *cells, f"{seconds:.0f}"])
    rows += [[shown, *values, "—"] for shown, values in _PUBLISHED.items()]
    return "\n".join(table(["model", *_BINARY, "seconds, all three"], rows))


def _log_likelihood(model: str, name: str, settings: Sequence[str], seed: int) -> tuple[float, float]:
    """Mean log p of the test rows, nats, and the seconds of the training."""
    spec = density_model(model)
    config = parse_config(spec.config(), assignments=list(settings))
    outcome = measure_density(spec, load_binary(f"{_BINARY_FOLDER}/{name}"), config, Run(seed=seed, progress=True))
    estimate = outcome.log_likelihood["test"]
    say(
        f"{model}, {name}, seed {seed}: {outcome.seconds:.1f} s, {estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    )
    return estimate.value, outcome.seconds
