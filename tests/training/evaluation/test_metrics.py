"""Our metrics against ir-measures on the same run, user by user."""

from __future__ import annotations

import ir_measures
import numpy as np
import pandas as pd
import pytest

from app.bundle import Histories
from training.evaluation import ranked_rows, user_metrics, validation_metrics

_CUTOFFS = (1, 3, 5, 10, 50)


@pytest.mark.parametrize("seed", range(5))
def test_every_metric_of_every_user_equals_ir_measures(seed):
    """40 users, 30 items, coarse scores with many ties, few candidates, k beyond the candidates, relevant items excluded."""
    rng = np.random.default_rng(seed)
    num_users, num_items = 40, 30
    scores_BI = rng.integers(0, 6, (num_users, num_items)).astype(float)
    relevant_BI = rng.random((num_users, num_items)) < rng.choice([0.05, 0.3, 0.8], (num_users, 1))
    relevant_BI[np.arange(num_users), rng.integers(0, num_items, num_users)] = True
    excluded_BI = rng.random((num_users, num_items)) < rng.choice([0.1, 0.9], (num_users, 1))
    order_BI = ranked_rows(scores_BI, excluded_BI)
    hits_BI = np.take_along_axis(relevant_BI & ~excluded_BI, order_BI, axis=1)
    ours = user_metrics(hits_BI, relevant_BI.sum(axis=1), _CUTOFFS)

    users, items = np.nonzero(relevant_BI)
    qrels = pd.DataFrame({"query_id": users.astype(str), "doc_id": items.astype(str), "relevance": 1})
    users, ranks = np.nonzero(~np.take_along_axis(excluded_BI, order_BI, axis=1))
    run = pd.DataFrame(
        {"query_id": users.astype(str), "doc_id": order_BI[users, ranks].astype(str), "score": -ranks.astype(float)}
    )
    theirs = {
        (m.query_id, str(m.measure)): m.value for m in ir_measures.iter_calc(map(ir_measures.parse_measure, ours), qrels, run)
    }
    compared = 0
    for name, values_B in ours.items():
        for user in range(num_users):
            assert values_B[user] == pytest.approx(theirs.get((str(user), name), 0.0), abs=1e-9), (name, user)
            compared += 1
    assert compared == num_users * (3 * len(_CUTOFFS) + 2)


def test_equal_scores_are_ordered_by_row_and_excluded_items_come_last():
    order_BI = ranked_rows(np.array([[1.0, 2.0, 1.0, 3.0]]), np.array([[False, False, False, True]]))
    assert order_BI.tolist() == [[1, 0, 2, 3]]


def test_validation_counts_only_users_with_something_to_find():
    """User 0 finds his item at once, user 1 has none to find: nDCG and AP are exactly one."""
    scores_UI = np.array([[0.1, 0.9, 0.5], [0.3, 0.2, 0.1]])
    found = validation_metrics(scores_UI, Histories.of([[2], []]), Histories.of([[1], [0]]))
    assert found == {"nDCG@10": 1.0, "AP": 1.0}
