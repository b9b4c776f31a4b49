"""Splits of judged queries: a partition, the same for the same seed, and a recipe learns nothing of the test part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bundle import Vocabulary
from training.data import Collection, Judgements, TextSplit, default_text_split, load_collection, make_text_splits
from training.errors import ConfigError, DataError


def judged(*triples: tuple[int, int, int]) -> Judgements:
    columns = np.array(triples, dtype=np.int64).reshape(-1, 3).T
    return Judgements(columns[0], columns[1], columns[2])


def collection(
    parts: dict[str, Judgements], candidates: dict[str, Judgements] | None = None, num_queries: int = 12
) -> Collection:
    return Collection(
        name="made-up",
        documents=Vocabulary("item", [f"d{row}" for row in range(6)]),
        item_table=pd.DataFrame({"text": [f"text {row}" for row in range(6)]}),
        queries=Vocabulary("query", [f"q{row}" for row in range(num_queries)]),
        query_texts=tuple(f"query {row}" for row in range(num_queries)),
        judged=parts,
        candidates=candidates or {},
    )


def triples(judgements: Judgements) -> list[tuple[int, int, int]]:
    return list(zip(judgements.query_rows.tolist(), judgements.document_rows.tolist(), judgements.grades.tolist(), strict=True))


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    """Up to 12 queries with up to 6 judged documents each, all in one part, some of them with candidates too."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    asked = draw(st.lists(st.integers(0, 11), min_size=2, max_size=12, unique=True))
    pairs = [(query, int(row), int(rng.integers(0, 3))) for query in asked for row in rng.permutation(6)[: rng.integers(1, 7)]]
    competing = [(query, row, 0) for query in asked for row in range(6)] if draw(st.booleans()) else None
    order = rng.permutation(len(pairs))
    return collection({"all": judged(*(pairs[at] for at in order))}, None if competing is None else {"all": judged(*competing)})


@pytest.mark.parametrize("name", ["kfold", "random"])
@settings(max_examples=60, deadline=None)
@given(data=collections(), seed=st.integers(0, 1000), folds=st.integers(2, 6), fraction=st.floats(0.05, 0.95))
def test_every_query_is_on_one_side_with_all_that_is_known_of_it(
    name: str, data: Collection, seed: int, folds: int, fraction: float
) -> None:
    """Nothing is lost, nothing is in both parts, order is kept, and the same call gives the same parts."""
    queries = data.judged["all"].queries
    if folds > len(queries):
        return
    splits = make_text_splits(data, name, seed=seed, folds=folds, fraction=fraction)
    again = make_text_splits(data, name, seed=seed, folds=folds, fraction=fraction)
    whole = triples(data.judged["all"])
    for split, other in zip(splits, again, strict=True):
        train, test = set(split.train.queries.tolist()), set(split.test.queries.tolist())
        assert train
        assert test
        assert not train & test
        assert [triple for triple in whole if triple[0] in train] == triples(split.train)
        assert [triple for triple in whole if triple[0] in test] == triples(split.test)
        if data.candidates:
            assert split.train_candidates is not None
            assert split.test_candidates is not None
            assert set(split.train_candidates.queries.tolist()) == train
            assert set(split.test_candidates.queries.tolist()) == test
        assert (triples(split.train), split.parameters) == (triples(other.train), other.parameters)
    if name == "kfold":
        tests = np.concatenate([split.test.queries for split in splits])
        assert sorted(tests.tolist()) == queries.tolist()
        sizes = [len(split.test.queries) for split in splits]
        assert max(sizes) - min(sizes) <= 1


def test_one_fold_is_one_of_all() -> None:
    """`--fold 2` alone gives the third of all five, with its parameters."""
    data = collection({"all": judged(*((query, query % 6, 1) for query in range(12)))})
    every = make_text_splits(data, "kfold", seed=3)
    (one,) = make_text_splits(data, "kfold", seed=3, fold=2)
    assert one.parameters == every[2].parameters == {"folds": 5, "fold": 2, "seed": 3}
    assert triples(one.test) == triples(every[2].test)
    assert len(every) == 5


def test_seeds_and_fractions_matter() -> None:
    """Of 12 queries a quarter is 3; another seed takes others."""
    data = collection({"all": judged(*((query, query % 6, 1) for query in range(12)))})
    (split,) = make_text_splits(data, "random", fraction=0.25, seed=1)
    assert len(split.test.queries) == 3
    assert split.parameters == {"fraction": 0.25, "seed": 1}
    assert triples(split.test) != triples(make_text_splits(data, "random", fraction=0.25, seed=2)[0].test)


GIVEN = {
    "train": judged((0, 0, 1), (0, 1, 0), (1, 1, 2)),
    "dev": judged((2, 2, 1)),
    "test": judged((3, 3, 1), (4, 0, 1)),
}


def test_the_given_parts() -> None:
    """The validation part joins the training part and says which queries it has."""
    (split,) = make_text_splits(collection(GIVEN))
    assert (split.name, split.parameters) == ("given", {"given_dev": 1, "given_test": 2, "given_train": 2})
    assert sorted(triples(split.train)) == [(0, 0, 1), (0, 1, 0), (1, 1, 2), (2, 2, 1)]
    assert triples(split.test) == [(3, 3, 1), (4, 0, 1)]
    assert split.valid_queries is not None
    assert split.valid_queries.tolist() == [2]
    assert (split.train_candidates, split.test_candidates) == (None, None)


