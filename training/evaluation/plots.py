"""Plots of a study as SVG to stand inside a page: no files, no fonts, no dates, the same bytes for the same study.

Shapes: U users.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from training.evaluation.evaluate import Protocol
from training.evaluation.significance import Comparison, figure
from training.evaluation.study import Entrant, Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which colour-blind people can tell apart."""
_MARKERS = "osD^vPX*"
_STYLES = ("-", "--", "-.", ":")
_FAMILIES = ("P", "R", "nDCG")
_MOST_POINTS = 200
"""Users drawn of one comparison; more are shown by as many quantiles."""
_SETTINGS = {
    "svg.hashsalt": "irgan",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


def cutoff_curves(study: Study, protocol: Protocol, key: str) -> str:
    """P@k, R@k and nDCG@k over k with their intervals as bands."""
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(_FAMILIES), columns=3)
        for axis, family in zip(axes, _FAMILIES, strict=True):
            for place, entrant in enumerate(study.entrants):
                intervals = study.intervals[protocol][entrant.name]
                means = study.evaluations[protocol][entrant.name].means
                names = [name for name in intervals if name.startswith(f"{family}@")]
                ks = [int(name.split("@")[1]) for name in names]
                style = _style(place)
                axis.plot(ks, [means[name] for name in names], label=entrant.name, markersize=4, **style)
                lows, highs = [intervals[name].low for name in names], [intervals[name].high for name in names]
                axis.fill_between(ks, lows, highs, color=style["color"], alpha=0.15, linewidth=0)
            axis.set_xscale("log")
            axis.set_xticks(ks, labels=[str(k) for k in ks], minor=False)
            axis.minorticks_off()
            axis.set(title=f"{family}@k", xlabel="k")
        axes[0].legend()
        found = study.evaluations[protocol]
        told = "; ".join(f"{name}: nDCG@10 {figure(evaluation.means['nDCG@10'])}" for name, evaluation in found.items())
        return _svg(drawing, key, f"P, R and nDCG at cutoffs from 3 to 50, one line for each ranker, with intervals. {told}.")


def forest(comparisons: Sequence[Comparison], key: str) -> str:
    """Mean differences of one metric with their intervals, a row for each comparison."""
    with mpl.rc_context(_SETTINGS):
        drawing = Figure(figsize=(8.0, 0.9 + 0.32 * len(comparisons)), layout="constrained")
        axis = drawing.add_subplot()
        for row, comparison in enumerate(comparisons):
            colour = _COLOURS[0] if comparison.is_significant else "#777777"
            axis.plot([comparison.interval.low, comparison.interval.high], [row, row], color=colour, linewidth=2)
            face = colour if comparison.is_significant else "white"
            axis.plot([comparison.difference], [row], "o", color=colour, markerfacecolor=face, markersize=6)
        axis.axvline(0.0, color="black", linewidth=1)
        axis.set_yticks(range(len(comparisons)), labels=[_pair(comparison) for comparison in comparisons])
        axis.set_ylim(len(comparisons) - 0.5, -0.5)
        axis.set_xlabel(f"mean difference of {comparisons[0].metric}")
        told = "; ".join(
            f"{_pair(c)}: {figure(c.difference)} [{figure(c.interval.low)}, {figure(c.interval.high)}]" for c in comparisons
        )
        return _svg(drawing, key, f"Mean differences of {comparisons[0].metric} with intervals. {told}.")


def user_differences(study: Study, protocol: Protocol, comparisons: Sequence[Comparison], key: str) -> str:
    """Every user's difference on one metric, sorted, a panel for each comparison."""
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(comparisons), columns=min(3, len(comparisons)), shared=True)
        for axis, comparison in zip(axes, comparisons, strict=True):
            found = study.evaluations[protocol]
            first_U, second_U = (found[name].per_user[comparison.metric] for name in (comparison.ranker, comparison.against))
            values = np.sort(np.round(first_U - second_U, 12))
            if len(values) > _MOST_POINTS:
                values = np.quantile(values, np.linspace(0, 1, _MOST_POINTS))
            share = (np.arange(len(values)) + 0.5) / len(values)
            for side, colour in ((values > 0, _COLOURS[0]), (values < 0, _COLOURS[1])):
                axis.fill_between(share, np.where(side, values, 0.0), color=colour, linewidth=0, step="mid")
            axis.axhline(comparison.difference, color="black", linewidth=1, linestyle="--")
            axis.set(title=_pair(comparison), xlabel="share of users", xlim=(0, 1))
        axes[0].set_ylabel(f"difference of {comparisons[0].metric}")
        told = "; ".join(
            f"{_pair(c)}: {c.num_better} users better, {c.num_equal} equal, {c.num_worse} worse" for c in comparisons
        )
        return _svg(drawing, key, f"Differences of {comparisons[0].metric} of each user, sorted. {told}.")


def training_curves(entrant: Entrant, key: str) -> str:
    """All curves that the training kept, a panel each."""
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(entrant.curves), columns=min(3, len(entrant.curves)), height=1.9)
        for axis, (name, points) in zip(axes, entrant.curves.items(), strict=True):
            axis.plot([epoch for epoch, _ in points], [value for _, value in points], color=_COLOURS[0], linewidth=1.2)
            axis.set_title(name)
        for axis in axes[-3:]:
            axis.set_xlabel("epoch")
        last = "; ".join(f"{name}: {points[0][1]:.4g} to {points[-1][1]:.4g}" for name, points in entrant.curves.items())
        return _svg(drawing, key, f"Training curves of {entrant.name}, first to last value. {last}.")


def _pair(comparison: Comparison) -> str:
    return f"{comparison.ranker} − {comparison.against}"


def _style(place: int) -> dict[str, Any]:
    """Colour, marker and line of the n-th ranker: no two of the first 28 look alike, also in black and white."""
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _STYLES[place // len(_COLOURS) % len(_STYLES)],
    }


def _panels(number: int, *, columns: int, height: float = 2.7, shared: bool = False) -> tuple[Figure, list[Axes]]:
    rows = -(-number // columns)
    width = 9.0 if columns > 1 else 6.0
    drawing = Figure(figsize=(width, height * rows), layout="constrained")
    grid = drawing.subplots(rows, columns, squeeze=False, sharey=shared).ravel()
    for spare in grid[number:]:
        spare.remove()
    return drawing, list(grid[:number])


def _svg(drawing: Figure, key: str, description: str) -> str:
    """The drawing as an element of a page, with what it shows in words; `key` keeps its ids apart from other drawings'."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(drawing).print_svg(buffer, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{key}-", text)
    label = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
