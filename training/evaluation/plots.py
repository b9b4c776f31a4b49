"""Plots of a comparison as SVG to stand inside a page: no files, no fonts, no dates, the same bytes for the same study.

Shapes: U users.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from training.evaluation.agreement import Agreement, mean_matrix
from training.evaluation.breakdown import ActivityGroup
from training.evaluation.significance import Comparison, Interval, figure, rounded_difference
from training.evaluation.study import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Means = Mapping[str, Mapping[str, float]]
"""Ranker → metric → mean."""
Intervals = Mapping[str, Mapping[str, Interval]]
"""Ranker → metric → interval of the mean."""

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which colour-blind people can tell apart."""
_MARKERS = "osD^vPX*"
_STYLES = ("-", "--", "-.", ":")
_FAMILIES = ("P", "R", "nDCG")
_ALIKE = {"overlap@10": "overlap@10", "rbo": "RBO", "tau": "Kendall's τ"}
_MOST_BESIDE = 5
"""Rankers whose tables still fit beside each other."""
_LONG = 6
"""Characters of a column's name from which it is turned."""
_WIDE = 30
"""Characters of a title that fit above a panel."""
_DARK = 0.6
"""Cells above this are too dark for black letters."""
_MOST_POINTS = 120
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


def cutoff_curves(means: Means, intervals: Intervals, key: str) -> str:
    """P@k, R@k and nDCG@k over k with their intervals as bands."""
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(_FAMILIES), columns=3)
        for axis, family in zip(axes, _FAMILIES, strict=True):
            for place, (ranker, own) in enumerate(intervals.items()):
                names = [name for name in own if name.startswith(f"{family}@")]
                ks = [int(name.split("@")[1]) for name in names]
                style = _style(place)
                axis.plot(ks, [means[ranker][name] for name in names], label=ranker, markersize=4, **style)
                lows, highs = [own[name].low for name in names], [own[name].high for name in names]
                axis.fill_between(ks, lows, highs, color=style["color"], alpha=0.15, linewidth=0)
            axis.set_xscale("log")
            axis.set_xticks(ks, labels=[str(k) for k in ks], minor=False)
            axis.minorticks_off()
            axis.set(title=f"{family}@k", xlabel="k")
        _legend(drawing, axes[0])
        told = "; ".join(f"{ranker}: nDCG@10 {figure(own['nDCG@10'])}" for ranker, own in means.items())
        return _svg(drawing, key, f"P, R and nDCG at cutoffs from 3 to 50, one line for each ranker, with intervals. {told}.")


def metric_dots(means: Means, intervals: Intervals, key: str) -> str:
    """Every metric with its interval, a row for each metric and ranker."""
    metrics = list(next(iter(intervals.values())))
    with mpl.rc_context(_SETTINGS):
        drawing = Figure(figsize=(8.0, 0.8 + (0.12 + 0.16 * len(intervals)) * len(metrics)), layout="constrained")
        axis = drawing.add_subplot()
        for place, (ranker, own) in enumerate(intervals.items()):
            style = _style(place)
            rows = np.arange(len(metrics)) + (place - (len(intervals) - 1) / 2) * 0.7 / len(intervals)
            lows, highs = [own[metric].low for metric in metrics], [own[metric].high for metric in metrics]
            axis.hlines(rows, lows, highs, color=style["color"], linewidth=1.5, linestyle=style["linestyle"])
            dots = [means[ranker][metric] for metric in metrics]
            axis.plot(dots, rows, style["marker"], color=style["color"], label=ranker, markersize=5)
        axis.set_yticks(range(len(metrics)), labels=metrics)
        axis.set_ylim(len(metrics) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        axis.hlines(np.arange(1, len(metrics)) - 0.5, *axis.get_xlim(), color="#dddddd", linewidth=0.8)
        axis.margins(x=0)
        _legend(drawing, axis)
        first = metrics[0]
        told = "; ".join(f"{ranker}: {first} {figure(own[first])}" for ranker, own in means.items())
        return _svg(drawing, key, f"Means of {', '.join(metrics)} with intervals, a dot for each ranker. {told}.")


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


def sorted_differences(values: Mapping[str, Mapping[str, np.ndarray]], comparisons: Sequence[Comparison], key: str) -> str:
    """Every user's difference on one metric, sorted, a panel for each comparison.

    Args:
        values: ranker → metric → value of each user, float64 [U].
        comparisons: on the same metric.
        key: see `_svg`.
    """
    unit, metric = comparisons[0].unit, comparisons[0].metric
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(comparisons), columns=min(3, len(comparisons)), shared=True)
        for axis, comparison in zip(axes, comparisons, strict=True):
            found = np.sort(rounded_difference(values[comparison.ranker][metric], values[comparison.against][metric]))
            if len(found) > _MOST_POINTS:
                found = np.quantile(found, np.linspace(0, 1, _MOST_POINTS))
            edges = np.linspace(0, 1, len(found) + 1)
            num_lost, num_kept = (int(np.count_nonzero(side)) for side in (found < 0, found <= 0))
            for part, colour in ((slice(0, num_lost), _COLOURS[1]), (slice(num_kept, len(found)), _COLOURS[0])):
                if part.start < part.stop:
                    axis.stairs(found[part], edges[part.start : part.stop + 1], fill=True, color=colour, linewidth=0)
            axis.axhline(comparison.difference, color="black", linewidth=1, linestyle="--")
            title = _pair(comparison)
            axis.set_title(title.replace(" − ", "\n− ") if len(title) > _WIDE else title)
            axis.set(xlabel=f"share of {unit}", xlim=(0, 1))
        axes[0].set_ylabel(f"difference of {metric}")
        told = "; ".join(
            f"{_pair(c)}: {c.num_better} {unit} better, {c.num_equal} equal, {c.num_worse} worse" for c in comparisons
        )
        return _svg(drawing, key, f"Differences of {metric}, sorted, over {unit}. {told}.")


