"""Small made-up collections and candidates with features for the tests of search and reranking.

Shapes: I documents, Q queries, N candidates, F features.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor, nn

from app.bundle import PADDING, Fusion, LexicalIndex, Mode, SearchModel, TextEncoder, Vocabulary
from training.data import Collection, FeatureSplit, JudgedFeatures, Judgements, TextSplit
from training.export import export_text_encoder

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


def write_collection(folder: Path, collection: Collection | None = None) -> Path:
    """The collection as a folder that BEIR has it: corpus, queries and the judgements of each part."""
    collection = collection or make_collection()
    (folder / "qrels").mkdir(parents=True)
    documents = zip(collection.documents.ids, collection.item_table["title"], collection.item_table["text"], strict=True)
    corpus = [{"_id": key, "title": title if isinstance(title, str) else "", "text": text} for key, title, text in documents]
    asked = [{"_id": key, "text": text} for key, text in zip(collection.queries.ids, collection.query_texts, strict=True)]
    for name, records in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    for part, judged in collection.judged.items():
        triples = zip(judged.query_rows, judged.document_rows, judged.grades, strict=True)
        lines = (f"{collection.queries.id(q)}\t{collection.documents.id(d)}\t{grade}\n" for q, d, grade in triples)
        (folder / "qrels" / f"{part}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


def write_features(path: Path, judged: JudgedFeatures) -> Path:
    """Candidates in SVMlight's form."""
    lines = (
        f"{grade} qid:{judged.query_ids[query]} {' '.join(f'{n}:{value:.6g}' for n, value in enumerate(features, 1))} #docid = {key}\n"
        for grade, query, features, key in zip(
            judged.grades, judged.query_rows, judged.features_NF, judged.document_ids, strict=True
        )
    )
    path.write_text("".join(lines))
    return path


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


class WordVectors(nn.Module):
    """A dual encoder without training: the mean of random vectors of words, the same for queries and documents."""

    def __init__(self, num_tokens: int, embedding_size: int = 8) -> None:
        super().__init__()
        vectors_VD = torch.randn(num_tokens, embedding_size, generator=torch.Generator().manual_seed(1))
        self.vectors = nn.Embedding.from_pretrained(vectors_VD, padding_idx=PADDING)

    def forward(self, tokens_BL: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and documents."""
        is_word_BL1 = (tokens_BL != PADDING).unsqueeze(2)
        mean_BD = (self.vectors(tokens_BL) * is_word_BL1).sum(1) / is_word_BL1.sum(1).clamp(min=1)
        return mean_BD, mean_BD + 0.0


@cache
def word_encoder() -> TextEncoder:
    """`WordVectors` of the words of `make_collection()`, exported."""
    collection = make_collection()
    words = sorted({word.lower() for text in (*collection.texts(), *collection.query_texts) for word in text.split()})
    tokenizer = Tokenizer(
        WordLevel({"[PAD]": PADDING, "[UNK]": 1, **{word: 2 + row for row, word in enumerate(words)}}, "[UNK]")
    )
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    return export_text_encoder(
        WordVectors(len(words) + 2), tokenizer.to_str(), num_tokens=len(words) + 2, query_tokens=16, document_tokens=32
    )


def word_model(mode: Mode = "hybrid") -> SearchModel:
    """BM25 and `WordVectors` over `make_collection()`."""
    texts, encoder = make_collection().texts(), word_encoder()
    return SearchModel(LexicalIndex.build(texts), encoder.encode_documents(texts), encoder, Fusion(), mode)


def _words(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct words of three syllables."""
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(_SYLLABLES, 3))] = None
    return list(found)
