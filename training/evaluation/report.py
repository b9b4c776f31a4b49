"""A comparison as one HTML page that needs nothing but a browser, for people, printers and screen readers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from itertools import groupby
from typing import Any

import jinja2
import numpy as np

from training.evaluation.agreement import PERSISTENCE, Agreement
from training.evaluation.breakdown import ActivityGroup
from training.evaluation.changes import Changes
from training.evaluation.evaluate import Protocol
from training.evaluation.plots import (
    Intervals,
    Means,
    activity_lines,
    agreement_matrix,
    cutoff_curves,
    forest,
    metric_dots,
    sorted_differences,
    training_curves,
)
from training.evaluation.query_study import QueryStudy
from training.evaluation.significance import Comparison, figure
from training.evaluation.study import Study

_PROTOCOLS: dict[Protocol, str] = {
    "paper": "Candidates are all items but those that the user liked in training, as in the official code of IRGAN.",
    "standard": "Candidates are all items but those that the user rated in training, liked or not.",
}
_GROUPS = {
    "test": ("All queries", "Every query of the test part."),
    "test_seen": (
        "Seen queries",
        "Some relevant document was an answer to a training query: a ranker can be good at these by remembering what gets asked for.",
    ),
    "test_unseen": (
        "Unseen queries",
        "No relevant document was an answer in training: what a ranker does for documents that nobody has asked for yet.",
    ),
}
_TESTS = {"randomisation": "randomisation", "t": "paired t", "wilcoxon": "Wilcoxon"}
_ALIKE = {"overlap@1": "overlap@1", "overlap@10": "overlap@10", "overlap@50": "overlap@50", "rbo": "RBO", "tau": "Kendall's τ"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """What the template needs of one protocol, or of one group of queries."""

    key: str
    heading: str
    meaning: str
    means: Means
    intervals: Intervals
    overall: Sequence[str] = ()
    curves: str
    curves_caption: str
    comparisons: Sequence[Comparison]
    drawings: Sequence[tuple[str, str, str]]
    agreements: Sequence[Agreement]
    matrix: str | None
    changes: Sequence[Changes]
    activity: Sequence[ActivityGroup] = ()
    activity_drawing: str | None = None
    popularity: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def metrics(self) -> list[str]:
        """Those that have intervals."""
        return list(next(iter(self.intervals.values())))

    @property
    def best(self) -> dict[str, float]:
        """Metric → the highest mean."""
        return {metric: max(own[metric] for own in self.means.values()) for metric in self.metrics}


def render_report(study: Study, *, date: str | None = None) -> str:
    """The page of rankers of items for people; the same study gives the same bytes.

    Args:
        study: what to show.
        date: shown if given.
    """
    num_items = study.split.train.num_items
    return _page(
        study,
        data=study.split.dataset,
        split=study.split.name,
        parameters=study.split.parameters,
        counted=f"{study.num_users:,} users with something to find among {num_items:,} items",
        unit="users",
        sections=[_protocol(study, protocol) for protocol in study.protocols],
        popularity=study.popularity,
        training=[
            (entrant.name, training_curves(entrant.name, entrant.curves, f"training-{place}"))
            for place, entrant in enumerate(study.entrants)
            if entrant.curves
        ],
        date=date,
    )


def render_query_report(study: QueryStudy, *, date: str | None = None) -> str:
    """The page of rankers of search, or of candidates.

    Args:
        study: what to show.
        date: shown if given.
    """
    return _page(
        study,
        data=study.data,
        split=study.split,
        parameters=study.parameters,
        counted=f"{next(iter(study.num_queries.values())):,} queries",
        unit="queries",
        sections=[_group(study, group) for group in study.groups],
        training=[],
        date=date,
    )


def _page(study: Study | QueryStudy, *, data: str, parameters: Mapping[str, Any], **told: Any) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure
    environment.filters["p_value"] = lambda p: "< .001" if p < 0.001 else figure(p, 3)
    environment.filters["signed"] = lambda value: f"+{figure(value)}" if value > 0 else figure(value)
    template = environment.from_string(resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        title=f"{' · '.join(entrant.name for entrant in study.entrants)} on {data}",
        study=study,
        data=data,
        parameters=json.dumps(dict(parameters), ensure_ascii=False) if parameters else "",
        tests=_TESTS,
        alike=_ALIKE,
        persistence=PERSISTENCE,
        **told,
    )
    return page + "\n"


def _protocol(study: Study, protocol: Protocol) -> _Section:
    found, intervals = study.evaluations[protocol], study.intervals[protocol]
    means = {name: evaluation.means for name, evaluation in found.items()}
    activity = study.activity[protocol]
    return _Section(
        key=protocol,
        heading=f"Protocol {protocol}",
        meaning=_PROTOCOLS[protocol],
        means=means,
        intervals=intervals,
        overall=list(dict.fromkeys(metric for evaluation in found.values() for metric in evaluation.overall)),
        curves=cutoff_curves(means, intervals, f"{protocol}-curves"),
        curves_caption="Metrics by cutoff; the bands are the intervals of the table.",
        **_differences(
            protocol,
            {name: evaluation.per_user for name, evaluation in found.items()},
            study.comparisons[protocol],
            study.agreements[protocol],
            study.changes[protocol],
        ),
        activity=activity,
        activity_drawing=activity_lines(activity, f"{protocol}-activity") if activity else None,
        popularity=study.popularity.listed[protocol],
    )


def _group(study: QueryStudy, group: str) -> _Section:
    intervals = study.intervals[group]
    means = {entrant.name: study.means(entrant, group) for entrant in study.entrants}
    heading, meaning = _GROUPS[group]
    is_in_Q = study.groups[group]
    return _Section(
        key=group,
        heading=f"{heading} ({study.num_queries[group]:,})",
        meaning=meaning,
        means=means,
        intervals=intervals,
        curves=metric_dots(means, intervals, f"{group}-dots"),
        curves_caption="Means with the intervals of the table.",
        **_differences(
            group,
            {e.name: {metric: values_Q[is_in_Q] for metric, values_Q in e.per_query.items()} for e in study.entrants},
            study.comparisons[group],
            study.agreements[group],
            study.changes[group],
        ),
    )


def _differences(
    key: str,
    values: Mapping[str, Mapping[str, np.ndarray]],
    comparisons: Sequence[Comparison],
    agreements: Sequence[Agreement],
    changes: Sequence[Changes],
) -> dict[str, Any]:
    """What every section shows of its comparisons; nothing where there are none."""
    by_metric = [(metric, list(own)) for metric, own in groupby(comparisons, key=lambda comparison: comparison.metric)]
    return {
        "comparisons": comparisons,
        "drawings": [
            (metric, forest(own, f"{key}-forest-{place}"), sorted_differences(values, own, f"{key}-sorted-{place}"))
            for place, (metric, own) in enumerate(by_metric)
        ],
        "agreements": agreements,
        "matrix": agreement_matrix(agreements, f"{key}-alike") if agreements else None,
        "changes": changes,
    }
