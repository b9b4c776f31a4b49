"""Plots as SVG to stand inside a page: coloured by its style sheet, said in words for those who don't see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

from app.experiments.reports.figures import Comparison, UnitsPoint
from app.experiments.reports.words import number, part, span

_WIDTH, _HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 16, 14, 42
_TICKS = 5
_SHORT = 0.03
"""Of the width: how long a line is of which there is one look."""
_LEAST_SHARE = 0.2
"""Of the looks that may lie outside of the plot: the first intervals are so wide that all else would be flat."""

Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where values stand in a drawing."""

    times: tuple[float, float]
    values: tuple[float, float]

    def x(self, time: float) -> float:
        start, end = self.times
        return _LEFT + (time - start) / (end - start) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.values
        inside = min(max(value, low), high)
        return _HEIGHT - _BOTTOM - (inside - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def points(self, spots: Sequence[Spot]) -> str:
        """As a path's list of points; a spot alone, which nobody would see, becomes a short line."""
        if len(spots) == 1:
            ((time, value),) = spots
            spots = [(time - _SHORT * (self.times[1] - self.times[0]), value), (time, value)]
        return " ".join(f"{self.x(time):.1f},{self.y(value):.1f}" for time, value in spots)


def estimate_over_time(one: Comparison, started: str) -> str:
    """The difference at each look, its confidence sequence as a band, and the fixed-horizon interval as dashed lines."""
    written = part if one.in_points == "relative" else number
    told = [point for point in one.points if point.interval is not None and point.value is not None]
    if not told:
        return ""
    times = [_seconds(point.time) for point in told]
    ends = sorted(
        (max(abs(end) for end in point.interval) for point in told if point.interval is not None),
    )
    reach = ends[min(len(ends) - 1, int(len(ends) * (1.0 - _LEAST_SHARE)))] or 1.0
    plane = _Plane(_widened(_seconds(started), times[-1]), _around(-reach, reach))
    lows = [(time, point.interval[0]) for time, point in zip(times, told, strict=True) if point.interval is not None]
    highs = [(time, point.interval[1]) for time, point in zip(times, told, strict=True) if point.interval is not None]
    values = [(time, point.value) for time, point in zip(times, told, strict=True) if point.value is not None]
    fixed = [(time, point.fixed) for time, point in zip(times, told, strict=True) if point.fixed is not None]
    body = [
        _axes(plane, lambda value: written(value, signed=True).replace(".0%", "%")),
        f'<polygon class="band" points="{plane.points(lows)} {" ".join(reversed(plane.points(highs).split()))}"/>',
        f'<line class="zero" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{plane.y(0):.1f}" y2="{plane.y(0):.1f}"/>',
        *(
            f'<polyline class="fixed" points="{plane.points([(time, pair[side]) for time, pair in fixed])}"/>'
            for side in (0, 1)
        ),
        f'<polyline class="value" points="{plane.points(values)}"/>',
        f'<circle class="dot" cx="{plane.x(times[-1]):.1f}" cy="{plane.y(values[-1][1]):.1f}" r="4"/>',
    ]
    last = told[-1]
    assert last.interval is not None and last.value is not None
    in_parts = one.in_points == "relative"
    words = (
        f"Difference of {one.variant} to {one.control} on {one.metric} over time. At the last of {len(told)} looks: "
        f"{written(last.value, signed=True)}, confidence sequence {span(last.interval, in_parts=in_parts)}"
    )
    if last.fixed is not None:
        words += f", fixed-horizon interval {span(last.fixed, in_parts=in_parts)}"
    return _svg(body, words)


def units_over_time(units: Sequence[UnitsPoint], started: str, unit: str) -> str:
    """How many units each variant had at each look."""
    if not units:
        return ""
    names = list(units[-1].units)
    times = [_seconds(point.time) for point in units]
    most = max(max(point.units.values()) for point in units) or 1
    plane = _Plane(_widened(_seconds(started), times[-1]), _around(0.0, float(most)))
    start = (plane.times[0], 0.0)
    body = [_axes(plane, lambda value: f"{value:,.0f}" if value == round(value) else "")]
    for row, name in enumerate(names):
        spots = [start, *((time, float(point.units[name])) for time, point in zip(times, units, strict=True))]
        body.append(f'<polyline class="line v{row % 8}" points="{plane.points(spots)}"/>')
    told = ", ".join(f"{name} {count:,}" for name, count in units[-1].units.items())
    return _svg(body, f"{unit.capitalize()}s of each variant over time. At the end: {told}")


def _axes(plane: _Plane, written: Callable[[float], str]) -> str:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for value in _ticks(*plane.values):
        y = plane.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(written(value))}</text>')
    start, end = (datetime.fromtimestamp(time, tz=UTC) for time in plane.times)
    is_short = end - start < timedelta(days=3)
    shown = ("%d %b %H:%M" if end - start > timedelta(hours=12) else "%H:%M:%S") if is_short else "%d %b"
    for step in range(_TICKS):
        time = plane.times[0] + (plane.times[1] - plane.times[0]) * step / (_TICKS - 1)
        anchor = "start" if step == 0 else "end" if step == _TICKS - 1 else "middle"
        said = datetime.fromtimestamp(time, tz=UTC).strftime(shown)
        parts.append(f'<text class="tick" x="{plane.x(time):.1f}" y="{bottom + 20}" text-anchor="{anchor}">{said}</text>')
    return "".join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between two values."""
    step = 10.0 ** math.floor(math.log10((high - low) / _TICKS))
    step *= next((factor for factor in (1, 2, 5) if (high - low) / (factor * step) <= _TICKS + 1), 10)
    first = math.ceil(low / step)
    return [round(place * step, 12) for place in range(first, math.floor(high / step) + 1)]


def _around(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low)
    return (low - room if low < 0 else low, high + room)


def _widened(start: float, end: float) -> tuple[float, float]:
    return (start, end) if end > start else (start, start + 1.0)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _svg(body: Sequence[str], words: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(words)}.">{"".join(body)}</svg>'
