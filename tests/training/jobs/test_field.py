"""Every ranker on the same data: what fits is trained once, what does not fit is told and left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.bundle import read_manifest
from tests.training.conftest import make_interactions
from training.data import Interactions, Split
from training.errors import ConfigError, DataError
from training.jobs import field
from training.loop import Run
from training.ranker import TrainedRanker
from training.registry import RANKERS, RankerSpec


class Refusing(RankerSpec):
    """A ranker that cannot learn from this data."""

    def recipe(self):
        """One that says so."""

        def train(data: Interactions, config: object, run: Run) -> TrainedRanker:
            raise DataError("it needs what these data have not")

        return train


@pytest.fixture
def split() -> Split:
    """Four fifths to learn from."""
    data = make_interactions()
    is_test_N = np.arange(len(data)) % 5 == 0
    return Split("made-up", "random", {}, data.where(~is_test_N), data.where(is_test_N), pd.DataFrame(index=range(40)))


@pytest.fixture
def few_rankers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of them, the middle one impossible."""
    impossible = Refusing("impossible", RANKERS["popularity"].module, "—")
    few = {"popularity": RANKERS["popularity"], "impossible": impossible, "item-knn": RANKERS["item-knn"]}
    monkeypatch.setattr(field, "RECOMMENDERS", few)


def found(split: Split, folder: Path, seed: int = 0) -> tuple[list[Path], list[str]]:
    told: list[str] = []
    return field.whole_field(split, bundles=folder, run=lambda _: Run(seed=seed), announce=told.append), told


@pytest.mark.usefixtures("few_rankers")
def test_every_ranker_that_can_is_trained_and_the_others_are_told_with_the_reason(split: Split, tmp_path: Path) -> None:
    paths, told = found(split, tmp_path)
    assert [path.parent.name for path in paths] == ["popularity", "item-knn"]
    assert "impossible is left out: it needs what these data have not" in told


@pytest.mark.usefixtures("few_rankers")
def test_what_is_wrong_with_the_place_is_no_reason_to_leave_rankers_out(split: Split, tmp_path: Path) -> None:
    """A file in place of the folder of bundles stops the whole of it with the message of a single training."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is no folder"):
        found(split, tmp_path / "file")


@pytest.mark.usefixtures("few_rankers")
def test_bundles_that_are_there_are_taken_and_only_those_of_the_same_training(split: Split, tmp_path: Path) -> None:
    """Another seed or other data make another bundle; a damaged manifest is no bundle."""
    first, _ = found(split, tmp_path)
    assert found(split, tmp_path)[0] == first
    other_seed, _ = found(split, tmp_path, seed=1)
    assert read_manifest(other_seed[0]).seed == 1
    assert not set(other_seed) & set(first)
    fewer = Split("made-up", "random", {}, split.train.where(np.arange(len(split.train)) > 5), split.test, split.item_table)
    assert not set(found(fewer, tmp_path)[0]) & {*first, *other_seed}
    (first[0] / "manifest.json").write_text("{")
    again, _ = found(split, tmp_path)
    assert again[0] != first[0]
    assert again[1] == first[1]
