"""Whether a matrix of items by items can be afforded at all."""

from __future__ import annotations

from training.errors import DataError

_LARGEST_BYTES = 8 * 2**30


def check_square(num_items: int, *, copies: int, ranker: str) -> None:
    """Refuse a catalogue whose I × I matrices would not fit, before hours are spent on it.

    Args:
        num_items: I.
        copies: float64 matrices held at once.
        ranker: for the message.

    Raises:
        DataError: more than 8 GiB.
    """
    needed = copies * 8 * num_items**2
    if needed > _LARGEST_BYTES:
        raise DataError(
            f"{ranker} weighs every item against every other: {num_items:,} items need {needed / 2**30:.0f} GiB, more than the "
            f"{_LARGEST_BYTES // 2**30} GiB it may take; use ials, bpr, irgan or irgan-history, or a smaller catalogue"
        )
