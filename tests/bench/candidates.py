"""Rankers of candidates by their features on MQ2008."""

from __future__ import annotations

from tests.bench.queries import rerank_rows, sentences
from tests.bench.trained import SEEDS, table
from training.data import load_features, make_feature_splits

_METRICS = ("AP", "nDCG@10", "nDCG@5", "P@5", "RR")
_FORMS = (("pointwise", "point-wise"), ("pairwise", "pair-wise"))


def mq2008() -> str:
    """The five folds of LETOR 4.0."""
    splits = make_feature_splits(load_features("letor-mq2008"))
    rows = {}
    for shown, ranker in (("LambdaMART (LightGBM)", "lambdamart"), ("ListNet, linear", "listnet"), ("RankNet", "ranknet")):
        rows |= rerank_rows(shown, ranker, splits, seeds=SEEDS)
    variants = {"pretrained": "before the game", "discriminator": "its discriminator"}
    pairs = []
    for form, called in _FORMS:
        shown = f"`irgan-ltr`, {called}"
        rows |= rerank_rows(shown, "irgan-ltr", splits, settings=(f"form={form}",), seeds=SEEDS, variants=variants)
        pairs += [(shown, f"{shown}, before the game"), (shown, "as much more likelihood"), (shown, "LambdaMART (LightGBM)")]
    rows |= rerank_rows("as much more likelihood", "irgan-ltr", splits, settings=("adversary=none",), seeds=SEEDS)
    lines = table(["ranker", *_METRICS, "seconds"], [[name, *row.cells(_METRICS), row.time] for name, row in rows.items()])
    lines += ["", "Paired over the 784 queries (each one's mean over seeds):", "", *sentences(rows, pairs, ("AP", "nDCG@10"))]
    told = (
        "Mean ± sd over seeds 0 to 4 of all 784 queries of the five folds; a query without a relevant document counts 0, gains are grades. "
        "Seconds are of one fold's training. LETOR's own best: AP .4775 (ListNet, RankBoost)."
    )
    return "\n".join([told, "", *lines])
