"""A report as one HTML page that needs nothing but a browser, for people, printers and screen readers."""

from __future__ import annotations

import json
from datetime import datetime
from importlib import resources

import jinja2

from app.experiments.reports.decision import difference
from app.experiments.reports.figures import Comparison, Pair, Report
from app.experiments.reports.plots import estimate_over_time, units_over_time
from app.experiments.reports.words import chance, number, part, span

_SIGNS = {"good": "✓", "warning": "!", "bad": "✕"}


def render_page(report: Report) -> str:
    """The page; the same report gives the same bytes."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _or_dash, "part": part, "chance": chance, "difference": difference, "day": _day}
    template = environment.from_string(resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8"))
    return (
        template.render(
            report=report,
            comparisons=[one for metric in report.metrics for one in metric.comparisons],
            drawings=[
                (one, drawing)
                for metric in report.metrics
                for one in metric.comparisons
                if (drawing := estimate_over_time(one, report.started))
            ],
            units=units_over_time(report.units, report.started, report.unit),
            fixed=_fixed,
            signs=_SIGNS,
            definition=json.dumps(report.definition, indent=2, ensure_ascii=False),
            detail=lambda detail: json.dumps(detail, ensure_ascii=False) if detail else "",
        )
        + "\n"
    )


def _fixed(one: Comparison) -> str:
    """The interval of the fixed horizon."""
    pair: Pair | None = one.fixed_relative_interval if one.in_points == "relative" else one.fixed_interval
    return "—" if pair is None else span(pair, in_parts=one.in_points == "relative")


def _or_dash(value: float | None) -> str:
    return "—" if value is None else number(value)


def _day(time: str) -> str:
    return datetime.fromisoformat(time).strftime("%d %b %Y %H:%M")
