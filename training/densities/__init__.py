"""Models of binary vectors whose likelihood can be measured, in one literal table; `irgan density` trains them.

A model's module offers `Config` and `fit(data, config, run) -> Density`: it learns from the training rows, chooses by the validation
rows, and never sees a test row.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from training.config import RankerConfig
from training.data.binary import BinaryData
from training.densities.density import Density, Estimate, Kind
from training.errors import ConfigError
from training.loop import Run

__all__ = ["DENSITIES", "Density", "DensitySpec", "Estimate", "Fit", "Kind", "density_model"]


class Fit(Protocol):
    """The one function that a model's module must offer."""

    def __call__(self, data: BinaryData, config: Any, run: Run) -> Density:
        """Learn from the training rows, choose by the validation rows."""
        ...


@dataclass(frozen=True, slots=True)
class DensitySpec:
    """A model's entry.

    Attributes:
        name: as typed on the command line.
        module: it offers `Config` and `fit`, and is imported when asked for.
        paper: authors, year and title.
    """

    name: str
    module: str
    paper: str

    def config(self) -> type[RankerConfig]:
        """The class of its hyper-parameters."""
        return cast("type[RankerConfig]", import_module(self.module).Config)

    def fit(self) -> Fit:
        """Its training function."""
        return cast("Fit", import_module(self.module).fit)


DENSITIES: dict[str, DensitySpec] = {
    spec.name: spec
    for spec in (
        DensitySpec("nade", "training.densities.nade", "Uria et al. 2016, Neural autoregressive distribution estimation"),
        DensitySpec("rbm", "training.densities.rbm", "Salakhutdinov and Murray 2008, On the quantitative analysis of DBNs"),
        DensitySpec("vae", "training.densities.vae", "Kingma and Welling 2014, Auto-encoding variational Bayes"),
        DensitySpec("avb", "training.densities.avb", "Mescheder et al. 2017, Adversarial variational Bayes"),
    )
}

_WITHOUT = {
    "gan": "its generator draws samples and gives no probabilities",
    "vae-gan": "its decoder is trained by a learned similarity and not by a likelihood",
}


def density_model(name: str) -> DensitySpec:
    """The entry of one model.

    Raises:
        ConfigError: no such model, or one that has no likelihood; the message lists those there are.
    """
    spec = DENSITIES.get(name)
    if spec is None:
        known = ", ".join(DENSITIES)
        if name in _WITHOUT:
            raise ConfigError(f"{name} has no density: {_WITHOUT[name]}; there are {known}")
        raise ConfigError(f"no density model {name!r}; there are {known}")
    return spec
