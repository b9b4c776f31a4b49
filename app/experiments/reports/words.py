"""Figures as people read them."""

from __future__ import annotations

from collections.abc import Sequence


def part(value: float, *, signed: bool = False) -> str:
    """A part of a whole, in per cent: two digits and more where it is small."""
    percent = 100.0 * value
    if abs(percent) < 0.005:
        return "0%"
    places = 1 if abs(percent) < 99.95 else 0
    if abs(percent) < 0.1:
        places = 2
    text = f"{percent:+,.{places}f}" if signed else f"{percent:,.{places}f}".removesuffix(".0")
    return f"{text.replace('-', '−')}%"


def number(value: float, *, signed: bool = False) -> str:
    """Four significant digits, without an exponent where people can do without."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1000:
        text = f"{value:{'+' if signed else ''},.0f}"
    elif size >= 1e-4:
        text = f"{value:{'+' if signed else ''}.4g}"
    else:
        text = f"{value:{'+' if signed else ''}.2g}"
    return text.replace("-", "−")


def amount(value: float) -> str:
    """A difference in the metric's own unit."""
    return number(value, signed=True)


def span(interval: Sequence[float], *, in_parts: bool) -> str:
    """Both ends of an interval."""
    low, high = (part(end, signed=True) if in_parts else number(end, signed=True) for end in interval)
    return f"[{low}, {high}]"


def count(units: int, unit: str, *, more: bool = False) -> str:
    """How many."""
    return f"{units:,} {'more ' if more else ''}{unit}{'' if units == 1 else 's'}"


def chance(p: float | None) -> str:
    """A p value."""
    if p is None:
        return "—"
    return "< .001" if p < 0.001 else "1" if p >= 0.9995 else f"{p:.3f}".removeprefix("0")
