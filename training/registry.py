"""All rankers, in one literal table."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import cast

from training.config import RankerConfig
from training.errors import ConfigError
from training.ranker import Recipe


@dataclass(frozen=True, slots=True)
class RankerSpec:
    """A ranker's entry.

    Attributes:
        name: as typed on the command line.
        module: the recipe's module; it offers `Config` and `train`, and is imported when asked for.
        paper: authors, year and title.
        queries: the kinds of query it answers.
        needs: the kind of data it learns from.
        figures: best known figures, in words.
    """

    name: str
    module: str
    paper: str
    queries: tuple[str, ...] = ("known user", "history")
    needs: str = "clicks or ratings"
    figures: str = ""

    def config(self) -> type[RankerConfig]:
        """The class of its hyper-parameters."""
        return cast("type[RankerConfig]", import_module(self.module).Config)

    def recipe(self) -> Recipe:
        """Its training function."""
        return cast("Recipe", import_module(self.module).train)


RANKERS: dict[str, RankerSpec] = {
    spec.name: spec
    for spec in (
        RankerSpec("popularity", "training.recipes.popularity", "—"),
        RankerSpec("item-knn", "training.recipes.item_knn", "Sarwar et al. 2001, Item-based collaborative filtering"),
        RankerSpec(
            "puresvd",
            "training.recipes.puresvd",
            "Cremonesi, Koren, Turrin 2010, Performance of recommender algorithms on top-N",
        ),
        RankerSpec("ease", "training.recipes.ease", "Steck 2019, Embarrassingly shallow autoencoders"),
        RankerSpec("ials", "training.recipes.ials", "Hu, Koren, Volinsky 2008, Collaborative filtering for implicit feedback"),
        RankerSpec("bpr", "training.recipes.bpr", "Rendle et al. 2009, Bayesian personalized ranking"),
        RankerSpec("irgan", "training.recipes.irgan", "Wang et al. 2017, IRGAN"),
        RankerSpec(
            "irgan-history", "training.recipes.irgan_history", "Wang et al. 2017, IRGAN; both players are history encoders"
        ),
    )
}


def ranker(name: str) -> RankerSpec:
    """The entry of one ranker.

    Raises:
        ConfigError: no such ranker; the message lists those there are.
    """
    spec = RANKERS.get(name)
    if spec is None:
        raise ConfigError(f"no ranker {name!r}; there are {', '.join(RANKERS)}")
    return spec
