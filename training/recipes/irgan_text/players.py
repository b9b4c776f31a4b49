"""The two players, and what the generator picks from.

Shapes: B questions, U documents, N pairs, Q questions in all, I documents in all, E width, K the length of a shortlist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from app.bundle import LexicalIndex
from training.models.dual_encoder import ResidualHead
from training.objectives import irgan as objectives
from training.recipes.irgan_text.config import Config
from training.recipes.irgan_text.readers import FrozenReader, LearningReader

_ROWS = 256
"""Texts read at once where all of them are asked for."""


class Pairs(NamedTuple):
    """What is learned from: question n is answered by document n.

    Attributes:
        question_rows: int64 [N].
        document_rows: int64 [N].
        weights: float32 [N]; those of one question add up to 1.
    """

    question_rows: np.ndarray
    document_rows: np.ndarray
    weights: np.ndarray


class Player(nn.Module):
    """A reader with heads: scores are inner products.

    Args:
        reader: of all texts; one that learns belongs to this player alone.
        config: which heads.
        generator: the source of their start.
    """

    def __init__(self, reader: FrozenReader | LearningReader, config: Config, generator: torch.Generator) -> None:
        super().__init__()
        self.reader = reader
        self.temperature = config.temperature

        def head(rank: int) -> ResidualHead:
            return ResidualHead(embedding_size=reader.dim, rank=rank, dropout=config.dropout, generator=generator)

        self.query_head = head(config.head_rank)
        match config.head:
            case "shared":
                self.document_head = self.query_head
            case "query":
                self.document_head = head(0)
            case "both":
                self.document_head = head(config.head_rank)
        self.offset = nn.Parameter(torch.zeros(()))

    def questions(self, rows_B: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Query vectors [B, E]; random numbers switch units off, in training."""
        vectors_BE: Tensor = self.query_head(self.reader.questions(rows_B, random), random)
        return vectors_BE

    def documents(self, rows_U: Tensor, random: torch.Generator | None = None) -> Tensor:
        """Document vectors [U, E]."""
        vectors_UE: Tensor = self.document_head(self.reader.documents(rows_U, random), random)
        return vectors_UE

    def logits(self, rows_B: Tensor, rows_U: Tensor, random: torch.Generator | None = None) -> Tensor:
        """⟨question, document⟩ / τ − offset, [B, U]; the offset is the discriminator's border, and nothing to a softmax."""
        products_BU = self.questions(rows_B, random) @ self.documents(rows_U, random).T
        return products_BU / self.temperature - self.offset

    @torch.no_grad()
    def vectors(self, num_questions: int, num_documents: int) -> tuple[np.ndarray, np.ndarray]:
        """Of the first questions [Q, E] and all documents [I, E], float32."""
        device = self.offset.device
        found = []
        for read, count in ((self.questions, num_questions), (self.documents, num_documents)):
            parts = [read(rows_B).cpu() for rows_B in torch.arange(count, device=device).split(_ROWS) if len(rows_B)]
            found.append(torch.cat(parts).numpy() if parts else np.zeros((0, self.reader.dim), dtype=np.float32))
        return found[0], found[1]


class Shortlists:
    """What the generator picks from: for each question the best documents by BM25 and by the generator's own vectors.

    Args:
        lexical: of all documents.
        texts: of the questions that are judged; others have no shortlist, and get picks from the whole collection.
        question_rows: which of them are learned from.
        config: lengths and shares.
    """

    def __init__(self, lexical: LexicalIndex, texts: Sequence[str], question_rows: np.ndarray, config: Config) -> None:
        self._num_documents = lexical.num_documents
        self._uniform_share = config.uniform_share
        self._half = min(config.shortlist_size // 2, self._num_documents)
        self._temperature = config.temperature
        self._question_rows = question_rows
        self._row_of = np.full(max(1, len(texts)), -1, dtype=np.int64)
        self._row_of[question_rows] = np.arange(len(question_rows))
        self._lexical_QK = np.zeros((len(question_rows), self._half), dtype=np.int64)
        for place, row in enumerate(question_rows):
            self._lexical_QK[place] = _best(lexical.scores(texts[row])[None], self._half)[0]
        self._rows_QK = torch.zeros(0, 0, dtype=torch.int64)
        self._probs_QK = torch.zeros(0, 0)

    @property
    def is_empty(self) -> bool:
        """Whether no question has one."""
        return not len(self._question_rows)

    def refresh(self, questions_QE: np.ndarray, documents_IE: np.ndarray) -> None:
        """Shortlists, and the generator's choice among them: softmax(g / τ), a document that is listed twice counting once."""
        rows, logits = [], []
        for start in range(0, len(self._question_rows), _ROWS):
            part = slice(start, start + _ROWS)
            scores_BI = questions_QE[self._question_rows[part]] @ documents_IE.T
            rows_BK = np.concatenate([self._lexical_QK[part], _best(scores_BI, self._half)], axis=1)
            order_BK = np.argsort(rows_BK, axis=1, kind="stable")
            sorted_BK = np.take_along_axis(rows_BK, order_BK, axis=1)
            logits_BK = np.take_along_axis(scores_BI, sorted_BK, axis=1) / self._temperature
            logits_BK[:, 1:][sorted_BK[:, 1:] == sorted_BK[:, :-1]] = -np.inf
            rows.append(sorted_BK)
            logits.append(logits_BK)
        self._rows_QK = torch.from_numpy(np.concatenate(rows))
        self._probs_QK = torch.softmax(torch.from_numpy(np.concatenate(logits)), dim=1)

    def state_dict(self) -> dict[str, Tensor]:
        """For checkpoints: a run that goes on between two refreshes picks as it would have."""
        return {"rows": self._rows_QK, "probs": self._probs_QK}

    def load_state_dict(self, state: dict[str, Tensor], /) -> None:
        """From a checkpoint."""
        self._rows_QK, self._probs_QK = state["rows"], state["probs"]

    def draw(self, question_rows_N: np.ndarray, num_picks: int, random: torch.Generator) -> Tensor:
        """Documents for each question: its own choice, mixed with the whole collection; int64 [N · num_picks]."""
        count = len(question_rows_N) * num_picks
        uniform_N = torch.randint(self._num_documents, (count,), generator=random)
        known_N = question_rows_N < len(self._row_of)
        if self.is_empty or not known_N.all():
            return uniform_N
        listed_N = torch.from_numpy(self._row_of[question_rows_N])
        places_N = torch.arange(len(listed_N)).repeat_interleave(num_picks)
        picked_N = objectives.draw(self._probs_QK[listed_N], places_N, random)
        from_list_N = self._rows_QK[listed_N[places_N], picked_N]
        return torch.where(torch.rand(count, generator=random) < self._uniform_share, uniform_N, from_list_N)


def _best(scores_BI: np.ndarray, k: int) -> np.ndarray:
    """Rows of the k greatest of each line, in no order, [B, k]."""
    if k >= scores_BI.shape[1]:
        return np.tile(np.arange(scores_BI.shape[1]), (len(scores_BI), 1))
    found_BK: np.ndarray = np.argpartition(-scores_BI, k, axis=1)[:, :k]
    return found_BK
