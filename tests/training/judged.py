"""Small made-up candidates with features."""

from __future__ import annotations

import numpy as np

from training.data import FeatureSplit, JudgedFeatures


def make_judged(lengths: list[int] | None = None, *, num_features: int = 6, seed: int = 0) -> JudgedFeatures:
    """Grades 0 to 2 by a bent function of the first two features, noise in the others; the last feature never varies."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 12, size=60).tolist() if lengths is None else lengths
    num_candidates = sum(lengths)
    features_NF = rng.uniform(size=(num_candidates, num_features)).astype(np.float32)
    features_NF[:, -1] = 3.0
    merit_N = features_NF[:, 0] + 2.0 * (features_NF[:, 1] > 0.6) + rng.normal(scale=0.2, size=num_candidates)
    return JudgedFeatures(
        query_ids=tuple(f"q{number}" for number in range(len(lengths))),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        features_NF=features_NF,
        grades=np.digitize(merit_N, [1.5, 2.6]).astype(np.int64),
        document_ids=tuple(f"d{number}" for number in range(num_candidates)),
    )


def make_feature_split(*, seed: int = 0) -> FeatureSplit:
    """Three parts of the same kind."""
    parts = [make_judged(seed=3 * seed + number) for number in range(3)]
    return FeatureSplit("made-up", "given", {}, *parts)
