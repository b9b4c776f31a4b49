"""From binary rows to a log-likelihood: train, choose on valid, test once."""

from __future__ import annotations

import logging
import math
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from training.config import RankerConfig
from training.data.binary import BinaryData
from training.densities import Density, DensitySpec, Estimate
from training.errors import ConfigError
from training.jobs.run_folder import run_folder
from training.loop import Run

_log = logging.getLogger(__name__)

_PICTURED = 100
"""Samples in a picture."""
_PICTURE_STREAM = 9
"""Of the random numbers of a picture."""


@runtime_checkable
class Samples(Protocol):
    """A density that rows can be drawn from."""

    def sample(self, num_rows: int, generator: torch.Generator) -> Tensor:
        """Rows of 0 and 1, float [N, D]."""
        ...


@dataclass(frozen=True, slots=True)
class DensityOutcome:
    """What came of it.

    Attributes:
        model: its name in the table of densities.
        data: the data set's name.
        seed: as given.
        seconds: of the training alone, choice on valid included.
        dimensions: of a row.
        rows: part → number of rows.
        log_likelihood: mean of each part, nats a row.
        density: the model itself.
    """

    model: str
    data: str
    seed: int
    seconds: float
    dimensions: int
    rows: dict[str, int]
    log_likelihood: dict[str, Estimate]
    density: Density

    def as_json(self) -> dict[str, Any]:
        """What `irgan density --json` prints."""
        return {
            "model": self.model,
            "data": self.data,
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
            "dimensions": self.dimensions,
            "rows": self.rows,
            "log_likelihood": {part: asdict(estimate) for part, estimate in self.log_likelihood.items()},
        }


def measure_density(spec: DensitySpec, data: BinaryData, config: RankerConfig, run: Run) -> DensityOutcome:
    """Train a model, and measure it once on the validation and once on the test rows.

    Args:
        spec: which model.
        data: the model is given no test rows: they are taken out before it learns.
        config: its hyper-parameters.
        run: where and how; its `folder` is locked meanwhile.

    Raises:
        Interrupted: Ctrl-C; a checkpoint was kept where `run` has a folder.
    """
    identity = {
        "density": spec.name,
        "config": config.model_dump(mode="json"),
        "data": data.fingerprint(),
        "seed": run.seed,
        "device": str(run.device),
    }
    with nullcontext() if run.folder is None else run_folder(run.folder, identity, resume=run.resume):
        started = time.perf_counter()
        density = spec.fit()(data.without_test(), config, run)
        seconds = time.perf_counter() - started
        run.write_curves()
        _log.info("%s learned in %.1f s", spec.name, seconds)
        estimates = {
            part: density.log_likelihood(torch.from_numpy(rows_ND).float().to(run.device))
            for part, rows_ND in (("valid", data.valid_ND), ("test", data.test_ND))
        }
    return DensityOutcome(
        model=spec.name,
        data=data.name,
        seed=run.seed,
        seconds=seconds,
        dimensions=data.num_dimensions,
        rows=data.num_rows,
        log_likelihood=estimates,
        density=density,
    )


def picture_shape(path: Path, data: BinaryData) -> tuple[int, int]:
    """Height and width of a row as an image; asked before anything is trained.

    Raises:
        ConfigError: rows are no square images, or there cannot be a picture at `path`.
    """
    side = math.isqrt(data.num_dimensions)
    if side * side != data.num_dimensions:
        raise ConfigError(
            f"--picture: rows of {data.name} have {data.num_dimensions:,} values, which is no square, so they are no images; "
            "leave --picture out"
        )
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--picture {path} is no PNG; expected a name that ends in .png")
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"--picture {path}: there is no folder {path.parent}, or it is a folder itself; choose another name")
    return side, side


def draw(density: Density, shape: tuple[int, int], path: Path, run: Run) -> None:
    """Samples of the model as one picture; of a Boltzmann machine the weights as well.

    Raises:
        ConfigError: nothing can be drawn from this model.
        OSError: the picture cannot be written.
    """
    from training.densities.rbm import RBMDensity  # noqa: PLC0415 - of one model alone

    random = run.generator(_PICTURE_STREAM)
    if isinstance(density, RBMDensity):
        from training.densities.pictures import draw_rbm  # noqa: PLC0415 - brings plotting with it

        draw_rbm(density, shape, random, path)
    elif isinstance(density, Samples):
        from training.densities.tiles import write_tiles  # noqa: PLC0415 - likewise

        write_tiles(density.sample(_PICTURED, random).cpu().numpy(), shape, path)
    else:
        raise ConfigError("--picture: this model draws no samples; leave --picture out")
    _log.info("what the model draws is in %s", path)
