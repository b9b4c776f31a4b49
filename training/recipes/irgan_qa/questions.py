"""Questions with their right answers and the answers that compete with them, in batches.

Shapes: Q questions, B questions in the batch, N answers in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from training.data import TextSplit
from training.data.batches import shuffled


class Batch(NamedTuple):
    """Some questions, and one pool of answers for all of them.

    Attributes:
        questions_B: query rows.
        answers_N: document rows: each question's own candidates, and random documents of the collection.
        right_BN: true for a question's right answers.
        own_BN: true for a question's own candidates, right answers included.
        wrong_BN: true for what may be picked as a wrong answer: own candidates that are no answer, and the random documents.
    """

    questions_B: np.ndarray
    answers_N: np.ndarray
    right_BN: Tensor
    own_BN: Tensor
    wrong_BN: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Q questions that have a right answer.

    Attributes:
        rows: query rows, ascending, int64 [Q].
        offsets: int64 [Q + 1]; question q has the candidates from offsets[q] to offsets[q + 1].
        documents: document rows of all candidates, ascending for each question.
        is_right: whether the candidate is a right answer.
        num_documents: of the collection.
        whole: whether the candidates are all that competes; if not, every document does, and only right answers are among the candidates.
    """

    rows: np.ndarray
    offsets: np.ndarray
    documents: np.ndarray
    is_right: np.ndarray
    num_documents: int
    whole: bool

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, split: TextSplit) -> Self:
        """The training questions of a split."""
        right = split.train.positives
        listed = split.train_candidates
        num_documents = split.collection.num_documents
        right_keys = right.query_rows * num_documents + right.document_rows
        keys = right_keys
        if listed is not None:
            competing = listed.of_queries(right.queries)
            keys = np.concatenate([keys, competing.query_rows * num_documents + competing.document_rows])
        keys = np.unique(keys)
        rows, starts = np.unique(keys // max(1, num_documents), return_index=True)
        offsets = np.concatenate([starts, [len(keys)]]).astype(np.int64)
        return cls(rows, offsets, keys % max(1, num_documents), np.isin(keys, right_keys), num_documents, listed is not None)

    def take(self, places: np.ndarray) -> Self:
        """Some of the questions, in the order given."""
        lengths = np.diff(self.offsets)[places]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        kept = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - self.offsets[:-1][places], lengths)
        return type(self)(self.rows[places], offsets, self.documents[kept], self.is_right[kept], self.num_documents, self.whole)

    def batches(self, batch_size: int, num_random: int, random: torch.Generator, device: torch.device) -> list[Batch]:
        """All questions once, in random order.

        Args:
            batch_size: B at most.
            num_random: documents of the whole collection beside each batch's own candidates.
            random: of the order and of these documents.
            device: of the masks.
        """
        return [
            self.take(places).batch(torch.randint(self.num_documents, (num_random,), generator=random).numpy(), device)
            for places in shuffled(np.arange(len(self)), batch_size, random)
        ]

    def batch(self, extra: np.ndarray, device: torch.device) -> Batch:
        """All of the questions as one batch, with documents beside their own candidates."""
        owners_C = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        own_BC = owners_C == np.arange(len(self))[:, None]
        keys = owners_C * self.num_documents + self.documents
        extra_keys_BR = np.arange(len(self))[:, None] * self.num_documents + extra
        # A random document that is a candidate of the question anyway, a right answer perhaps, would stand there twice.
        free_BR = ~np.isin(extra_keys_BR, keys)
        nothing_BR = np.zeros_like(free_BR)

        def mask(own: np.ndarray, others: np.ndarray) -> Tensor:
            return torch.from_numpy(np.concatenate([own, others], axis=1)).to(device)

        return Batch(
            self.rows,
            np.concatenate([self.documents, extra]),
            mask(own_BC & self.is_right, nothing_BR),
            mask(own_BC, nothing_BR),
            mask(own_BC & ~self.is_right, free_BR),
        )
