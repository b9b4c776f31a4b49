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
from training.densities import Estimate, density_model
from training.evaluation import compare_rankers, ranked_rows
from training.export import export_bundle
from training.jobs.density import measure_density
from training.loop import Run
from training.ranker import TrainedRanker
from training.registry import RankerSpec

Contender = tuple[str, str, tuple[str, ...]]
"""Shown as, ranker, settings."""

FROM_LIKES: tuple[Contender, ...] = (
    ("`rbm`", "rbm", ()),
    ("`nade`", "nade", ()),
    ("`vae`", "vae", ()),
    ("`vae-gan`", "vae-gan", ()),
    ("`avb`", "avb", ()),
    ("`gan`", "gan", ()),
    ("`vae`, 4 members", "vae", ("num_members=4",)),
    (
        "`vae-gan`, similarity and game alone",
        "vae-gan",
        ("likelihood_weight=0", "similarity_weight=100", "encoder_similarity_weight=100"),
    ),
    ("`gan`, likelihood alone", "gan", ("game_weight=0",)),
    ("`gan`, game alone", "gan", ("likelihood_weight=0",)),
)
FROM_RATINGS: tuple[Contender, ...] = (
    ("`rbm-cf`", "rbm-cf", ()),
    ("`cf-nade`", "cf-nade", ()),
    ("`cf-nade`, by item alone, one model", "cf-nade", ("form=item", "num_members=1")),
    ("`cf-nade`, by user alone, one model", "cf-nade", ("form=user", "num_members=1")),
)
_DOUBAN: tuple[Contender, ...] = (
    ("`rbm-cf`", "rbm-cf", ()),
    ("`cf-nade`, 2 members, 25 epochs", "cf-nade", ("num_members=2", "num_epochs=25")),
)
"""With the defaults `cf-nade` would take a quarter of an hour there, and a training."""

_LIKES_PAIRS = (
    ("`vae-gan`", "`vae`"),
    ("`vae-gan`", "`vae`, 4 members"),
    ("`avb`", "`vae`"),
    ("`gan`", "`vae`"),
    ("`gan`", "`gan`, likelihood alone"),
    ("`rbm`", "EASE, λ 400"),
    ("`nade`", "EASE, λ 400"),
    ("`vae`", "EASE, λ 400"),
)
_RATINGS_PAIRS = (("`cf-nade`", "EASE, all ratings"), ("`cf-nade`", "`rbm-cf`"))
_ASKED = 100
"""Users asked over HTTP, and items asked for."""


def from_likes() -> str:
    """The rankers that see likes alone, on the paper's split; the adversarial ones against the plain VAE."""
    return "\n".join(_movielens_100k(("EASE, λ 400", "ease", ()), FROM_LIKES, _LIKES_PAIRS))


def from_ratings() -> str:
    """The rankers that see all ratings, and the ratings that they expect."""
    return "\n".join(_movielens_100k(("EASE, all ratings", "ease", ("signal=all",)), FROM_RATINGS, _RATINGS_PAIRS))


def douban_ratings() -> str:
    """The rating models on Douban's own split."""
    split = make_split(load_dataset("douban"))
    found: dict[str, Trained] = {}
    for shown, ranker, settings in _DOUBAN:
        found |= train(shown, ranker, split, settings, SEEDS)
    told = f"Split `given`, {len(split.train):,} training and {len(split.test):,} test ratings; mean ± sd over seeds 0 to 4."
    return "\n".join([told, "", *error_table(found)])


