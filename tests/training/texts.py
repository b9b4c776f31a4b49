"""Small made-up collections and candidates with features for the tests of search and reranking.

Shapes: I documents, Q queries, N candidates, F features.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from app.bundle import Vocabulary
from training.data import Collection, FeatureSplit, JudgedFeatures, Judgements, TextSplit

TOPICS = 6
DOCUMENTS, QUESTIONS = 10, 12
"""Of each topic."""

_SYLLABLES = ("ba", "do", "fi", "gu", "ke", "lo", "mi", "na", "pu", "ra", "so", "ti", "vu", "ze")
_COMMON = ("report", "paper", "result", "method", "measure", "value")


def make_collection(seed: int = 0) -> Collection:
    """Six topics; documents speak of one in other words than queries do, but for one word that both use now and then.

    So words alone find some, and who learns from judgements which words of queries go with which of documents finds all. Every document
    of a query's topic answers it, the first half of them better (grade 2). The judged part is called `all`.
    """
    rng = np.random.default_rng(seed)
    words = _words(rng, TOPICS * 9)
    documents, queries, pairs = [], [], []
    for topic in range(TOPICS):
        spoken, asked, shared = (words[9 * topic : 9 * topic + 5], words[9 * topic + 5 : 9 * topic + 8], words[9 * topic + 8])
        for _ in range(DOCUMENTS):
            said = [*rng.choice(spoken, 4), *rng.choice(_COMMON, 3), *([shared] if rng.random() < 0.3 else [])]
            documents.append((topic, " ".join(rng.permutation(said))))
        for _ in range(QUESTIONS):
            said = [*rng.choice(asked, 2, replace=False), rng.choice(_COMMON), *([shared] if rng.random() < 0.3 else [])]
            queries.append((topic, " ".join(rng.permutation(said))))
    documents = [documents[row] for row in rng.permutation(len(documents))]
    queries = [queries[row] for row in rng.permutation(len(queries))]
    for query, (topic, _) in enumerate(queries):
        mine = [row for row, (other, _) in enumerate(documents) if other == topic]
        pairs += [(query, row, 2 if place < DOCUMENTS // 2 else 1) for place, row in enumerate(mine)]
    query_rows, document_rows, grades = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    return Collection(
        name="made-up",
        documents=Vocabulary("item", [f"d{row}" for row in range(len(documents))]),
        item_table=pd.DataFrame(
            {
                "title": [None if row % 3 else f"Number {row}" for row in range(len(documents))],
                "text": [t for _, t in documents],
            }
        ),
        queries=Vocabulary("query", [f"q{row}" for row in range(len(queries))]),
        query_texts=tuple(text for _, text in queries),
        judged={"all": Judgements(query_rows, document_rows, grades)},
    )


def make_split(seed: int = 0) -> TextSplit:
    """The collection with a third of its queries as the test part."""
    collection = make_collection(seed)
    judged = collection.judged["all"]
    test = np.arange(0, len(collection.queries), 3)
    is_test = np.isin(judged.query_rows, test)
    return TextSplit(collection, "random", {"fraction": 0.33, "seed": 0}, judged.where(~is_test), judged.where(is_test))


def make_features(*, num_queries: int = 60, num_features: int = 6, seed: int = 0, prefix: str = "q") -> JudgedFeatures:
    """Grades 0 to 2 by a noisy sum of two features and the product of two others; on scales of their own, one of them constant.

    Queries have from two to nine candidates. The last query has no relevant one.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 10, num_queries)
    features_NF = rng.random((lengths.sum(), num_features)).astype(np.float32)
    value_N = (
        features_NF[:, 0] + features_NF[:, 1] + features_NF[:, 2] * features_NF[:, 3] + 0.1 * rng.normal(size=len(features_NF))
    )
    grades = np.digitize(value_N, [1.3, 1.8]).astype(np.int64)
    grades[lengths.sum() - lengths[-1] :] = 0
    features_NF[:, 1] = 1000.0 * features_NF[:, 1] - 300.0
    features_NF[:, -1] = 7.0
    return JudgedFeatures(
        tuple(f"{prefix}{row}" for row in range(num_queries)),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        features_NF,
        grades,
        tuple(f"d{row}" for row in range(lengths.sum())),
    )


def make_feature_split() -> FeatureSplit:
    """Queries to learn from, to choose on and to be measured on."""
    parts = [
        make_features(num_queries=size, seed=seed, prefix=p) for size, seed, p in ((90, 0, "a"), (40, 1, "b"), (40, 2, "c"))
    ]
    return FeatureSplit("made-up", "given", {}, *parts)


def _words(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct words of three syllables."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(_SYLLABLES, 3))] = None
    return list(found)
