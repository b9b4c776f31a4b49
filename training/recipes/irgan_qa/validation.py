"""Choosing on validation questions: the moment, then how words and vectors are fused, and which mode is the default.

Shapes: Q questions, C what competes for one, I documents, D dimensions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from app.bundle import Fusion, LexicalIndex, Mode, SearchModel, TextEncoder
from training.data import TextSplit
from training.errors import DataError
from training.recipes.irgan_qa.bodies import Body
from training.recipes.irgan_qa.config import Config
from training.recipes.irgan_qa.questions import Questions

SELECTED = "AP"
"""The metric that chooses, its mean over questions."""

_WEIGHTS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_ENCODED_AT_ONCE = 256


def set_apart(split: TextSplit, config: Config, rng: np.random.Generator) -> tuple[Questions, Questions]:
    """Questions to learn from, and questions to choose by: the data set's own, or a random share.

    Raises:
        DataError: there are too few.
    """
    questions = Questions.of(split)
    if split.valid_queries is None:
        num_valid = round(config.validation_fraction * len(questions))
        is_valid_Q = np.isin(np.arange(len(questions)), rng.permutation(len(questions))[:num_valid])
    else:
        is_valid_Q = np.isin(questions.rows, split.valid_queries)
    if not is_valid_Q.any() or is_valid_Q.all():
        raise DataError(
            f"irgan-qa learns from questions with a right answer and chooses on others; of {len(questions)} training questions with "
            f"one, {int(is_valid_Q.sum())} are for validation; give more judgements, or use bm25, which needs none"
        )
    return questions.take(np.flatnonzero(~is_valid_Q)), questions.take(np.flatnonzero(is_valid_Q))


@torch.no_grad()
def mean_average_precision(body: Body, model: Any, questions: Questions) -> float:
    """Of one player, over each question's candidates; over all documents where none are given. Ties go by row."""
    rows = np.unique(questions.documents) if questions.whole else np.arange(questions.num_documents)
    documents_CD = torch.cat(
        [body.documents(model, rows[start : start + _ENCODED_AT_ONCE]) for start in range(0, len(rows), _ENCODED_AT_ONCE)]
    )
    scores_QC = (body.queries(model, questions.rows) @ documents_CD.T).double().cpu().numpy()
    return float(np.mean([_precision(scores_QC[place], rows, questions, place) for place in range(len(questions))]))


def choose_mode(
    split: TextSplit, valid: Questions, lexical: LexicalIndex, encoder: TextEncoder, documents_ID: np.ndarray
) -> tuple[SearchModel, dict[str, Any]]:
    """The model with the fusion and the mode that are best on the validation questions, and what was seen."""
    model = SearchModel(lexical, documents_ID, encoder)
    fusions = [Fusion("standardised", weight) for weight in _WEIGHTS]
    queries_QD = encoder.encode_queries([split.collection.query_texts[row] for row in valid.rows])
    exact_ID = documents_ID.astype(np.float64)
    rows = np.arange(len(documents_ID))
    precisions: list[list[float]] = []
    for place, query_D in enumerate(queries_QD):
        lexical_I = lexical.scores(split.collection.query_texts[valid.rows[place]])
        dense_I = exact_ID @ query_D.astype(np.float64)
        fused = [model.fused(lexical_I, dense_I, query_D, fusion) for fusion in fusions]
        found_I = np.where(lexical_I > 0, lexical_I, -np.inf)
        precisions.append([_precision(scores_I, rows, valid, place) for scores_I in (found_I, dense_I, *fused)])
    of_lexical, of_dense, *of_fused = np.mean(precisions, axis=0).tolist()
    best = int(np.argmax(of_fused))
    values: dict[Mode, float] = {"hybrid": of_fused[best], "dense": of_dense, "lexical": of_lexical}
    mode = max(values, key=values.__getitem__)
    chosen = replace(model, fusion=fusions[best], mode=mode)
    told: dict[str, Any] = {str(name): value for name, value in values.items()}
    return chosen, told | {"metric": SELECTED, "dense_weight": fusions[best].dense_weight, "mode": mode}


def _precision(scores_C: np.ndarray, rows_C: np.ndarray, questions: Questions, place: int) -> float:
    """Average precision of one question; a right answer with the score −inf is not found."""
    mine = slice(questions.offsets[place], questions.offsets[place + 1])
    places, right = np.searchsorted(rows_C, questions.documents[mine]), questions.is_right[mine]
    right_C = np.zeros(len(rows_C), dtype=bool)
    right_C[places] = right
    if questions.whole:
        scores_C, right_C = scores_C[places], right
    order_C = np.argsort(-scores_C, kind="stable")
    hits_C = right_C[order_C] & np.isfinite(scores_C[order_C])
    precisions_C = hits_C.cumsum() / np.arange(1, len(hits_C) + 1)
    return float(precisions_C[hits_C].sum() / right_C.sum())
