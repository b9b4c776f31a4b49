"""From a split to a bundle: the recipe never gets test data, every model of a run is measured and written, or nothing is."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.bundle import read_bundle, read_manifest
from tests.training.conftest import make_interactions
from training.config import RankerConfig
from training.data import Interactions, Split
from training.errors import ConfigError, InputError, Interrupted
from training.evaluation import PROTOCOLS, evaluate
from training.jobs import train as job
from training.jobs import train_ranker
from training.loop import Run
from training.ranker import TrainedRanker
from training.recipes import popularity
from training.registry import RankerSpec


class Config(RankerConfig):
    """Of a ranker that does not exist."""

    num_epochs: int = 2
    """Passes."""


@pytest.fixture
def split() -> Split:
    """Four fifths to learn from."""
    data = make_interactions()
    is_test_N = np.arange(len(data)) % 5 == 0
    return Split("made-up", "random", {"seed": 1}, data.where(~is_test_N), data.where(is_test_N), pd.DataFrame(index=range(40)))


class Spec(RankerSpec):
    """An entry whose recipe is given here instead of in a module."""

    __slots__ = ("train",)

    def recipe(self) -> Any:
        """The given one."""
        return self.train


def ranker(train: Any) -> Spec:
    spec = Spec("made-up", "nowhere", "Somebody 2001")
    object.__setattr__(spec, "train", train)
    return spec


def learned(data: Interactions, config: Any, run: Run) -> TrainedRanker:
    """Popularity with a curve, a summary and a variant that ranks the other way round."""
    with run.phase("fit", config.num_epochs) as phase:
        for _ in phase:
            phase.log(loss=0.5)
    trained = popularity.train(data, popularity.Config(), run)
    reverse = type(trained.model)(-trained.model.item_vectors_ID, trained.model.encoder, trained.model.policy)
    return TrainedRanker(trained.model, bias_folded=True, summary={"best": 1}, variants={"reverse": reverse})


def test_a_run_leaves_measured_bundles_and_its_curves(split: Split, tmp_path: Path) -> None:
    """The ranker and its variant, each measured under each protocol on the test part; manifest and training.json tell the same."""
    run = Run(seed=4, folder=tmp_path / "run")
    outcome = train_ranker(ranker(learned), split, Config(), run, bundles=tmp_path / "bundles", name="mine")
    bundle = read_bundle(outcome.bundle)
    assert outcome.bundle.parent == tmp_path / "bundles" / "mine"
    assert set(outcome.metrics) == set(PROTOCOLS)
    for protocol in PROTOCOLS:
        assert outcome.metrics[protocol] == pytest.approx(evaluate(bundle.model, split, protocol).means)
    manifest = bundle.manifest
    assert manifest.metrics == outcome.metrics
    assert (manifest.ranker, manifest.paper, manifest.seed) == ("made-up", "Somebody 2001", 4)
    assert manifest.config == {"num_epochs": 2}
    curves = {"fit/loss": [[0, 0.5], [1, 0.5]]}
    told = dict(manifest.training)
    assert told.pop("seconds") == pytest.approx(outcome.seconds, abs=1e-3)
    assert told == {"best": 1, "device": "cpu", "curves": curves}
    assert json.loads((tmp_path / "run" / "training.json").read_text()) == {"curves": curves}
    assert list(outcome.variants) == ["reverse"]
    variant = read_manifest(outcome.variants["reverse"])
    assert variant.name == "mine-reverse"
    assert variant.metrics["paper"]["AP"] < manifest.metrics["paper"]["AP"]


def test_the_recipe_gets_the_training_part_and_nothing_of_the_test_part(split: Split, tmp_path: Path) -> None:
    """The very object, before anything is evaluated."""
    given = []

    def train(data: Interactions, config: Any, run: Run) -> TrainedRanker:
        given.append((data, config, run))
        return learned(data, config, run)

    run, config = Run(), Config()
    train_ranker(ranker(train), split, config, run, bundles=tmp_path)
    assert len(given) == 1
    assert all(mine is theirs for mine, theirs in zip(given[0], (split.train, config, run), strict=True))


def test_the_outcome_is_one_json_object(split: Split, tmp_path: Path) -> None:
    """What machines read: names, seed, seconds, paths and figures."""
    outcome = train_ranker(ranker(learned), split, Config(), Run(seed=4), bundles=tmp_path)
    told = json.loads(json.dumps(outcome.as_json(), allow_nan=False))
    assert list(told) == ["ranker", "seed", "seconds", "bundle", "metrics", "variants"]
    assert (told["ranker"], told["seed"], told["metrics"]) == ("made-up", 4, outcome.metrics)
    assert Path(told["bundle"]) == outcome.bundle


@pytest.mark.parametrize("name", ["My Bundle", "../elsewhere", "", "-x", "a" * 101, "ünï"])
def test_a_name_that_no_bundle_can_have_is_refused_before_training(name: str, split: Split, tmp_path: Path) -> None:
    """Hours of training would be lost otherwise, and nothing may be written outside of the folder."""
    with pytest.raises(ConfigError, match="cannot name a bundle; expected at most 100 of"):
        train_ranker(ranker(never), split, Config(), Run(folder=tmp_path / "run"), bundles=tmp_path / "b", name=name)
    assert list(tmp_path.iterdir()) == []


def test_bundles_must_go_into_a_folder(split: Split, tmp_path: Path) -> None:
    """Said before training as well."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file is no folder; choose another"):
        train_ranker(ranker(never), split, Config(), Run(), bundles=tmp_path / "file")


