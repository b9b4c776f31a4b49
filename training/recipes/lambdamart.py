"""LambdaMART: gradient-boosted trees that swap pairs by what the swap would change in nDCG. LightGBM's implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from training.config import RankerConfig
from training.data import FeatureSplit, JudgedFeatures
from training.data.candidates import Gains
from training.errors import MissingExtra
from training.evaluation.committees import EpochChoice
from training.export import export_trees
from training.loop import Run
from training.ranker import TrainedReranker


class Config(RankerConfig):
    """Hyper-parameters; defaults were chosen on the validation parts of MQ2008's folds."""

    num_trees: int = Field(default=250, ge=1)
    """Trees."""
    num_leaves: int = Field(default=5, ge=2, le=256)
    """Leaves of each tree."""
    learning_rate: float = Field(default=0.03, gt=0)
    """What each tree's answer is multiplied by."""
    min_leaf_size: int = Field(default=50, ge=1)
    """Training candidates that a leaf holds at least."""
    feature_fraction: float = Field(default=0.3, gt=0, le=1)
    """Share of the features that each tree may use."""
    candidate_fraction: float = Field(default=0.7, gt=0, le=1)
    """Share of the training candidates that each tree sees."""
    l2: float = Field(default=0.0, ge=0)
    """Of the leaves' answers."""
    gains: Gains = "exponential"
    """What a grade g counts in nDCG: 2^g − 1, or `grade` g."""
    truncation: int = Field(default=30, ge=1)
    """nDCG is looked at down to this rank."""
    epoch: EpochChoice = "last"
    """How many trees rank: all, or as many as did best on the validation queries by nDCG@10."""
    patience: int = Field(default=50, ge=1)
    """With `epoch=validation`: trees without a better value after which learning stops."""


def train(data: FeatureSplit, config: Config, run: Run) -> TrainedReranker:
    """Boost on the training part, in one thread, so that the seed decides alone.

    Raises:
        MissingExtra: LightGBM is not installed.
        DataError: no feature tells the training candidates apart.
    """
    try:
        import lightgbm  # noqa: PLC0415 - an optional part
    except ImportError as error:
        raise MissingExtra(
            "lambdamart needs LightGBM, which cannot be imported here; install it with `pip install lightgbm`"
        ) from error
    top_grade = int(max(part.grades.max(initial=1) for part in (data.train, data.valid)))
    gains = np.arange(top_grade + 1) if config.gains == "grade" else 2.0 ** np.arange(top_grade + 1) - 1
    settings: dict[str, Any] = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "label_gain": gains.tolist(),
        "lambdarank_truncation_level": config.truncation,
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": config.min_leaf_size,
        "feature_fraction": config.feature_fraction,
        "bagging_fraction": config.candidate_fraction,
        "bagging_freq": 1,
        "lambda_l2": config.l2,
        "use_missing": False,
        "seed": run.seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }

    def dataset(judged: JudgedFeatures, reference: Any = None) -> Any:
        lengths_Q = np.diff(judged.offsets)
        return lightgbm.Dataset(judged.features_NF.astype(np.float64), judged.grades, group=lengths_Q, reference=reference)

    training = dataset(data.train)
    chooses = config.epoch == "validation" and data.valid.num_queries > 0
    booster = lightgbm.train(
        settings,
        training,
        config.num_trees,
        valid_sets=[dataset(data.valid, training)] if chooses else None,
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False)] if chooses else None,
    )
    num_trees = booster.best_iteration if chooses else booster.current_iteration()
    model = export_trees(booster, num_features=data.train.num_features, num_trees=num_trees)
    return TrainedReranker(model, {"num_trees": num_trees})
