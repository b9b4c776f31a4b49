"""From a trained ranker to a bundle on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from app.bundle import BundleDraft, DataInfo, SplitInfo, VectorModel, write_bundle
from training.data import Split
from training.export.index import build_index
from training.export.rescorer import count_candidates
from training.export.versions import Stamp, commit_of_code, version_of

_MEASURED_ON = 1_000
"""Known users that recall and overlap are measured on."""


def export_bundle(
    model: VectorModel,
    split: Split,
    *,
    root: Path,
    name: str,
    ranker: str,
    paper: str,
    seed: int,
    config: Mapping[str, Any],
    bias_folded: bool,
    metrics: dict[str, dict[str, float]],
    training: dict[str, Any],
    stamp: Stamp | None = None,
) -> Path:
    """Write the bundle `root/NAME/VERSION`; the version is the time (now, or the stamp's) and the first digits of a hash over the vectors.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    train = split.train
    seen = train.histories()
    known = np.arange(train.num_users)
    some = known[:_MEASURED_ON]
    queries_BD = model.queries(seen.take(some), some)
    index, index_info = build_index(model.item_vectors_ID, queries_BD)
    candidates, overlap = (None, None) if model.rescorer is None else count_candidates(model, queries_BD)
    draft = BundleDraft(
        name=name,
        version=version_of(
            hashlib.sha256(np.ascontiguousarray(model.item_vectors_ID).tobytes()), None if stamp is None else stamp.time
        ),
        ranker=ranker,
        paper=paper,
        seed=seed,
        config=dict(config),
        data=DataInfo(
            name=split.dataset,
            fingerprint=train.fingerprint(),
            split=SplitInfo(name=split.name, parameters=split.parameters),
            num_users=train.num_users,
            num_items=train.num_items,
            num_interactions=len(train),
        ),
        model=model,
        items=train.items,
        users=train.users,
        seen=seen,
        item_table=split.item_table,
        popularity_I=train.popularity(),
        index=index,
        index_info=index_info,
        bias_folded=bias_folded,
        overlap_at_100=overlap,
        candidates=candidates,
        metrics=metrics,
        training=training,
        commit=commit_of_code() if stamp is None else stamp.commit,
        created=None if stamp is None else stamp.time,
    )
    return write_bundle(draft, root)
