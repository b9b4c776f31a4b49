"""Lists of related documents, by models that are given the documents alone, and how good those lists are.

Shapes: I documents, D documents with a related one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import normalize

from app.bundle import LexicalIndex
from training.baselines import item_factors
from training.baselines.related import Cosines, MoreLikeThis
from training.data import Collection
from training.data.bags import Bags
from training.errors import ConfigError
from training.evaluation.related import Relating, evaluate_related, nearest, related_pairs
from training.evaluation.significance import Comparison, Interval, compare_rankers, metric_intervals, over_seeds
from training.jobs.run_folder import run_folder
from training.loop import Run
from training.recipes.bm25 import Config as Bm25Config
from training.recipes.vae_gan.documents import DocumentConfig, place_documents

_log = logging.getLogger(__name__)

MODELS: dict[str, str] = {
    "vae-gan": "cosine of the codes, the means of q(z|x), of a game with a learned similarity (Larsen et al. 2016)",
    "vae": "the same without the game: a variational autoencoder (Kingma and Welling 2014)",
    "lsa": "cosine of the leading singular vectors of the TF-IDF vectors (Deerwester et al. 1990)",
    "tfidf": "cosine of TF-IDF vectors",
    "bm25": "more like this: BM25 with the whole document as the query",
}
"""Name → what is near, in words."""

FEATURES = "vae-gan:features"
"""What `vae-gan` gives besides: the cosine of the discriminator's features, in which the learned similarity measures."""
LEARNED = ("vae-gan", "vae", "lsa")
"""Those with random numbers in them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RelatedStudy:
    """How good the lists are.

    Attributes:
        data: the collection's name.
        num_documents, num_terms: what was learned from.
        num_related: D.
        num_pairs: pairs of related documents.
        seeds: of the trainings.
        per_document: model → metric → value of each document, the mean over seeds, float64 [D].
        spread: model → metric → standard deviation over seeds of the mean over documents; nothing where there is but one seed.
        seconds: model → of one training or indexing, the mean over seeds.
        intervals: model → metric → bootstrap interval of the mean over documents.
        comparisons: of pairs of models.
    """

    data: str
    num_documents: int
    num_terms: int
    num_related: int
    num_pairs: int
    seeds: tuple[int, ...]
    per_document: Mapping[str, Mapping[str, np.ndarray]]
    spread: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]
    intervals: Mapping[str, Mapping[str, Interval]]
    comparisons: Sequence[Comparison]

    def means(self, model: str) -> dict[str, float]:
        """Every metric as one number."""
        return {metric: float(values_D.mean()) for metric, values_D in self.per_document[model].items()}

    def as_json(self) -> dict[str, Any]:
        """What `irgan related --json` prints."""
        return {
            "data": self.data,
            "documents": self.num_documents,
            "terms": self.num_terms,
            "with_related": self.num_related,
            "pairs": self.num_pairs,
            "seeds": list(self.seeds),
            "models": [
                {
                    "name": model,
                    "seconds": round(self.seconds[model], 3),
                    "metrics": self.means(model),
                    "intervals": {metric: [i.low, i.high] for metric, i in self.intervals[model].items()},
                    "spread": dict(self.spread.get(model, {})),
                }
                for model in self.per_document
            ],
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
        }


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A line of a list: a document, its score, and whether it is known to be related; None where nothing is."""

    row: int
    score: float
    is_related: bool | None


def check_models(names: Sequence[str]) -> tuple[str, ...]:
    """The models asked for, all of them where none is.

    Raises:
        ConfigError: no such model, or one that stands there twice.
    """
    unknown = [name for name in names if name not in MODELS]
    if unknown or len(set(names)) < len(names):
        problem = f"no model {', '.join(unknown)}" if unknown else "a model stands there twice"
        raise ConfigError(f"{problem}; there are {', '.join(MODELS)}")
    return tuple(names) or tuple(MODELS)


