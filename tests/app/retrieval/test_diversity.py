"""Maximal marginal relevance against the formula, written out."""

from __future__ import annotations

import numpy as np
import pytest

from app.retrieval import marginal_relevance


def _case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors_CD = rng.normal(size=(40, 6))
    vectors_CD = (vectors_CD / np.linalg.norm(vectors_CD, axis=1, keepdims=True)).astype(np.float32)
    return np.sort(rng.normal(size=40))[::-1], vectors_CD


def _written_out(scores_C, vectors_CD, k, diversity) -> list[int]:
    relevance = (scores_C - scores_C.min()) / (scores_C.max() - scores_C.min())
    chosen = [0]
    while len(chosen) < k:
        left = [i for i in range(len(scores_C)) if i not in chosen]
        marginal = {
            i: (1 - diversity) * relevance[i] - diversity * max(float(vectors_CD[i] @ vectors_CD[j]) for j in chosen)
            for i in left
        }
        chosen.append(max(left, key=lambda i: (marginal[i], -i)))
    return chosen


@pytest.mark.parametrize("diversity", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_chooses_what_the_formula_says(diversity, seed):
    scores_C, vectors_CD = _case(seed)
    assert marginal_relevance(scores_C, vectors_CD, 12, diversity).tolist() == _written_out(scores_C, vectors_CD, 12, diversity)


def test_without_diversity_the_ranking_stays():
    scores_C, vectors_CD = _case(0)
    assert marginal_relevance(scores_C, vectors_CD, 10, 0.0).tolist() == list(range(10))


def test_of_two_twins_the_second_waits():
    """Candidates 0 and 1 are the same; 2 is a little worse and unlike them."""
    vectors_CD = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert marginal_relevance(np.array([1.0, 0.9, 0.8]), vectors_CD, 3, 0.5).tolist() == [0, 2, 1]


def test_fewer_candidates_than_wanted_are_all_chosen_once():
    scores_C, vectors_CD = _case(0)
    assert sorted(marginal_relevance(scores_C, vectors_CD, 100, 0.7)) == list(range(40))
    assert len(marginal_relevance(scores_C[:0], vectors_CD[:0], 5, 0.7)) == 0
