"""Ctrl-C waits where it would do harm, and is never lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from training import loop
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import Interrupted
from training.interruption import ctrl_c_waits
from training.loop import Run


@pytest.fixture(autouse=True)
def usual_handler() -> Iterator[None]:
    """What Python does of itself; started in the background, a process ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def test_it_takes_effect_after_the_block() -> None:
    """The block is finished, also one within another; then comes the interruption, once, and everything is as before."""
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - what is done in the block is what is tested
        with ctrl_c_waits():
            with ctrl_c_waits():
                ctrl_c()
                ctrl_c()
                done.append("inner")
            done.append("outer")
        done.append("after")
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_ctrl_c_nothing_happens_and_errors_pass() -> None:
    """The handler is put back in both cases."""
    with ctrl_c_waits():
        pass
    with pytest.raises(OSError, match="full"), ctrl_c_waits():
        raise OSError("full")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    """As in a process that a shell started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with ctrl_c_waits():
        ctrl_c()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_in_another_thread_it_changes_nothing() -> None:
    """Only the main thread may set handlers, and only it is struck."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with ctrl_c_waits():
                assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == []


def epochs(run: Run) -> int:
    """How many epochs a phase comes to."""
    count = 0
    with run.phase("fit", 5) as phase:
        for _ in phase:
            phase.log(loss=0.0)
            count += 1
    return count


def test_ctrl_c_during_a_save_lets_it_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch that is being saved counts, and the checkpoint is of that epoch."""

    def save(state: Any, folder: Path) -> None:
        ctrl_c()
        save_checkpoint(state, folder)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save)
        with pytest.raises(KeyboardInterrupt):  # the save after the first Ctrl-C is struck by a second one, and ends, too
            epochs(Run(folder=tmp_path, checkpoint_every=2))
    state = load_checkpoint(tmp_path / "checkpoints" / "fit")
    assert state is not None
    assert state["epoch"] == 2
    assert epochs(Run(folder=tmp_path, resume=True)) == 3


def test_ctrl_c_while_a_point_goes_to_tensorboard_does_not_tear_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queue is whole, so closing it at once does not wait for anybody."""
    torn = []

    class Writer(SummaryWriter):  # type: ignore[misc]
        """Struck in the midst of its work."""

        def add_scalar(self, *args: Any, **options: Any) -> None:
            torn.append(True)
            ctrl_c()
            super().add_scalar(*args, **options)
            torn.pop()

    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", Writer)
    with pytest.raises(Interrupted, match="after 0 whole epochs"):
        epochs(Run(folder=tmp_path))
    assert torn == []
