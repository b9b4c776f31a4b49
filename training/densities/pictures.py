"""What an RBM over images has learned, as one picture: the weights of its hidden units, and samples.

Shapes: N images, H hidden units, D = height · width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from training.densities.rbm import RBMDensity
from training.densities.tiles import grid

_MOST = 100
"""Hidden units, and samples, in a picture."""
_INCHES = 5.0


def draw_rbm(density: RBMDensity, shape: tuple[int, int], generator: torch.Generator, path: Path) -> None:
    """Write a PNG of two grids: the weights of the hidden units with the largest ones, and samples from long Gibbs chains.

    Args:
        density: trained on rows of height · width pixels.
        shape: height and width.
        generator: of the samples.
        path: of the PNG.

    Raises:
        OSError: it cannot be written.
    """
    weights_HD = density.model.weights_HD.detach().cpu()
    strongest = torch.argsort(weights_HD.norm(dim=1), descending=True, stable=True)[:_MOST]
    samples_ND = density.sample(_MOST, generator).cpu()
    figure = Figure(figsize=(2 * _INCHES, 1.1 * _INCHES), layout="tight")
    titles = ("weights of hidden units (red: on, blue: off)", "samples")
    for axes, title, rows_ND in zip(figure.subplots(1, 2), titles, (weights_HD[strongest], samples_ND), strict=True):
        is_weights = title != "samples"
        images = grid(rows_ND.numpy(), shape)
        largest = max(float(np.nanmax(np.abs(images))), 1e-12)
        axes.imshow(images, cmap="RdBu_r" if is_weights else "gray", vmin=-largest if is_weights else 0.0, vmax=largest)
        axes.set_title(title)
        axes.set_axis_off()
    # Without the library's name and version the same model gives the same bytes.
    figure.savefig(path, format="png", metadata={"Software": None})
