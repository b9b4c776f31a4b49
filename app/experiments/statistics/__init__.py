"""What the figures of an experiment say: estimates, differences, sequences of looks, health. See `docs/statistics.md`.

Imports SciPy and tea-tasting: only for those who make a report.
"""

from app.experiments.statistics.betting import betting_sequence
from app.experiments.statistics.differences import Difference, difference
from app.experiments.statistics.families import Guarded, guardrail, holm, simultaneous_level
from app.experiments.statistics.mismatch import Mismatch, mismatch, mismatches
from app.experiments.statistics.planning import Plan, PlanInvalid, from_history, plan
from app.experiments.statistics.results import Estimate, Interval
from app.experiments.statistics.samples import Sample
from app.experiments.statistics.sequences import PLANNED_UNITS, Look, look, sequence

__all__ = [
    "PLANNED_UNITS",
    "Difference",
    "Estimate",
    "Guarded",
    "Interval",
    "Look",
    "Mismatch",
    "Plan",
    "PlanInvalid",
    "Sample",
    "betting_sequence",
    "difference",
    "from_history",
    "guardrail",
    "holm",
    "look",
    "mismatch",
    "mismatches",
    "plan",
    "sequence",
    "simultaneous_level",
]
