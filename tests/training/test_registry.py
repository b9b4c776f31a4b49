"""The table of rankers: complete, and cheap to look into."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from training import recipes
from training.config import RankerConfig
from training.errors import ConfigError
from training.registry import RANKERS, ranker


def test_every_recipe_is_registered_under_its_own_name() -> None:
    """A file that nobody registered would be a ranker that nobody can train."""
    folder = Path(str(recipes.__file__)).parent
    there = {path.stem for path in folder.iterdir() if path.stem != "__init__" and not path.name.startswith((".", "__"))}
    assert {spec.module.rpartition(".")[2] for spec in RANKERS.values()} == there
    for name, spec in RANKERS.items():
        assert spec.name == name == spec.module.rpartition(".")[2].replace("_", "-")
        assert issubclass(spec.config(), RankerConfig)
        assert callable(spec.recipe())
        assert spec.paper
        assert spec.queries


def test_an_unknown_ranker_is_told_with_those_there_are() -> None:
    """The whole list, so that a typo is found at once."""
    assert ranker("ease") is RANKERS["ease"]
    with pytest.raises(ConfigError, match=r"no ranker 'eaze'; there are popularity, item-knn, .*irgan-history"):
        ranker("eaze")


def test_looking_into_the_table_imports_no_recipe() -> None:
    """A recipe's libraries are loaded when it is asked for."""
    code = "import sys, training.registry; sys.exit(any(name.startswith('training.recipes.') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0
