"""Cutting judged queries into training and test part; documents are all known from the start.

Every cut is a function of the collection and a seed alone, and what made it stands in `TextSplit.parameters`.

Shapes: N judged pairs, Q queries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from training.data.collection import Collection, Judgements, TextSplit
from training.errors import ConfigError, DataError

TEXT_SPLITS = ("given", "kfold", "random", "none")
"""All ways to cut, by the name that the command line takes."""
TEST_PART = "test"
VALID_PARTS = ("dev", "valid", "vali", "validation", "val")


def default_text_split(collection: Collection) -> str:
    """`given` where the data bring a part `test` and another one, `none` where nothing is judged, else `kfold`."""
    if not len(_queries(collection)):
        return "none"
    parts = _part_names(collection)
    return "given" if TEST_PART in parts and len(parts) > 1 else "kfold"


def make_text_splits(
    collection: Collection,
    name: str | None = None,
    *,
    seed: int = 0,
    folds: int = 5,
    fold: int | None = None,
    fraction: float = 0.2,
) -> list[TextSplit]:
    """Cut the judged queries of a collection.

    Args:
        collection: what to cut.
        name: one of `TEXT_SPLITS`, or None for the usual one, see `default_text_split`.
        seed: of `kfold` and `random`.
        folds: of `kfold`: into how many parts.
        fold: of `kfold`: which of them is the test, from 0; None for all of them, one after the other.
        fraction: of `random`: the share of the queries in the test part, in (0, 1).

    Returns:
        One split, or as many as there are folds.

    Raises:
        ConfigError: no such split, or a setting out of its range.
        DataError: the data do not allow this split.
    """
    name = name or default_text_split(collection)
    if name not in TEXT_SPLITS:
        raise ConfigError(f"no split {name!r} of documents; there are {', '.join(TEXT_SPLITS)}")
    check_settings(seed=seed, folds=folds, fold=fold, fraction=fraction)
    if name == "none":
        return [_by_queries(collection, name, {}, np.zeros(0, dtype=np.int64))]
    queries = _queries(collection)
    if len(queries) < 2:
        raise DataError(
            f"{collection.name}: {len(queries)} queries are judged, too few for the split {name}; "
            "give queries and their judgements (--queries and --qrels, or queries.jsonl and qrels/ in the folder), "
            "or use the split none, which tests on nothing"
        )
    if name == "given":
        return [_given(collection)]
    if name == "random":
        num_test = min(max(1, round(len(queries) * fraction)), len(queries) - 1)
        test = np.sort(np.random.default_rng(seed).permutation(queries)[:num_test])
        return [_by_queries(collection, name, {"fraction": fraction, "seed": seed}, test)]
    if folds > len(queries):
        raise DataError(f"{collection.name}: {len(queries)} judged queries cannot be cut in {folds} folds; give fewer --folds")
    return [
        _by_queries(collection, name, {"folds": folds, "fold": number, "seed": seed}, test)
        for number, test in enumerate(deal(queries, folds, seed))
        if fold is None or number == fold
    ]


def check_settings(*, seed: int, folds: int, fold: int | None, fraction: float = 0.5) -> None:
    """Raises ConfigError for a setting that is out of its range."""
    if not 0.0 < fraction < 1.0:
        raise ConfigError(f"a test fraction of {fraction} is impossible; expected a number between 0 and 1, both excluded")
    if folds < 2 or not 0 <= (fold or 0) < folds:
        raise ConfigError(
            f"fold {fold or 0} of {folds} is impossible; expected at least 2 folds and a fold from 0 to {folds - 1}"
        )
    if seed < 0:
        raise ConfigError(f"seed {seed} is impossible; expected 0 or more")


def deal(rows: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Rows in random order dealt out like cards, each hand ascending; sizes differ by one at most."""
    shuffled = np.random.default_rng(seed).permutation(rows)
    return [np.sort(shuffled[number::folds]) for number in range(folds)]


def _part_names(collection: Collection) -> list[str]:
    return sorted({*collection.judged, *collection.candidates})


def _queries(collection: Collection) -> np.ndarray:
    """Rows of the queries that are judged or have candidates, ascending."""
    parts = [*collection.judged.values(), *collection.candidates.values()]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(part.query_rows for part in parts)]))


def _together(parts: Iterable[Judgements]) -> Judgements:
    """All triples, each pair once; where parts disagree the first one counts."""
    parts = list(parts)
    if not parts:
        return Judgements.none()
    whole = Judgements(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("query_rows", "document_rows", "grades"))
    )
    pairs = pd.DataFrame({"query": whole.query_rows, "document": whole.document_rows})
    return whole.where(~pairs.duplicated().to_numpy())


def _by_queries(collection: Collection, name: str, parameters: Mapping[str, int | float], test: np.ndarray) -> TextSplit:
    """The split whose test part is what is known of some queries."""

    def cut(parts: Mapping[str, Judgements]) -> tuple[Judgements, Judgements]:
        whole = _together(parts.values())
        is_test = np.isin(whole.query_rows, test)
        return whole.where(~is_test), whole.where(is_test)

    train, tested = cut(collection.judged)
    learned, competing = cut(collection.candidates) if collection.candidates else (None, None)
    return TextSplit(collection, name, dict(parameters), train, tested, learned, competing)


def _given(collection: Collection) -> TextSplit:
    parts = _part_names(collection)
    if TEST_PART not in parts or len(parts) < 2:
        raise DataError(
            f"{collection.name} brings no split of its own: its parts are {', '.join(parts)}; use one of "
            + ", ".join(name for name in TEXT_SPLITS if name != "given")
        )
    learned = [part for part in parts if part != TEST_PART]
    rows = {part: _queries_of(collection, [part]) for part in parts}
    both = np.intersect1d(_queries_of(collection, learned), rows[TEST_PART])
    if len(both):
        shown = ", ".join(collection.queries.id(int(row)) for row in both[:5])
        raise DataError(
            f"{collection.name}: {len(both):,} queries are in the test part and in another one as well ({shown}{' …' if len(both) > 5 else ''}); "
            "a ranker would be measured on what it learned; correct the files, or use the split kfold"
        )
    valid = [part for part in learned if part in VALID_PARTS]
    has_own = bool(valid) and len(valid) < len(learned)
    competing = collection.candidates
    return TextSplit(
        collection,
        "given",
        {f"given_{part}": len(rows[part]) for part in parts},
        train=_together(collection.judged[part] for part in learned if part in collection.judged),
        test=collection.judged.get(TEST_PART, Judgements.none()),
        train_candidates=_together(competing[part] for part in learned if part in competing)
        if competing.keys() & learned
        else None,
        test_candidates=competing.get(TEST_PART),
        valid_queries=_queries_of(collection, valid) if has_own else None,
    )


def _queries_of(collection: Collection, parts: Sequence[str]) -> np.ndarray:
    found = [known[part].query_rows for known in (collection.judged, collection.candidates) for part in parts if part in known]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *found]))
