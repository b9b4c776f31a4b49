"""A retraining that is killed while a network learns, or while what was chosen learns once more from everything; see `test_retrain_killed`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import make_interactions
from tests.training.jobs.killed_cases import Case, Killer, killer_process
from tests.training.jobs.retraining import TINY_CF_NADE, write_data
from training.jobs.retrain import Places, read_retrain_config, retrain
from training.jobs.retrain import folder as runs

LENIENT = "margin = 1.0\nleast_coverage = 0.0\nleast_novelty = 0.0\nmost_popular = 1.0"
BPR = """
[[rankers]]
name = "bpr"
settings = {embedding_size = 4, num_epochs = 4}
"""


@pytest.fixture(scope="module")
def killer() -> Iterator[Killer]:
    with killer_process() as killer:
        yield killer


@pytest.fixture(scope="module")
def case(killer: Killer, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """BPR, checkpoints after each epoch, refitted on everything and made champion too."""
    return Case(
        killer,
        tmp_path_factory.mktemp("killed"),
        named=BPR,
        run="cf_nade = false\ncheckpoint_every = 1",
        gate=LENIENT,
        publish='refit = true\nchampion = "always"',
    )


def test_killed_while_it_learns_it_goes_on_and_publishes_the_same_bytes_once(case: Case) -> None:
    """Between checkpoints, while one is written, and while the bundle is."""
    start, end = case.told["steps"][2], case.told["steps"][3]
    assert end - start >= 60
    for share in (0.2, 0.8):
        case.check(start + round(share * (end - start)))


def test_killed_while_it_learns_from_everything_it_publishes_the_same_bytes_once(case: Case) -> None:
    start, end = case.told["steps"][6], case.told["steps"][7]
    assert end - start >= 60
    case.check(start + (end - start) // 2)


def test_killed_between_two_slots_it_moves_the_other_one_alone(case: Case) -> None:
    """The champion follows the challenger; each history has one publication more."""
    last = case.told["steps"][-1]
    for kill in (last - 11, last - 2):
        case.check(kill)


def test_cf_nade_goes_on_from_its_checkpoints_to_the_same_bytes(killer: Killer, tmp_path: Path) -> None:
    """Two networks one after the other, and graphs; killed when the first has learned a part of its epochs."""
    case = Case(killer, tmp_path, named=TINY_CF_NADE, run="checkpoint_every = 1", gate=LENIENT)
    start, end = case.told["steps"][2], case.told["steps"][3]
    case.check(start + (end - start) // 4)


def test_what_begins_with_the_live_releases_weights_goes_on_to_the_same_bytes(
    killer: Killer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before it has noted which weights, and while it learns; the release of the night before was another process's."""
    warm = f"{BPR}warm_start = {{num_epochs = 2}}\n"

    def night_before(folder: Path) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(runs, "now", lambda: datetime(2023, 11, 13, tzinfo=UTC))
        everything = make_interactions()
        write_data(folder / "mine.csv", everything.where(np.arange(len(everything)) < 650))
        config = read_retrain_config(Path("config.toml"))
        assert retrain(config, Places.of(config, {})).record["warm_start"]["bpr"].endswith("is of sample")
        write_data(folder / "mine.csv", everything)

    case = Case(
        killer,
        tmp_path,
        night_before,
        named=warm,
        run="cf_nade = false\ncheckpoint_every = 1",
        gate=LENIENT,
        publish='champion = "always"',
    )
    steps = case.told["steps"]
    assert len(steps) == 10
    noted, trained = steps[4:6]
    for kill in (noted, (noted + trained) // 2):
        case.check(kill)
    (record,) = (json.loads(path.read_text()) for path in tmp_path.glob("run1/retraining/20231114*/record.json"))
    assert record["warm_start"]["bpr"].startswith(f"{case.champion}, ")
