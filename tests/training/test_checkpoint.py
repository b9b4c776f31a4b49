"""Checkpoints: what goes in comes out, damage is noticed, and no moment of a save leaves nothing usable."""

from __future__ import annotations

import errno
import json
import math
import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training import checkpoint
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import DataError

OLD = {"weights": torch.arange(6.0).view(2, 3), "epoch": 1}
NEW = {"weights": torch.arange(6.0).view(2, 3) * 10, "epoch": 2}

tensors = st.sampled_from(
    [
        torch.tensor(1.5),
        torch.zeros(0, 3),
        torch.arange(12.0).view(3, 4).T,
        torch.tensor([True, False]),
        torch.tensor([float("nan"), float("-inf")], dtype=torch.float64),
        torch.Generator().manual_seed(1).get_state(),
        torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
    ]
)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | tensors
states = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, tensors to the last bit, NaN equal to itself."""
    if isinstance(left, torch.Tensor):
        left = left.detach()
        alike = isinstance(right, torch.Tensor) and left.dtype == right.dtype and left.shape == right.shape
        return alike and torch.equal(left.contiguous().flatten().view(torch.uint8), right.flatten().view(torch.uint8))
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right or (isinstance(left, float) and math.isnan(left) and math.isnan(right)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=states)
def test_any_nest_of_states_comes_back_as_it_was(state: Any, tmp_path: Path) -> None:
    """Integer keys stay integers, tuples stay tuples, 1.0 stays a float; saved over what was there before."""
    save_checkpoint(state, tmp_path / "phase")
    assert same(state, load_checkpoint(tmp_path / "phase"))
    assert [path.name for path in tmp_path.iterdir()] == ["phase"]


def test_what_is_no_state_is_refused_and_the_old_checkpoint_stays(tmp_path: Path) -> None:
    """An object would need pickle."""
    save_checkpoint(OLD, tmp_path / "phase")
    with pytest.raises(TypeError, match="cannot hold a object"):
        save_checkpoint({"thing": object()}, tmp_path / "phase")
    assert same(OLD, load_checkpoint(tmp_path / "phase"))


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of JSON and safetensors, so reading a checkpoint never runs code."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickle is used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("save", "load"):
        monkeypatch.setattr(torch, name, refuse)
    save_checkpoint(OLD, tmp_path / "phase")
    assert same(OLD, load_checkpoint(tmp_path / "phase"))
    assert sorted(path.name for path in (tmp_path / "phase").iterdir()) == ["sha256.json", "state.json", "tensors.safetensors"]
    json.loads((tmp_path / "phase" / "state.json").read_text())


def test_where_there_is_no_checkpoint_there_is_none(tmp_path: Path) -> None:
    """Not an error: a run that has not come so far."""
    assert load_checkpoint(tmp_path / "phase") is None


@pytest.mark.parametrize("name", ["sha256.json", "state.json", "tensors.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "flipped", "replaced"])
def test_damage_is_one_clear_message(name: str, damage: str, tmp_path: Path) -> None:
    """Whichever file, and if only one bit of a weight has changed."""
    folder = tmp_path / "phase"
    save_checkpoint(OLD, folder)
    file = folder / name
    content = bytearray(file.read_bytes())
    match damage:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "truncated":
            file.write_bytes(content[: len(content) // 2])
        case "flipped":
            content[-3] ^= 1
            file.write_bytes(content)
        case "replaced":
            file.write_bytes(b"[1, 2]")
    with pytest.raises(DataError, match=r"the checkpoint is damaged .*; remove the folder to start again") as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("step", ["tensors", "state"])
def test_a_full_disk_keeps_the_old_checkpoint(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither half of the new one nor a temporary file is left."""
    save_checkpoint(OLD, tmp_path / "phase")

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "tensors":
            patch.setattr(checkpoint, "save_file", no_space)
        else:
            patch.setattr(Path, "write_text", no_space)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(NEW, tmp_path / "phase")
    assert [path.name for path in tmp_path.iterdir()] == ["phase"]
    assert same(OLD, load_checkpoint(tmp_path / "phase"))


def stop_at(number: int, patch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Let the process be stopped at one of the steps that change names; says whether it was.

    A removal is stopped when it is half done, a renaming before it begins.
    """
    count = 0
    rename, remove = Path.rename, shutil.rmtree

    def is_reached() -> bool:
        nonlocal count
        count += 1
        return count == number

    def stopping_rename(self: Path, target: Path) -> Path:
        if is_reached():
            raise KeyboardInterrupt
        return rename(self, target)

    def stopping_remove(path: Path, **options: Any) -> None:
        if not path.exists():
            return
        if is_reached():
            next(path.iterdir()).unlink()
            raise KeyboardInterrupt
        remove(path, **options)

    patch.setattr(Path, "rename", stopping_rename)
    patch.setattr(shutil, "rmtree", stopping_remove)
    return lambda: count >= number


def test_a_save_stopped_at_any_step_leaves_the_old_checkpoint_or_the_new(tmp_path: Path) -> None:
    """Whatever the moment, something whole is found, and the next save is found after it, though it is stopped as well."""
    step, stopped = 0, True
    while stopped:
        step += 1
        folder = tmp_path / str(step) / "phase"
        save_checkpoint(OLD, folder)
        with pytest.MonkeyPatch.context() as patch:
            was_stopped = stop_at(step, patch)
            with suppress(KeyboardInterrupt):
                save_checkpoint(NEW, folder)
            stopped = was_stopped()
        found = load_checkpoint(folder)
        assert same(found, OLD) or same(found, NEW)
        for second in range(1, 7):
            with pytest.MonkeyPatch.context() as patch:
                stop_at(second, patch)
                with suppress(KeyboardInterrupt):
                    save_checkpoint(NEW, folder)
            found = load_checkpoint(folder)
            assert same(found, OLD) or same(found, NEW)
        save_checkpoint(NEW, folder)
        assert same(load_checkpoint(folder), NEW)
        assert [path.name for path in folder.parent.iterdir()] == ["phase"]
    assert step > 3  # every step of the whole save was tried