def never(data: Interactions, config: Any, run: Run) -> TrainedRanker:
    """A recipe that must not be reached."""
    raise AssertionError("it was trained")


def test_the_folder_belongs_to_ranker_settings_data_seed_and_device(split: Split, tmp_path: Path) -> None:
    """The same run may be resumed; with another setting or on other data it may not."""
    folder = tmp_path / "run"
    train_ranker(ranker(learned), split, Config(), Run(folder=folder), bundles=tmp_path)
    train_ranker(ranker(learned), split, Config(), Run(folder=folder, resume=True), bundles=tmp_path)
    with pytest.raises(ConfigError, match=r"config \(num_epochs\) differ"):
        train_ranker(ranker(never), split, Config(num_epochs=3), Run(folder=folder, resume=True), bundles=tmp_path)
    other = Split("made-up", "random", {}, split.test, split.train, split.item_table)
    with pytest.raises(ConfigError, match="data differ"):
        train_ranker(ranker(never), other, Config(), Run(folder=folder, resume=True), bundles=tmp_path)
    with pytest.raises(ConfigError, match="seed differ"):
        train_ranker(ranker(never), split, Config(), Run(seed=1, folder=folder, resume=True), bundles=tmp_path)


def test_the_folder_is_locked_while_it_trains(split: Split, tmp_path: Path) -> None:
    """From the first epoch to the last bundle."""

    def train(data: Interactions, config: Any, run: Run) -> TrainedRanker:
        with pytest.raises(InputError, match="another process trains in"):
            train_ranker(ranker(never), split, Config(), Run(folder=run.folder), bundles=tmp_path)
        return learned(data, config, run)

    train_ranker(ranker(train), split, Config(), Run(folder=tmp_path / "run"), bundles=tmp_path)


def test_ctrl_c_leaves_a_checkpoint_and_no_bundle(split: Split, tmp_path: Path) -> None:
    """And the folder is free again."""

    def train(data: Interactions, config: Any, run: Run) -> TrainedRanker:
        with run.phase("fit", 5) as phase:
            for epoch in phase:
                phase.log(loss=1.0)
                if epoch == 2 and not run.resume:
                    raise KeyboardInterrupt
        return learned(data, Config(num_epochs=0), run)

    folder, bundles = tmp_path / "run", tmp_path / "bundles"
    with pytest.raises(Interrupted):
        train_ranker(ranker(train), split, Config(), Run(folder=folder), bundles=bundles)
    assert not bundles.exists()
    assert (folder / "checkpoints" / "fit").is_dir()
    assert len(json.loads((folder / "training.json").read_text())["curves"]["fit/loss"]) >= 2
    train_ranker(ranker(train), split, Config(), Run(folder=folder, resume=True), bundles=bundles)


def test_a_full_disk_at_the_export_leaves_no_bundle(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained stays in the run's folder, so that a resumption only has to export."""
    folder, bundles = tmp_path / "run", tmp_path / "bundles"

    def no_space(*_: object, **__: object) -> Iterator[None]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(job, "export_bundle", no_space)
        with pytest.raises(OSError, match="No space left"):
            train_ranker(ranker(learned), split, Config(), Run(folder=folder), bundles=bundles)
    assert not bundles.exists()
    run = Run(folder=folder, resume=True)
    train_ranker(ranker(learned), split, Config(), run, bundles=bundles)
    assert run.curves["fit/loss"] == [(0, 0.5), (1, 0.5)]
