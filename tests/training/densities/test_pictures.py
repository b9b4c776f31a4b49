"""Pictures of an RBM: the images lie where they should, and a file comes of a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.data.binary import load_binary
from training.densities.pictures import draw_rbm
from training.densities.rbm import Config, fit
from training.densities.tiles import grid
from training.loop import Run


def test_images_lie_beside_and_below_each_other() -> None:
    """Five images of 2 × 3 in three columns, with one empty pixel between and an empty place at the end."""
    sheet = grid(np.arange(5)[:, None] * np.ones((1, 6)), (2, 3))
    assert sheet.shape == (5, 11)
    np.testing.assert_array_equal(sheet[:2, 4:7], 1.0)
    np.testing.assert_array_equal(sheet[3:, 4:7], 4.0)
    assert np.isnan(sheet[2]).all()
    assert np.isnan(sheet[:, 3]).all()
    assert np.isnan(sheet[3:, 8:]).all()


def test_an_rbm_of_digits_has_a_picture(tmp_path: Path) -> None:
    """The same model and seed give the same bytes, whatever else was drawn before."""
    density = fit(load_binary("digits"), Config(hidden_size=9, num_epochs=2, num_annealing_steps=20), Run(seed=0))
    contents = []
    for name in ("first.png", "second.png"):
        draw_rbm(density, (8, 8), torch.Generator().manual_seed(1), tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0].startswith(b"\x89PNG")
    assert contents[0] == contents[1]
