"""Rows of numbers as small images beside each other, in one PNG.

Shapes: N rows, D = height · width.
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.image
import numpy as np

_BETWEEN = 0.5
"""Grey of what is no image."""
_ENLARGED = 8
"""Pixels of the file to one of an image."""


def grid(rows_ND: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The rows as images in a nearly square grid, with one empty pixel between; NaN where there is none."""
    height, width = shape
    columns = math.isqrt(len(rows_ND) - 1) + 1
    lines = -(-len(rows_ND) // columns)
    sheet = np.full((lines * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for place, row_D in enumerate(rows_ND):
        top, left = place // columns * (height + 1), place % columns * (width + 1)
        sheet[top : top + height, left : left + width] = row_D.reshape(shape)
    return sheet


def write_tiles(rows_ND: np.ndarray, shape: tuple[int, int], path: Path) -> None:
    """Write the rows as images in a nearly square grid, from black for the least value to white for the greatest.

    Raises:
        OSError: the file cannot be written.
    """
    low, high = float(rows_ND.min()), float(rows_ND.max())
    grey_ND = (rows_ND - low) / (high - low if high > low else 1.0)
    sheet = np.pad(np.nan_to_num(grid(grey_ND, shape), nan=_BETWEEN), 1, constant_values=_BETWEEN)
    large = sheet.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
    # Without the library's name and version the same rows give the same bytes.
    matplotlib.image.imsave(path, large, cmap="gray", vmin=0.0, vmax=1.0, format="png", metadata={"Software": None})
