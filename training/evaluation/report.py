"""A study as one HTML page that needs nothing but a browser, for people, printers and screen readers."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import jinja2

from training.evaluation.evaluate import Protocol
from training.evaluation.plots import cutoff_curves, forest, training_curves, user_differences
from training.evaluation.significance import figure
from training.evaluation.study import Study

_PROTOCOLS: dict[Protocol, str] = {
    "paper": "Candidates are all items but those that the user liked in training, as in the official code of IRGAN.",
    "standard": "Candidates are all items but those that the user rated in training, liked or not.",
}
_TESTS = {"randomisation": "randomisation", "t": "paired t", "wilcoxon": "Wilcoxon"}


def render_report(study: Study, *, date: str | None = None) -> str:
    """The page; the same study gives the same bytes.

    Args:
        study: what to show.
        date: shown if given.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = figure
    template = environment.from_string(resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    page = template.render(
        title=f"{' · '.join(entrant.name for entrant in study.entrants)} on {study.split.dataset}",
        study=study,
        date=date,
        parameters=json.dumps(dict(study.split.parameters), ensure_ascii=False) if study.split.parameters else "",
        sections=[_section(study, protocol) for protocol in study.protocols],
        tests=_TESTS,
        training=[
            (entrant.name, training_curves(entrant, f"training-{place}"))
            for place, entrant in enumerate(study.entrants)
            if entrant.curves
        ],
    )
    return page + "\n"


def _section(study: Study, protocol: Protocol) -> dict[str, Any]:
    """What the template needs of one protocol."""
    found, intervals = study.evaluations[protocol], study.intervals[protocol]
    metrics = list(next(iter(intervals.values())))
    overall = list(dict.fromkeys(metric for evaluation in found.values() for metric in evaluation.overall))
    means = {name: evaluation.means for name, evaluation in found.items()}
    best = {metric: max(own[metric] for own in means.values()) for metric in metrics}
    drawings = [
        (
            metric,
            forest(chosen, f"{protocol}-forest-{place}"),
            user_differences(study, protocol, chosen, f"{protocol}-users-{place}"),
        )
        for place, metric in enumerate(study.metrics)
        if (chosen := [c for c in study.comparisons[protocol] if c.metric == metric])
    ]
    return {
        "protocol": protocol,
        "meaning": _PROTOCOLS[protocol],
        "comparisons": study.comparisons[protocol],
        "metrics": metrics,
        "overall": overall,
        "means": means,
        "intervals": intervals,
        "best": best,
        "curves": cutoff_curves(study, protocol, f"{protocol}-curves"),
        "drawings": drawings,
    }