def agreement_matrix(found: Sequence[Agreement], key: str) -> str:
    """Mean overlap, rank-biased overlap and τ of each pair: rankers by rankers, or pairs by measures where one is in all of them."""
    names = list(dict.fromkeys(name for one in found for name in (one.ranker, one.against)))
    with mpl.rc_context(_SETTINGS | {"axes.grid": False}):
        if len(found) == len(names) * (len(names) - 1) / 2 and len(names) > 2:
            drawing, axes = _panels(len(_ALIKE), columns=3 if len(names) <= _MOST_BESIDE else 1, height=0.9 + 0.36 * len(names))
            for axis, (measure, title) in zip(axes, _ALIKE.items(), strict=True):
                _heat(axis, mean_matrix(found, measure, names), names, names)
                axis.set_title(title)
        else:
            drawing = Figure(figsize=(5.0, 0.9 + 0.32 * len(found)), layout="constrained")
            means = [[np.nan if (s := one.measures[m]) is None else s.mean for m in _ALIKE] for one in found]
            _heat(drawing.add_subplot(), np.array(means), [_pair(one, "and") for one in found], list(_ALIKE.values()))
        told = "; ".join(
            f"{_pair(one, 'and')}: "
            + ", ".join(
                f"{title} {'—' if (s := one.measures[m]) is None else figure(s.mean, 2)}" for m, title in _ALIKE.items()
            )
            for one in found
        )
        return _svg(drawing, key, f"How much alike the lists of two rankers are, means. {told}.")


def activity_lines(groups: Sequence[ActivityGroup], key: str) -> str:
    """Mean of each metric over groups of users, the most active last, a line for each ranker."""
    metrics = list(next(iter(groups[0].means.values())))
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(metrics), columns=min(3, len(metrics)))
        for axis, metric in zip(axes, metrics, strict=True):
            for place, ranker in enumerate(groups[0].means):
                axis.plot([group.means[ranker][metric] for group in groups], label=ranker, markersize=4, **_style(place))
            axis.set_xticks(range(len(groups)), labels=[group.name for group in groups])
            axis.set(title=metric, xlabel="items liked in training")
        _legend(drawing, axes[0])
        told = "; ".join(
            f"{ranker}: {metrics[0]} {figure(groups[0].means[ranker][metrics[0]])} to {figure(groups[-1].means[ranker][metrics[0]])}"
            for ranker in groups[0].means
        )
        return _svg(drawing, key, f"Means of {', '.join(metrics)} by what users liked in training, from least to most. {told}.")


def training_curves(ranker: str, curves: Curves, key: str) -> str:
    """All curves that a training kept, a panel each."""
    with mpl.rc_context(_SETTINGS):
        drawing, axes = _panels(len(curves), columns=min(3, len(curves)), height=1.9)
        for axis, (name, points) in zip(axes, curves.items(), strict=True):
            axis.plot([epoch for epoch, _ in points], [value for _, value in points], color=_COLOURS[0], linewidth=1.2)
            axis.set_title(name)
        for axis in axes[-3:]:
            axis.set_xlabel("epoch")
        last = "; ".join(f"{name}: {points[0][1]:.4g} to {points[-1][1]:.4g}" for name, points in curves.items())
        return _svg(drawing, key, f"Training curves of {ranker}, first to last value. {last}.")


def _heat(axis: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    """A table of numbers from 0 to 1 as coloured cells; what is missing stays white."""
    axis.pcolormesh(np.ma.masked_invalid(values), cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="white", linewidth=1)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value > _DARK else "black"
            axis.text(column + 0.5, row + 0.5, figure(value, 2), ha="center", va="center", color=colour)
    axis.set_yticks(np.arange(len(rows)) + 0.5, labels=rows)
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, columns)) > _LONG else {}
    axis.set_xticks(np.arange(len(columns)) + 0.5, labels=columns, **turned)
    axis.set_ylim(len(rows), 0)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _pair(pair: Comparison | Agreement, between: str = "−") -> str:
    return f"{pair.ranker} {between} {pair.against}"


def _style(place: int) -> dict[str, Any]:
    """Colour, marker and line of the n-th ranker: no two of the first 28 look alike, also in black and white."""
    return {
        "color": _COLOURS[place % len(_COLOURS)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": _STYLES[place // len(_COLOURS) % len(_STYLES)],
    }


def _legend(drawing: Figure, axis: Axes) -> None:
    """Above all panels, where it hides nothing."""
    handles, labels = axis.get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside upper center", ncols=min(4, len(labels)))


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
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r">\s+<", "><", text)
    text = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path.group()), text)  # no screen shows more digits
    text = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\g<1>{key}-", text)
    label = description.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1).strip()
