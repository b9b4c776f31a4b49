"""Rows of numbers as small images beside each other, in one PNG.

Shapes: N rows, D = height · width.
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.image
import numpy as np

_GAP = 1
"""Pixels between images, before enlargement."""
_ENLARGED = 8
"""Pixels of the file to one of an image."""


def write_tiles(rows_ND: np.ndarray, shape: tuple[int, int], path: Path) -> None:
    """Write the rows as images in a nearly square grid, from black for the least value to white for the greatest.

    Raises:
        OSError: the file cannot be written.
    """
    height, width = shape
    num_rows = len(rows_ND)
    columns = math.isqrt(num_rows - 1) + 1
    lines = -(-num_rows // columns)
    low, high = float(rows_ND.min()), float(rows_ND.max())
    grey_ND = (rows_ND - low) / (high - low if high > low else 1.0)
    sheet = np.full((lines * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP), 0.5)
    for place, grey_D in enumerate(grey_ND):
        top, left = (place // columns) * (height + _GAP) + _GAP, (place % columns) * (width + _GAP) + _GAP
        sheet[top : top + height, left : left + width] = grey_D.reshape(height, width)
    large = sheet.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
    # Without the library's name and version the same rows give the same bytes.
    matplotlib.image.imsave(path, large, cmap="gray", vmin=0.0, vmax=1.0, format="png", metadata={"Software": None})