def _movielens_100k(reference: Contender, contenders: Sequence[Contender], pairs: Sequence[tuple[str, str]]) -> list[str]:
    split = make_split(load_dataset("movielens-100k"), "paper")
    served: list[list[str]] = []
    shown, ranker, settings = reference
    found = train(shown, ranker, split, settings, SEEDS[:1])
    for shown, ranker, settings in contenders:
        # Of each ranker as it comes, what the first training made is asked over HTTP, too.
        ask = None if settings else lambda spec, first: served.append(_served(spec, first, split))
        found |= train(shown, ranker, split, settings, SEEDS, on_first=ask)
    lines = ["Protocol `paper`, mean ± sd over seeds 0 to 4 (one training of EASE, which has nothing random).", ""]
    lines += table(["ranker", *METRICS, "seconds"], [[row, *t.row("paper", METRICS)] for row, t in found.items()])
    if errors := error_table(found):
        lines += ["", f"Expected ratings of the {len(split.test):,} test events:", "", *errors]
    lines += ["", "Paired differences over the 456 users (each user's mean over seeds):", ""]
    for first, second in pairs:
        values = {name: {m: found[name].per_user("paper", m) for m in ("nDCG@10", "AP")} for name in (first, second)}
        lines += [f"- {comparison.sentence}" for comparison in compare_rankers(values, ("nDCG@10", "AP"), baseline=second)]
    lines += [
        "",
        f"What HTTP answers {_ASKED} users who ask for {_ASKED} items, beside the full ranking of the model that training measured (seed 0):",
        "",
        *table(["ranker", "same answers", "first stage"], served),
    ]
    return lines


def error_table(found: dict[str, Trained]) -> list[str]:
    """RMSE and MAE of those rankers that predict ratings; nothing where none does."""
    rows = [
        [shown, *trained.row("paper", ("RMSE", "MAE"))]
        for shown, trained in found.items()
        if "RMSE" in trained.evaluations["paper"][0].overall
    ]
    return table(["ranker", "RMSE", "MAE", "seconds"], rows) if rows else []


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


_AVB = ("dropout=0.3", "weight_decay=1", "num_epochs=100")

DENSITIES: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
    (
        "`nade`, two members (exact)",
        "nade",
        {
            "dna": ("order=natural", "weight_decay=0.5", "num_epochs=16", "learning_rate=5e-3"),
            "nips": ("weight_decay=3", "num_epochs=20", "learning_rate=5e-3"),
        },
    ),
    ("`rbm` (AIS)", "rbm", {}),
    ("`avb` (bound)", "avb", {"nips": _AVB, "dna": (*_AVB, "learning_rate=1e-3")}),
    ("`vae` (bound)", "vae", {"dna": ("dropout=0.2",), "nips": ("dropout=0.2",)}),
)
"""Shown as, model, and settings for a data set where they are not the defaults; chosen on validation rows."""
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
        cells, seconds = [], []
        for name in _BINARY:
            found = [_log_likelihood(model, name, settings.get(name, ()), seed) for seed in SEEDS]
            values = np.array([estimate.value for estimate, _ in found])
            # Of one figure: half the interval that comes from log Z or from sampling.
            unsure = max((estimate.high - estimate.low) / 2 for estimate, _ in found)
            cells.append(f"{values.mean():.2f} ± {values.std(ddof=1):.2f}" + (f" (± {unsure:.2f})" if unsure else ""))
            seconds.append(float(np.mean([spent for _, spent in found])))
        rows.append([shown, *cells, " / ".join(f"{spent:.0f}" for spent in seconds)])
    rows += [[shown, *values, "—"] for shown, values in _PUBLISHED.items()]
    told = (
        "Test log-likelihood, nats a row, mean ± sd over seeds 0 to 4; in brackets the widest half of a 95% interval of a single figure, from "
        "log Z (AIS) or from sampling (bound). Published rows are quoted from later comparisons."
    )
    return "\n".join([told, "", *table(["model", *_BINARY, "seconds of a training"], rows)])


def _log_likelihood(model: str, name: str, settings: Sequence[str], seed: int) -> tuple[Estimate, float]:
    """Mean log p of the test rows, nats, and the seconds of the training."""
    spec = density_model(model)
    config = parse_config(spec.config(), assignments=list(settings))
    outcome = measure_density(spec, load_binary(f"{_BINARY_FOLDER}/{name}"), config, Run(seed=seed, progress=True))
    estimate = outcome.log_likelihood["test"]
    say(
        f"{model}, {name}, seed {seed}: {outcome.seconds:.1f} s, {estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
    )
    return estimate, outcome.seconds
