"""From trained rankers of search and reranking to bundles on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import (
    FeatureDataInfo,
    FeatureRanker,
    RerankDraft,
    SearchDraft,
    SearchModel,
    SplitInfo,
    TextDataInfo,
    write_rerank,
    write_search,
)
from training.data import Collection, JudgedFeatures, Judgements
from training.export.index import build_index
from training.export.versions import commit_of_code, version_of


def export_search(
    model: SearchModel,
    collection: Collection,
    train: Judgements,
    *,
    split: SplitInfo,
    root: Path,
    name: str,
    ranker: str,
    paper: str,
    seed: int,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Path:
    """Write the bundle `root/NAME/VERSION` of a search ranker.

    Args:
        model: as trained.
        collection: its documents are searched.
        train: the judgements learned from; the recall of the index is measured on their queries.
        split: how test queries were set apart.
        root: where bundles are.
        name: the bundle's.
        ranker: as the registry calls it.
        paper: where it was published.
        seed: of the training.
        config: the resolved settings.
        metrics: what was measured on the test part.
        training: what the run reports.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    index, index_info, content = None, None, model.lexical.terms
    digest = hashlib.sha256("\0".join(content).encode("utf-8", "surrogatepass"))
    if model.document_vectors_ID is not None and model.encoder is not None:
        asked = [collection.query_texts[row] for row in train.queries]
        index, index_info = build_index(model.document_vectors_ID, model.encoder.encode_queries(asked))
        digest.update(np.ascontiguousarray(model.document_vectors_ID).tobytes())
    return write_search(
        SearchDraft(
            name=name,
            version=version_of(digest),
            ranker=ranker,
            paper=paper,
            seed=seed,
            config=dict(config),
            data=TextDataInfo(
                name=collection.name,
                fingerprint=collection.fingerprint(train),
                split=split,
                language=collection.language,
                num_documents=collection.num_documents,
                num_queries=len(train.queries),
                num_judgements=len(train),
            ),
            model=model,
            items=collection.documents,
            item_table=collection.item_table,
            index=index,
            index_info=index_info,
            metrics=dict(metrics),
            training=dict(training),
            commit=commit_of_code(),
        ),
        root,
    )


def export_reranker(
    model: FeatureRanker,
    train: JudgedFeatures,
    *,
    data_name: str,
    split: SplitInfo,
    root: Path,
    name: str,
    ranker: str,
    paper: str,
    seed: int,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Path:
    """Write the bundle `root/NAME/VERSION` of a ranker of features.

    Args:
        model: as trained.
        train: what it learned from.
        data_name: the data set's.
        split: how test queries were set apart.
        root: where bundles are.
        name: the bundle's.
        ranker: as the registry calls it.
        paper: where it was published.
        seed: of the training.
        config: the resolved settings.
        metrics: what was measured on the test part.
        training: what the run reports.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    return write_rerank(
        RerankDraft(
            name=name,
            version=version_of(hashlib.sha256(model.graph.content())),
            ranker=ranker,
            paper=paper,
            seed=seed,
            config=dict(config),
            data=FeatureDataInfo(
                name=data_name,
                fingerprint=train.fingerprint(),
                split=split,
                num_queries=train.num_queries,
                num_candidates=len(train.grades),
                num_features=train.num_features,
            ),
            model=model,
            metrics=dict(metrics),
            training=dict(training),
            commit=commit_of_code(),
        ),
        root,
    )
