"""Cutting queries with candidates into training, validation and test part.

Every cut is a function of the data and a seed alone, and what made it stands in `FeatureSplit.parameters`.

Shapes: Q queries.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.data.features import TEST, TRAIN, VALID
from training.data.letor import FeatureData, FeatureSplit, JudgedFeatures
from training.data.text_splits import check_settings, deal
from training.errors import ConfigError, DataError

FEATURE_SPLITS = ("given", "kfold")
"""All ways to cut, by the name that the command line takes."""
LETOR_PARTS = ("S1", "S2", "S3", "S4", "S5")

_VALID_FRACTION = 0.2
"""The share of the training queries that becomes the validation part where the data bring none."""


def default_feature_split(data: FeatureData) -> str:
    """`given` where the data bring LETOR's five parts, or a training and a test part; else `kfold`."""
    return "given" if _is_letor(data) or {TRAIN, TEST} <= data.parts.keys() else "kfold"


def make_feature_splits(
    data: FeatureData, name: str | None = None, *, seed: int = 0, folds: int = 5, fold: int | None = None
) -> list[FeatureSplit]:
    """Cut the queries of a data set.

    Args:
        data: what to cut.
        name: one of `FEATURE_SPLITS`, or None for the usual one, see `default_feature_split`. Of LETOR's five parts S1 to S5 `given`
            makes its five folds: fold k trains on S(k), S(k+1), S(k+2), validates on S(k+3) and tests on S(k+4), wrapping round.
        seed: of `kfold`, and of the validation part where the data bring none.
        folds: of `kfold`: into how many parts.
        fold: which of the folds, from 0; None for all of them, one after the other.

    Raises:
        ConfigError: no such split, or a setting out of its range.
        DataError: the data do not allow this split.
    """
    name = name or default_feature_split(data)
    if name not in FEATURE_SPLITS:
        raise ConfigError(f"no split {name!r} of queries with features; there are {', '.join(FEATURE_SPLITS)}")
    if name == "given" and _is_letor(data):
        folds = len(LETOR_PARTS)
    check_settings(seed=seed, folds=folds, fold=fold)
    _refuse_shared_queries(data)
    if name == "kfold":
        return _kfold(data, seed=seed, folds=folds, fold=fold)
    if _is_letor(data):
        return [_letor_fold(data, number) for number in range(folds) if fold is None or number == fold]
    if not {TRAIN, TEST} <= data.parts.keys():
        raise DataError(
            f"{data.name} brings no split of its own: its parts are {', '.join(data.parts)}, and not {TRAIN} and {TEST}; "
            "use the split kfold"
        )
    parameters = {f"given_{part}": judged.num_queries for part, judged in data.parts.items()}
    train, valid = data.parts[TRAIN], data.parts.get(VALID)
    if valid is None:
        train, valid = _without_validation(data.name, train, seed)
        parameters |= {"seed": seed}
    return [FeatureSplit(data.name, name, parameters, train, valid, data.parts[TEST])]


def _is_letor(data: FeatureData) -> bool:
    return set(data.parts) == set(LETOR_PARTS)


def _letor_fold(data: FeatureData, fold: int) -> FeatureSplit:
    first, second, third, fourth, fifth = (LETOR_PARTS[(fold + step) % len(LETOR_PARTS)] for step in range(5))
    return FeatureSplit(
        data.name,
        "given",
        {"folds": len(LETOR_PARTS), "fold": fold, "train": [first, second, third], "valid": fourth, "test": fifth},
        train=JudgedFeatures.together([data.parts[part] for part in (first, second, third)]),
        valid=data.parts[fourth],
        test=data.parts[fifth],
    )


def _kfold(data: FeatureData, *, seed: int, folds: int, fold: int | None) -> list[FeatureSplit]:
    whole = JudgedFeatures.together(list(data.parts.values()))
    if folds > whole.num_queries:
        raise DataError(f"{data.name}: {whole.num_queries} queries cannot be cut in {folds} folds; give fewer --folds")
    splits = []
    for number, test in enumerate(deal(np.arange(whole.num_queries), folds, seed)):
        if fold is not None and number != fold:
            continue
        learned = whole.take(np.setdiff1d(np.arange(whole.num_queries), test))
        train, valid = _without_validation(data.name, learned, seed)
        parameters = {"folds": folds, "fold": number, "seed": seed}
        splits.append(FeatureSplit(data.name, "kfold", parameters, train, valid, whole.take(test)))
    return splits


def _refuse_shared_queries(data: FeatureData) -> None:
    parts = [part for part, judged in data.parts.items() for _ in judged.query_ids]
    queries = pd.Series([query for judged in data.parts.values() for query in judged.query_ids])
    twice = queries.duplicated().to_numpy()
    if twice.any():
        query = queries[twice].iloc[0]
        first, second = (parts[at] for at in np.flatnonzero((queries == query).to_numpy())[:2])
        raise DataError(
            f"{data.name}: {np.count_nonzero(twice):,} queries are in two parts, the first one is {query!r} in {first} and {second}; "
            "a ranker would be measured on what it learned, so give each query to one part"
        )


def _without_validation(name: str, learned: JudgedFeatures, seed: int) -> tuple[JudgedFeatures, JudgedFeatures]:
    """Training queries without those that become the validation part, and these."""
    if learned.num_queries < 2:
        raise DataError(
            f"{name}: no query can be set apart for validation out of {learned.num_queries}; give more to learn from"
        )
    num_valid = max(1, round(learned.num_queries * _VALID_FRACTION))
    order = np.random.default_rng(seed).permutation(learned.num_queries)
    return learned.take(np.sort(order[num_valid:])), learned.take(np.sort(order[:num_valid]))
