"""Candidates of judged queries as batches to learn from, on a device.

Shapes: Q queries, N candidates of a batch one query after the other, B queries in the batch, C candidates of its longest query,
M members, R = M · B rows, P pairs, F features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from training.data.letor import JudgedFeatures
from training.errors import DataError

Gains = Literal["grade", "exponential"]
"""What a grade g counts: itself, or 2^g − 1."""


@dataclass(frozen=True, slots=True, eq=False)
class CandidateBatch:
    """Some queries' candidates.

    Attributes:
        features_NF: float32.
        gains_N: what each counts; 0 is not relevant.
        rows_N: the query of each, from 0 to B − 1.
        slots_N: where each stands among B · C places.
        absent_BC: places that no candidate stands at.
    """

    features_NF: Tensor
    gains_N: Tensor
    rows_N: Tensor
    slots_N: Tensor
    absent_BC: Tensor

    @property
    def num_queries(self) -> int:
        """B."""
        return len(self.absent_BC)

    @property
    def gains_by_query(self) -> Tensor:
        """The gains, [B, C]; 0 where no candidate stands."""
        return self.padded(self.gains_N[None])

    def padded(self, values_MN: Tensor) -> Tensor:
        """Values of candidates by query, [R, C], one member after the other; 0 where no candidate stands."""
        flat_MK = values_MN.new_zeros(len(values_MN), self.absent_BC.numel())
        return flat_MK.index_copy(1, self.slots_N, values_MN).view(-1, self.absent_BC.shape[1])

    def flat(self, values_RC: Tensor) -> Tensor:
        """The way back, [M, N]."""
        return values_RC.reshape(-1, self.absent_BC.numel())[:, self.slots_N]

    def pairs(self) -> tuple[Tensor, Tensor]:
        """All ordered pairs of candidates of the same query, a candidate with itself included: positions, int64 [P] each."""
        lengths_B = torch.bincount(self.rows_N, minlength=self.num_queries)
        starts_B = lengths_B.cumsum(0) - lengths_B
        repeats_N = lengths_B[self.rows_N]
        first_P = torch.repeat_interleave(repeats_N)
        begins_N = repeats_N.cumsum(0) - repeats_N
        second_P = torch.arange(len(first_P), device=first_P.device) - begins_N[first_P] + starts_B[self.rows_N[first_P]]
        return first_P, second_P

    def preferences(self) -> tuple[Tensor, Tensor]:
        """The pairs of which the first is more relevant than the second: positions, int64 [P] each."""
        first_P, second_P = self.pairs()
        differ_P = self.gains_N[first_P] > self.gains_N[second_P]
        return first_P[differ_P], second_P[differ_P]


class Candidates:
    """Judged queries that have something to teach: with a relevant candidate, and one that is less relevant.

    Args:
        judged: queries with candidates.
        features_NF: what is to be learned from, such as their standardised features; batches live on its device.
        gains: what a grade counts.

    Raises:
        DataError: no query teaches anything.
    """

    def __init__(self, judged: JudgedFeatures, features_NF: Tensor, *, gains: Gains) -> None:
        spans_Q = np.diff(judged.offsets)
        is_empty_Q = spans_Q == 0
        starts_Q = np.minimum(judged.offsets[:-1], max(0, len(judged.grades) - 1))
        teaches_Q = np.zeros(judged.num_queries, dtype=bool)
        if len(judged.grades):
            teaches_Q = np.maximum.reduceat(judged.grades, starts_Q) > np.minimum.reduceat(judged.grades, starts_Q)
        self.queries = np.flatnonzero(teaches_Q & ~is_empty_Q)
        if not len(self.queries):
            raise DataError(
                f"none of the {judged.num_queries} training queries has candidates of different grades, so there is no order to "
                "learn; expected queries with relevant candidates and others"
            )
        self._judged = judged
        self._lengths_Q = spans_Q
        grades_N = torch.from_numpy(judged.grades).float()
        self._gains_N = (grades_N if gains == "grade" else torch.exp2(grades_N) - 1).to(features_NF.device)
        self._features_NF = features_NF

    def take(self, queries_B: np.ndarray) -> CandidateBatch:
        """A batch of some queries."""
        lengths_B = self._lengths_Q[queries_B]
        rows_N = np.repeat(np.arange(len(queries_B)), lengths_B)
        places_N = np.arange(len(rows_N)) - np.repeat(np.cumsum(lengths_B) - lengths_B, lengths_B)
        positions_N = torch.from_numpy(self._judged.offsets[queries_B][rows_N] + places_N).to(self._features_NF.device)
        longest = int(lengths_B.max())
        absent_BC = np.arange(longest) >= lengths_B[:, None]
        return CandidateBatch(
            self._features_NF[positions_N],
            self._gains_N[positions_N],
            torch.from_numpy(rows_N).to(self._features_NF.device),
            torch.from_numpy(rows_N * longest + places_N).to(self._features_NF.device),
            torch.from_numpy(absent_BC).to(self._features_NF.device),
        )

    def batches(self, size: int, random: torch.Generator) -> Iterator[CandidateBatch]:
        """All of them once, in random order."""
        shuffled = self.queries[torch.randperm(len(self.queries), generator=random).numpy()]
        for start in range(0, len(shuffled), size):
            yield self.take(shuffled[start : start + size])
