"""`listnet` and `ranknet`: losses of a batch by enumeration; `lambdamart`: what is missing is said.

Shapes: M members, N candidates.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.judged import make_feature_split, make_judged
from training.data.candidates import CandidateBatch, Candidates
from training.errors import MissingExtra
from training.evaluation.rerank import evaluate_reranker
from training.loop import Run
from training.recipes import lambdamart, listnet, ranknet

GRADES = [0, 2, 1, 1, 0]
"""Of a query of three candidates and one of two."""


@pytest.fixture
def batch() -> CandidateBatch:
    judged = replace(make_judged([3, 2]), grades=np.array(GRADES, dtype=np.int64))
    return Candidates(judged, torch.from_numpy(judged.features_NF).double(), gains="grade").take(np.array([0, 1]))


@pytest.fixture
def scores_MN() -> Tensor:
    return torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_listnet_meets_gains_and_weighs_queries_by_their_sum(batch: CandidateBatch, scores_MN: Tensor) -> None:
    """Gains 0, 2, 1 are the target (0, ⅔, ⅓) with weight 3; the second query's is (1, 0) with weight 1; the mean over two queries."""
    expected = torch.zeros((), dtype=torch.float64)
    for scores_N in scores_MN:
        first, second = scores_N[:3].log_softmax(dim=0), scores_N[3:].log_softmax(dim=0)
        expected -= (3 * (2 / 3 * first[1] + 1 / 3 * first[2]) + second[0]) / 2
    torch.testing.assert_close(listnet.list_loss(scores_MN, batch, listnet.Config()), expected)


def test_listnet_as_in_the_paper_meets_the_softmax_of_grades(batch: CandidateBatch, scores_MN: Tensor) -> None:
    """And queries count alike."""
    expected = torch.zeros((), dtype=torch.float64)
    for scores_N in scores_MN:
        for part in (slice(0, 3), slice(3, 5)):
            target = torch.tensor(GRADES[part], dtype=torch.float64).softmax(dim=0)
            expected -= (target * scores_N[part].log_softmax(dim=0)).sum() / 2
    config = listnet.Config(target="softmax", query_weight_exponent=1.0)
    torch.testing.assert_close(listnet.list_loss(scores_MN, batch, config), expected)


@pytest.mark.parametrize(("exponent", "divisor"), [(0.0, 1.0), (0.5, 3.0**0.5), (1.0, 3.0)])
def test_ranknet_divides_a_querys_pairs_by_a_power_of_their_number(
    batch: CandidateBatch, scores_MN: Tensor, exponent: float, divisor: float
) -> None:
    """Three pairs in the first query, one in the second."""
    expected = torch.zeros((), dtype=torch.float64)
    for s in scores_MN:
        first = sum(torch.sigmoid(s[i] - s[j]).log() for i, j in ((1, 0), (1, 2), (2, 0)))
        expected -= (first / divisor + torch.sigmoid(s[3] - s[4]).log()) / 2
    config = ranknet.Config(query_weight_exponent=exponent)
    torch.testing.assert_close(ranknet.pair_loss(scores_MN, batch, config), expected)


def test_lambdamart_without_lightgbm_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingExtra, match=r"needs LightGBM, .* install it with `pip install lightgbm`"):
        lambdamart.train(make_feature_split(), lambdamart.Config(), Run())


def test_lambdamart_can_choose_its_trees_on_the_validation_queries() -> None:
    """The trees that rank are those of LightGBM's own best look, of which there are fewer than were grown."""
    pytest.importorskip("lightgbm", reason="the extra train brings LightGBM")
    data = make_feature_split()
    settings = {"num_trees": 60, "min_leaf_size": 5, "learning_rate": 0.3}
    chosen = lambdamart.train(data, lambdamart.Config(**settings, epoch="validation"), Run())
    every = lambdamart.train(data, lambdamart.Config(**settings), Run())
    assert chosen.summary["num_trees"] < every.summary["num_trees"] == 60
    figures = [evaluate_reranker(ranker.model, data.valid).means()["nDCG@10"] for ranker in (chosen, every)]
    assert figures[0] >= figures[1]
