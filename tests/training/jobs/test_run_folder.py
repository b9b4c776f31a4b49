"""A run's folder: one process at a time, and it knows whose it is."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from training.errors import ConfigError, InputError
from training.jobs.run_folder import run_folder

MINE = {"ranker": "ease", "config": {"l2": 400.0, "shape": (1, 2)}, "seed": 0}


def test_it_is_made_and_says_whose_it_is(tmp_path: Path) -> None:
    """Parents included; the identity can be read by a person."""
    folder = tmp_path / "runs" / "mine"
    with run_folder(folder, MINE, resume=False) as taken:
        assert taken == folder
        assert json.loads((folder / "run.json").read_text()) == json.loads(json.dumps(MINE))


def test_a_new_run_removes_what_an_earlier_one_left(tmp_path: Path) -> None:
    """Its checkpoints and logs, and nothing of anybody else's."""
    for name in ("checkpoints", "tensorboard", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    with run_folder(tmp_path, MINE, resume=False):
        assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["notes"]


def test_the_same_run_may_go_on(tmp_path: Path) -> None:
    """Its checkpoints stay; also where there was nothing yet."""
    with run_folder(tmp_path, MINE, resume=True):
        (tmp_path / "checkpoints").mkdir()
    with run_folder(tmp_path, MINE, resume=True):
        assert (tmp_path / "checkpoints").is_dir()


@pytest.mark.parametrize(
    ("change", "told"),
    [({"seed": 1}, "seed differ"), ({"ranker": "ials", "config": {}}, r"config \(l2, shape\), ranker differ")],
)
def test_another_run_s_folder_is_not_gone_on_with(change: dict[str, object], told: str, tmp_path: Path) -> None:
    """The message says what differs and what to do, and the folder stays as it was."""
    with run_folder(tmp_path, MINE, resume=False):
        (tmp_path / "checkpoints").mkdir()
    with (
        pytest.raises(ConfigError, match=f"is another run's: {told}; choose another --run-dir, or leave out --resume"),
        run_folder(tmp_path, MINE | change, resume=True),
    ):
        pass
    assert (tmp_path / "checkpoints").is_dir()
    assert json.loads((tmp_path / "run.json").read_text())["seed"] == 0


@pytest.mark.parametrize("content", ["{", "", "[1]"])
def test_a_damaged_identity_is_told(content: str, tmp_path: Path) -> None:
    """Whether it is not JSON, or not an identity."""
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigError, match="leave out --resume to start again"), run_folder(tmp_path, MINE, resume=True):
        pass
    with run_folder(tmp_path, MINE, resume=False):
        pass


def test_a_second_run_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    """And what the first has there is not touched; when it has ended the folder is free, however it ended."""
    with suppress(KeyError), run_folder(tmp_path, MINE, resume=False):
        (tmp_path / "checkpoints").mkdir()
        with (
            pytest.raises(InputError, match=f"another process trains in {tmp_path}; wait for it, or choose another --run-dir"),
            run_folder(tmp_path, MINE, resume=False),
        ):
            pass
        assert (tmp_path / "checkpoints").is_dir()
        raise KeyError
    with run_folder(tmp_path, MINE, resume=False):
        assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_what_cannot_be_a_folder_is_told(place: str, tmp_path: Path) -> None:
    """A file in the way."""
    (tmp_path / "file").write_text("mine")
    with (
        pytest.raises(InputError, match="is no folder; choose another --run-dir"),
        run_folder(tmp_path / place, MINE, resume=False),
    ):
        pass
    assert (tmp_path / "file").read_text() == "mine"
