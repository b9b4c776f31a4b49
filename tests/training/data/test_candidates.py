"""Batches of candidates: nothing is lost, nothing mixes queries.

Shapes: N candidates, B queries, C candidates of the longest query, M members, F features, P pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.judged import make_judged
from training.data.candidates import CandidateBatch, Candidates
from training.errors import DataError

LENGTHS = [3, 1, 4, 2]
GRADES = [0, 2, 1, 2, 0, 0, 0, 0, 1, 0]


def candidates() -> Candidates:
    """Four queries: three grades, a single candidate, none relevant, one relevant of two."""
    judged = replace(make_judged(LENGTHS), grades=np.array(GRADES, dtype=np.int64))
    return Candidates(judged, torch.from_numpy(judged.features_NF), gains="exponential")


def batch() -> CandidateBatch:
    """Two queries in another order than in the file: those of two and of three candidates."""
    return candidates().take(np.array([3, 0]))


def test_only_queries_with_an_order_are_learned_from() -> None:
    """A single candidate and a query without a relevant one have none."""
    assert candidates().queries.tolist() == [0, 3]


def test_a_batch_holds_its_queries_candidates_in_their_order() -> None:
    """Gains are 2^g − 1; the second query is the longer one, so the first has an empty place."""
    judged = make_judged(LENGTHS)
    np.testing.assert_array_equal(batch().features_NF.numpy(), judged.features_NF[[8, 9, 0, 1, 2]])
    assert batch().gains_by_query.tolist() == [[1, 0, 0], [0, 3, 1]]
    assert batch().absent_BC.tolist() == [[False, False, True], [False, False, False]]


def test_padding_and_back_is_the_identity_for_every_member() -> None:
    values_MN = torch.arange(10.0).view(2, 5)
    padded_RC = batch().padded(values_MN)
    assert padded_RC.tolist() == [[0, 1, 0], [2, 3, 4], [5, 6, 0], [7, 8, 9]]
    assert torch.equal(batch().flat(padded_RC), values_MN)


def test_pairs_are_all_of_each_query_and_none_between_queries() -> None:
    """2² and 3² of them, by enumeration."""
    found = {tuple(pair) for pair in torch.stack(batch().pairs(), dim=1).tolist()}
    assert found == {(i, j) for own in ([0, 1], [2, 3, 4]) for i in own for j in own}


def test_preferences_are_the_pairs_with_the_first_more_relevant() -> None:
    found = {tuple(pair) for pair in torch.stack(batch().preferences(), dim=1).tolist()}
    assert found == {(0, 1), (3, 2), (3, 4), (4, 2)}


def test_an_epoch_shows_every_query_once_in_an_order_of_its_own() -> None:
    """Sixty queries in batches of 7: the features that come along are those of all queries with an order."""
    judged = make_judged()
    all_of_them = Candidates(judged, torch.from_numpy(judged.features_NF), gains="grade")
    random = torch.Generator().manual_seed(0)
    epochs = [torch.cat([b.features_NF for b in all_of_them.batches(7, random)]) for _ in range(2)]
    wanted = np.concatenate(
        [judged.features_NF[judged.offsets[query] : judged.offsets[query + 1]] for query in all_of_them.queries]
    )
    for seen_NF in epochs:
        np.testing.assert_array_equal(np.sort(seen_NF.numpy(), axis=0), np.sort(wanted, axis=0))
    assert not torch.equal(*epochs)


def test_data_without_an_order_are_refused() -> None:
    judged = replace(make_judged(LENGTHS), grades=np.zeros(10, dtype=np.int64))
    with pytest.raises(DataError, match="none of the 4 training queries has candidates of different grades"):
        Candidates(judged, torch.from_numpy(judged.features_NF), gains="grade")


def test_no_query_at_all_is_refused_as_well() -> None:
    judged = make_judged([])
    with pytest.raises(DataError, match="none of the 0 training queries"):
        Candidates(judged, torch.from_numpy(judged.features_NF), gains="grade")
