"""Nights that begin with the weights of the live release: with which, when not, and what that says of what they have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bundle import RecommenderManifest, read_manifest
from app.releases import ReleaseStore
from tests.training.conftest import make_interactions
from tests.training.jobs.retraining import write_job
from training.data import Interactions
from training.errors import ConfigError
from training.jobs.retrain import Places, plan_of, read_retrain_config, retrain
from training.warm import Weights

BPR = """
[[rankers]]
name = "bpr"
settings = {embedding_size = 4, num_epochs = 6}
warm_start = {num_epochs = 2}
"""
LENIENT = "margin = 1.0\nleast_coverage = 0.0\nleast_novelty = 0.0\nmost_popular = 1.0"
ALWAYS = 'champion = "always"'


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def events(share: float) -> Interactions:
    """The first ones of the made-up events."""
    data = make_interactions()
    assert data.times is not None
    return data.where(data.times < np.quantile(data.times, share))


def night(place: Path, share: float = 1.0, **sections: str) -> dict[str, Any]:
    """A run on the first events; what passes becomes the champion."""
    write_job(place, interactions=events(share), **({"named": BPR, "gate": LENIENT, "publish": ALWAYS} | sections))
    config = read_retrain_config(Path("config.toml"))
    return retrain(config, Places.of(config, {})).record


def manifest_of(record: dict[str, Any]) -> RecommenderManifest:
    manifest = read_manifest(ReleaseStore(Path("releases")).path(record["release"]["release"]))
    assert isinstance(manifest, RecommenderManifest)
    return manifest


def kept(record: dict[str, Any], part: str = "candidates") -> Weights | None:
    return Weights.load(Path("retraining") / record["run"] / "weights" / part / "bpr")


def test_a_night_goes_on_with_the_weights_of_the_live_release(place: Path) -> None:
    """The first night has none to begin with and learns for six epochs; the second one learns for two, the third goes on from there."""
    first = night(place, 0.8)
    assert first["warm_start"] == {"bpr": "no: nothing is live"}
    assert len(manifest_of(first).training["curves"]["fit/loss"]) == 6
    second = night(place, 0.9)
    assert second["warm_start"]["bpr"].startswith(f"{first['release']['release']}, ")
    assert second["judged"]["live"]["seen"] == "no"
    manifest = manifest_of(second)
    curve = manifest.training["curves"]["fit/loss"]
    assert len(curve) == 2
    assert curve[0][1] < manifest_of(first).training["curves"]["fit/loss"][1][1]
    assert manifest.training["retraining"]["warm_start"] == second["warm_start"]["bpr"]
    assert manifest.config["num_epochs"] == 2
    third = night(place, 1.0)
    assert third["warm_start"]["bpr"].startswith(second["release"]["release"])


def test_a_twin_of_the_live_release_is_trained_from_nothing_under_its_own_settings(place: Path) -> None:
    """Not under the two epochs of going on."""
    night(place, 0.8)
    night(place, 0.9)
    third = night(place, 1.0, gate=f'{LENIENT}\nlive = "retrained"')
    twin = third["judged"]["live"]["twin"]
    assert (twin["ranker"], twin["settings"]["num_epochs"]) == ("bpr", 6)


def test_what_is_judged_has_not_seen_the_test_part_though_the_live_release_has(place: Path) -> None:
    """With refit: candidates go on from what was judged the night before, the refitted from the refitted."""
    first = night(place, 0.9, publish=f"refit = true\n{ALWAYS}")
    second = night(place, 1.0, publish=f"refit = true\n{ALWAYS}")
    data = make_interactions()
    assert data.times is not None
    cutoff = np.sort(data.times)[int(0.8 * len(data))]
    assert second["judged"]["live"]["seen"] == "yes"
    judged, refitted = kept(second), kept(second, "refit")
    assert judged is not None and refitted is not None
    assert judged.until < cutoff < refitted.until == manifest_of(second).training["retraining"]["learned_until"]
    assert manifest_of(second).training["retraining"]["warm_start"].startswith(first["release"]["release"])


def test_weights_that_have_learned_from_later_events_are_not_begun_with(place: Path) -> None:
    """Less data than last night: its test part is what the live release learned from."""
    night(place, 1.0)
    second = night(place, 0.8)
    assert second["judged"]["live"]["seen"] == "yes"
    assert "have learned from later events than are learned from now" in second["warm_start"]["bpr"]


def test_what_there_is_nothing_to_begin_with_for_says_why(place: Path) -> None:
    """Another ranker, other settings, another shape, weights that were not kept or are damaged, and a ranker that has none."""
    ease = '[[rankers]]\nname = "ease"\nwarm_start = {}\nsettings = {l2 = 10.0}\n'
    assert night(place, named=ease)["warm_start"] == {"ease": "not applicable"}
    first = night(place)
    assert first["warm_start"]["bpr"].endswith("is of ease")
    assert "made under another embedding_size" in night(place, named=BPR.replace("= 4", "= 3"))["warm_start"]["bpr"]
    fit = night(place, named=BPR.replace("= 4", "= 3").replace("{num_epochs = 2}", "{embedding_size = 5}"))["warm_start"]["bpr"]
    assert fit.startswith("no: the weights of bpr/") and "do not fit: users_UD of fit/model has another shape" in fit
    assert night(place, named=BPR.replace("warm_start = {num_epochs = 2}", ""))["warm_start"]["bpr"] == "no"
    last = night(place)
    assert last["warm_start"]["bpr"].endswith("kept no weights")
    (Path("retraining") / last["run"] / "weights/candidates/bpr/tensors.safetensors").write_bytes(b"")
    assert "the checkpoint is damaged" in night(place)["warm_start"]["bpr"]


def test_weights_behind_a_release_in_use_outlive_their_run(place: Path) -> None:
    first = night(place, publish="", run="keep = 1\ncf_nade = false")
    for _ in range(2):
        last = night(place, publish="", run="keep = 1\ncf_nade = false")
    assert kept(first) is None
    assert kept(last) is not None
    ReleaseStore(place / "releases").promote(last["release"]["release"], "champion")
    for _ in range(2):
        night(place, publish="", run="keep = 1\ncf_nade = false")
    assert kept(last) is not None
    assert not (Path("retraining") / last["run"] / "candidates").exists()


def test_what_cannot_be_tidied_up_does_not_undo_a_night(place: Path) -> None:
    """Nobody can say which releases are in use; the weights stay, and the release is published."""
    first = night(place, publish="", run="keep = 1\ncf_nade = false")
    (place / "releases/slots/other").write_text("half a line")
    last = night(place, publish="", run="keep = 1\ncf_nade = false")
    assert last["decision"] == "published"
    assert kept(first) is not None


def test_settings_of_a_warm_start_are_checked_with_the_others(place: Path) -> None:
    """And shown in the plan."""
    write_job(place, named='[[rankers]]\nname = "vae"\nwarm_start = {validation_fraction = 0.1, epochs = 3}\n')
    with pytest.raises(ConfigError, match=r"rankers\.vae\.warm_start\.epochs: unknown setting"):
        read_retrain_config(Path("config.toml"))
    write_job(place, named='[[rankers]]\nname = "vae"\nwarm_start = {validation_fraction = 0.1}\n')
    with pytest.raises(ConfigError, match=r"warm_start\.validation_fraction: leave it out"):
        read_retrain_config(Path("config.toml"))
    write_job(place, named=BPR)
    config = read_retrain_config(Path("config.toml"))
    assert plan_of(config, Places.of(config, {}))["train"][0]["warm_start"] == {"num_epochs": 2}
