"""Numbers as JSON has them, which knows no integers: 5.0 is as whole as 5."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

_EXACT = 2**53
"""Whole numbers below are told apart, however they are written."""


def whole(value: Any) -> Any:
    """A whole number as an integer; anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT else value


Whole = Annotated[int, BeforeValidator(whole)]
"""Where whole numbers are wanted, and texts are not taken for them."""
