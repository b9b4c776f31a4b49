"""Search engines over made-up documents, and what they must answer by the definition."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

import faiss
import numpy as np

from app.bundle import Fusion, Mode, SearchDraft, SearchModel, reciprocal_ranks
from app.retrieval import Catalogue, Document, Found, SearchEngine, SearchQuestion
from app.retrieval.dense import EncodedText
from app.retrieval.fusing import ranks_beside
from app.retrieval.index import FaissIndex


def engine_of(draft: SearchDraft) -> SearchEngine:
    """What `SearchEngine.of_documents` makes of the bundle, without the bundle."""
    model, dense = draft.model, None
    if model.encoder is not None:
        index = faiss.IndexFlatIP(model.encoder.dim)
        index.add(model.document_vectors_ID)
        faiss_index = FaissIndex(index, model.document_vectors_ID)
        dense = EncodedText(model.encoder, model.document_vectors_ID, faiss_index, model.moments)
    table = draft.item_table.copy()
    table.insert(0, "id", draft.items.ids)
    catalogue = Catalogue(draft.items, table)
    return SearchEngine(catalogue, model.lexical, dense, fusion=model.fusion, mode=model.mode)


def expected(
    model: SearchModel, text: str, mode: Mode, fusion: Fusion | None = None, allowed_I: np.ndarray | None = None
) -> list[tuple[int, float]]:
    """Rows and scores by `SearchModel.scores`, of what is allowed; reciprocal ranks are among what is allowed."""
    scores_I = model.scores(text, mode, fusion)
    if allowed_I is not None:
        scores_I = np.where(allowed_I, scores_I, -np.inf)
    fusion = fusion or model.fusion
    if mode == "hybrid" and fusion.method == "reciprocal-ranks" and allowed_I is not None:
        words_I, vectors_I = (np.where(allowed_I, model.scores(text, one), -np.inf) for one in ("lexical", "dense"))
        scores_I = reciprocal_ranks(words_I) + fusion.dense_weight * reciprocal_ranks(vectors_I)
        scores_I[scores_I == 0] = -np.inf
    order = np.argsort(-scores_I, kind="stable")
    return [(int(row), float(scores_I[row])) for row in order if np.isfinite(scores_I[row])]


def scores_beside(
    model: SearchModel, text: str, documents: Sequence[str], mode: Mode, fusion: Fusion | None = None
) -> np.ndarray:
    """Scores of documents that the model does not hold, by its own statistics, float64 [J]; −inf where nothing is found."""
    fusion = fusion or model.fusion
    terms = model.lexical.analyzer.terms(text)
    counts = [Counter(model.lexical.analyzer.terms(document)) for document in documents]
    words_J = np.array([model.lexical.score_of(terms, count, count.total()) for count in counts])
    found_J = np.where(words_J > 0, words_J, -np.inf)
    if mode == "lexical":
        return found_J
    query_D = model.query(text)
    vectors_J = model.encoder.encode_documents(documents).astype(np.float64) @ query_D.astype(np.float64)
    if mode == "dense":
        return vectors_J
    words_I, vectors_I = model.lexical.scores(text), model.dense_scores(query_D)
    if fusion.method == "standardised":
        scores_J = np.zeros(len(documents))
        for of_I, of_J, weight in ((words_I, words_J, 1.0), (vectors_I, vectors_J, fusion.dense_weight)):
            if of_I.std() > 1e-9:
                scores_J += weight * (of_J - of_I.mean()) / of_I.std()
        return scores_J
    shares_J = np.zeros(len(documents))
    rankings = ((np.sort(words_I[words_I > 0])[::-1], found_J, 1.0), (np.sort(vectors_I)[::-1], vectors_J, fusion.dense_weight))
    for of_I, of_J, weight in rankings:
        ranks_J = ranks_beside(of_I, of_J)
        shares_J += np.where(np.isfinite(ranks_J), weight / (60 + ranks_J), 0)
    return np.where(shares_J > 0, shares_J, -np.inf)


def answered(engine: SearchEngine, found: Found) -> list[tuple[str, float]]:
    """Ids and scores."""
    return [(engine.id(row), score) for row, score in zip(found.rows, found.scores, strict=True)]


def pages(engine: SearchEngine, question: SearchQuestion, changes: Sequence[SearchEngine] = ()) -> list[str]:
    """The ids of all pages one after the other; after each page the next of the engines answers."""
    waiting, ids, ranks = list(changes), [], 0
    while True:
        found = engine.search(question)
        assert found.first_rank == ranks + 1
        ranks += len(found.rows)
        ids += [engine.id(row) for row in found.rows]
        if found.end is None:
            return ids
        question = dataclasses.replace(question, after=found.end)
        engine = waiting.pop(0) if waiting else engine


def document(item: str, text: str, **metadata: object) -> Document:
    """A document without a title."""
    return Document(item, None, text, metadata)