def relate(name: str, collection: Collection, bags: Bags, config: DocumentConfig, run: Run) -> dict[str, Relating]:
    """One model, by its name, and what else came of its training.

    Args:
        name: one of `MODELS`.
        collection: only its documents are looked at.
        bags: of the same.
        config: of the autoencoders; its `embedding_size` is also that of `lsa`.
        run: where and how; its `folder` is locked meanwhile.

    Raises:
        Interrupted: Ctrl-C; a checkpoint was kept where `run` has a folder.
    """
    match name:
        case "vae-gan" | "vae":
            config = config if name == "vae-gan" else config.without_game
            identity = {
                "related": name,
                "config": config.model_dump(mode="json"),
                "data": collection.fingerprint(),
                "seed": run.seed,
                "device": str(run.device),
            }
            with nullcontext() if run.folder is None else run_folder(run.folder, identity, resume=run.resume):
                places = place_documents(bags.tf_idf(), config, run)
                run.write_curves()
            codes = Cosines(*places.codes_MIZ)
            return {name: codes} if name == "vae" else {name: codes, FEATURES: Cosines(*places.features_MIH)}
        case "lsa":
            weights_IT = normalize(bags.tf_idf())
            factors_TD = item_factors(weights_IT, embedding_size=config.embedding_size, seed=run.seed)
            return {name: Cosines(weights_IT @ factors_TD)}
        case "tfidf":
            return {name: Cosines(bags.tf_idf())}
        case "bm25":
            texts, settings = collection.texts(), Bm25Config()
            index = LexicalIndex.build(texts, language=collection.language, k1=settings.k1, b=settings.b)
            return {name: MoreLikeThis(texts, index)}
    raise AssertionError(name)


def study_related(
    collection: Collection,
    names: Sequence[str],
    config: DocumentConfig,
    *,
    seeds: Sequence[int],
    run: Callable[[str, int], Run],
    metrics: Sequence[str],
    baseline: str | None = None,
) -> RelatedStudy:
    """Learn from the documents, and compare the lists by the judgements.

    Args:
        collection: documents, and judgements of any part.
        names: of models.
        config: of those that learn.
        seeds: a model with random numbers learns once with each, and what is compared is the mean over them.
        run: where and how one model learns with one seed.
        metrics: what to compare.
        baseline: compare all others with this one; None for all pairs.

    Raises:
        DataError: nothing is known to be related.
    """
    related_II = related_pairs(list(collection.judged.values()), collection.num_documents)
    bags = Bags.of(collection)
    runs: dict[str, list[dict[str, np.ndarray]]] = {}
    seconds: dict[str, list[float]] = {}
    for name in names:
        for seed in seeds if name in LEARNED else seeds[:1]:
            started = time.perf_counter()
            related = relate(name, collection, bags, config, run(name, seed))
            took = time.perf_counter() - started
            _log.info("%s, seed %d: %.1f s", name, seed, took)
            for model, relating in related.items():
                runs.setdefault(model, []).append(evaluate_related(relating, related_II))
                seconds.setdefault(model, []).append(took)
    per_document = {model: over_seeds(own) for model, own in runs.items()}
    return RelatedStudy(
        data=collection.name,
        num_documents=collection.num_documents,
        num_terms=len(bags.terms),
        num_related=int(np.count_nonzero(np.diff(related_II.indptr))),
        num_pairs=related_II.nnz // 2,
        seeds=tuple(seeds),
        per_document=per_document,
        spread={
            model: {metric: float(np.std([run[metric].mean() for run in own], ddof=1)) for metric in own[0]}
            for model, own in runs.items()
            if len(own) > 1
        },
        seconds={model: float(np.mean(own)) for model, own in seconds.items()},
        intervals=metric_intervals(per_document),
        comparisons=compare_rankers(per_document, metrics, baseline=baseline, unit="documents")
        if len(per_document) > 1
        else [],
    )


def related_to(
    collection: Collection, row: int, names: Sequence[str], config: DocumentConfig, *, run: Callable[[str], Run], top: int
) -> dict[str, list[Neighbour]]:
    """Model → the `top` documents nearest to one; judgements are told where there are some."""
    judged = any(len(part.positives) for part in collection.judged.values())
    known = related_pairs(list(collection.judged.values()), collection.num_documents)[row].indices if judged else None
    bags, lists = Bags.of(collection), {}
    for name in names:
        for model, relating in relate(name, collection, bags, config, run(name)).items():
            order_1I, scores_1I = nearest(relating, np.array([row]))
            lists[model] = [
                Neighbour(int(other), float(score), None if known is None else bool(other in known))
                for other, score in zip(order_1I[0, :top], scores_1I[0, :top], strict=True)
                if other != row
            ]
    return lists