def test_a_validation_part_alone_is_what_is_learned_from() -> None:
    """Many collections of BEIR come with dev and test only; choosing on all that is learned from would be no validation."""
    (split,) = make_text_splits(collection({"dev": GIVEN["dev"], "test": GIVEN["test"]}))
    assert triples(split.train) == [(2, 2, 1)]
    assert split.valid_queries is None


def test_given_candidates_keep_questions_without_an_answer() -> None:
    """Query 5 has candidates and no judgement: its text may be learned from, that of test query 6 may not."""
    candidates = {
        "train": judged((0, 0, 1), (5, 1, 0)),
        "dev": judged((2, 2, 1), (7, 1, 0)),
        "test": judged((3, 3, 1), (6, 0, 0)),
    }
    (split,) = make_text_splits(collection(GIVEN, candidates))
    assert split.train_candidates is not None
    assert split.test_candidates is not None
    assert split.train_candidates.queries.tolist() == [0, 2, 5, 7]
    assert split.test_candidates.queries.tolist() == [3, 6]
    assert split.valid_queries is not None
    assert split.valid_queries.tolist() == [2, 7]
    known = split.without_test()
    assert [row for row, text in enumerate(known.collection.query_texts) if text] == [0, 1, 2, 5, 7]
    assert (len(known.test), known.test_candidates, known.collection.judged, known.collection.candidates) == (0, None, {}, {})
    assert known.train_candidates is split.train_candidates


def test_candidates_of_one_part_leave_the_other_part_open() -> None:
    """Where only the test is a choice among candidates, all documents compete in training."""
    (split,) = make_text_splits(collection(GIVEN, {"test": judged((3, 3, 1), (4, 0, 1), (4, 1, 0))}))
    assert split.train_candidates is None
    assert split.test_candidates is not None
    assert len(split.test_candidates) == 3


def test_the_usual_split_goes_by_the_parts() -> None:
    assert default_text_split(collection(GIVEN)) == "given"
    assert default_text_split(collection({"all": GIVEN["train"]})) == "kfold"
    assert default_text_split(collection({"test": GIVEN["test"]})) == "kfold"
    assert default_text_split(collection({"train": GIVEN["train"], "dev": GIVEN["dev"]})) == "kfold"
    assert default_text_split(collection({})) == "none"


def test_nothing_is_tested_where_nothing_is_judged_or_asked_for() -> None:
    """`none` learns from every part."""
    (bare,) = make_text_splits(collection({}, num_queries=0))
    assert (bare.name, len(bare.train), len(bare.test), bare.parameters) == ("none", 0, 0, {})
    (split,) = make_text_splits(collection(GIVEN), "none")
    assert sorted(triples(split.train)) == sorted(triple for part in GIVEN.values() for triple in triples(part))
    assert len(split.test) == 0


def test_parts_together_hold_each_pair_once() -> None:
    """A pair that two parts judge counts once, in k folds over all of them."""
    data = collection({"a": judged((0, 0, 1), (1, 1, 1)), "b": judged((0, 0, 2), (0, 1, 1))})
    (split,) = make_text_splits(data, "none")
    assert sorted(triples(split.train)) == [(0, 0, 1), (0, 1, 1), (1, 1, 1)]


def test_what_the_data_do_not_allow_is_said() -> None:
    """A query in two parts, too few queries, no test part, unknown names, settings out of range."""
    both = collection({"train": GIVEN["train"], "test": judged((1, 5, 1), (3, 3, 1))})
    with pytest.raises(DataError, match=r"1 queries are in the test part and in another one as well \(q1\)"):
        make_text_splits(both)
    assert len(make_text_splits(both, "kfold", folds=3)) == 3
    with pytest.raises(DataError, match="3 judged queries cannot be cut in 5 folds"):
        make_text_splits(both, "kfold")
    with pytest.raises(DataError, match="brings no split of its own: its parts are all; use one of kfold, random, none"):
        make_text_splits(collection({"all": GIVEN["train"]}), "given")
    for name in ("given", "kfold", "random"):
        with pytest.raises(DataError, match="0 queries are judged, too few for the split"):
            make_text_splits(collection({}), name)


@pytest.mark.parametrize(
    "wrong",
    [{"name": "time"}, {"fraction": 0.0}, {"fraction": 1.0}, {"folds": 1}, {"fold": 5}, {"fold": -1}, {"seed": -1}],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_text_splits(collection(GIVEN), **({"name": "kfold"} | wrong))


@pytest.mark.data
def test_the_public_collections_are_cut_as_usual(data_dir: Path) -> None:
    """SciFact's own two parts, Cranfield's folds of 45 queries, WikiQA's candidates with dev for validation."""
    (scifact,) = make_text_splits(load_collection("scifact"))
    assert (scifact.name, len(scifact.train), len(scifact.test)) == ("given", 919, 339)
    assert (scifact.valid_queries, scifact.test_candidates) == (None, None)
    folds = make_text_splits(load_collection("cranfield"))
    assert [len(split.test.queries) for split in folds] == [45] * 5
    (wikiqa,) = make_text_splits(load_collection("wikiqa"))
    assert wikiqa.valid_queries is not None
    assert wikiqa.train_candidates is not None
    assert wikiqa.test_candidates is not None
    assert (len(wikiqa.train), len(wikiqa.test), len(wikiqa.valid_queries)) == (1180, 293, 296)
    assert (len(wikiqa.train_candidates), len(wikiqa.test_candidates)) == (20_358 + 2732, 6160)
    assert len(wikiqa.train_candidates.positives) == 1180
    assert sum(map(bool, wikiqa.without_test().collection.query_texts)) == 2118 + 296
    assert isinstance(wikiqa, TextSplit)
