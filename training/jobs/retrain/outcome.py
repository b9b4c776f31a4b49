"""What came of a run, in words, as JSON and as an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Decision = Literal["published", "rejected", "refused", "failed", "abandoned"]
"""`rejected` by the gate; `refused` for the data; `failed` with an error that another try would meet again; `abandoned` for a newer run."""

EXIT_CODES: dict[Decision, int] = {"published": 0, "failed": 1, "rejected": 10, "refused": 11, "abandoned": 1}


@dataclass(frozen=True, slots=True)
class RetrainOutcome:
    """A finished run.

    Attributes:
        record: see docs/retraining.md.
    """

    record: dict[str, Any]

    @property
    def decision(self) -> Decision:
        """What became of it."""
        decision: Decision = self.record["decision"]
        return decision

    @property
    def exit_code(self) -> int:
        """For schedulers."""
        return EXIT_CODES[self.decision]

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.decision}: {self.record['why']}"

    def as_json(self) -> dict[str, Any]:
        """JSON values only."""
        return self.record
