"""The part of a training loop that has nothing to do with the model: epochs, progress, curves, interruption, resumption.

A recipe stays a visible loop:

    with run.phase("adversarial", config.num_epochs, model=model, optimizer=optimizer, generator=generator) as phase:
        for epoch in phase:
            ...
            phase.log(reward=reward)

Everything named in the call is saved at the end of an epoch and restored by `--resume`; a phase that was finished before is
restored and yields no epoch.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.bundle import write_file
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import ConfigError, DataError, Interrupted
from training.interruption import ctrl_c_waits
from training.warm import WarmStart

_log = logging.getLogger(__name__)

Curves = dict[str, list[tuple[int, float]]]


class Stateful(Protocol):
    """A model, an optimiser, a schedule: anything that can be saved and restored."""

    def state_dict(self) -> Any:
        """The state."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Restore it."""
        ...


class Best:
    """The best value of a validation metric so far (greater is better), and what was worth keeping of that moment.

    Attributes:
        value: the metric.
        epoch: when it was seen; −1 while nothing was.
        state: a copy of what was given with it.
    """

    def __init__(self) -> None:
        self.value = float("-inf")
        self.epoch = -1
        self.state: Any = None

    def update(self, value: float, epoch: int, state: Any = None) -> bool:
        """Keep `state` if `value` is greater than every one before; says whether it was."""
        if not value > self.value:
            return False
        self.value, self.epoch, self.state = float(value), epoch, copy.deepcopy(state)
        return True

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"value": self.value, "epoch": self.epoch, "state": self.state}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """From a checkpoint."""
        self.value, self.epoch, self.state = state["value"], state["epoch"], state["state"]


@dataclass(slots=True, kw_only=True)
class Run:
    """Where and how a training runs, as opposed to what it learns.

    Attributes:
        seed: of every random choice.
        device: where tensors live.
        time_budget: seconds after which every phase stops at the end of its epoch; None for no limit.
        folder: checkpoints, TensorBoard logs and `training.json` go here; None keeps nothing.
        checkpoint_every: epochs between checkpoints; None only writes one at the end of a phase or at Ctrl-C.
        resume: go on from the checkpoints in `folder`.
        progress: bars on stderr.
        resumed_by: the folder to name to a person who wants to resume, where that is not `folder`.
        warm_start: gives networks their first weights and keeps their last ones; None leaves them as their recipe makes them.
    """

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    time_budget: float | None = None
    folder: Path | None = None
    checkpoint_every: int | None = None
    resume: bool = False
    progress: bool = False
    resumed_by: Path | None = None
    warm_start: WarmStart | None = None
    curves: Curves = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)
    _writer: Any = None

    def part(self, name: str, share: float) -> Run:
        """A run within this one, such as a fold: its own curves, its own folder in this one's, a share of the time budget from now on."""
        return Run(
            seed=self.seed,
            device=self.device,
            time_budget=None if self.time_budget is None else share * self.time_budget,
            folder=None if self.folder is None else self.folder / name,
            checkpoint_every=self.checkpoint_every,
            resume=self.resume,
            progress=self.progress,
            resumed_by=self.resumed_by or self.folder,
        )

    def generator(self, stream: int = 0) -> torch.Generator:
        """A fresh source of random numbers on the CPU, independent for each `stream`."""
        return torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, stream]).generate_state(1)[0]))

    def numpy_rng(self, stream: int = 0) -> np.random.Generator:
        """The same for NumPy."""
        return np.random.default_rng([self.seed, stream])

    @property
    def out_of_time(self) -> bool:
        """Whether the time budget is spent."""
        return self.time_budget is not None and self.seconds >= self.time_budget

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._started

    def phase(self, name: str, num_epochs: int, **stateful: Stateful | torch.Generator) -> Phase:
        """A stretch of epochs; what is named in `stateful` is saved and restored with it."""
        return Phase(self, name, num_epochs, stateful)

    def write_curves(self) -> None:
        """Write `training.json`, all curves as lists of (epoch, value), and what TensorBoard has not yet on disk."""
        if self.folder is not None:
            write_file(self.folder / "training.json", json.dumps({"curves": self.curves}, indent=1).encode())
        with ctrl_c_waits():
            if self._writer is not None:
                self._writer.close()  # nobody else would; a later point opens another file, which TensorBoard reads as one
                self._writer = None

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add a point to a curve, and to TensorBoard where a folder is set."""
        self.curves.setdefault(name, []).append((step, float(value)))
        if self.folder is None:
            return
        with ctrl_c_waits():
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - slow to import

                self._writer = SummaryWriter(str(self.folder / "tensorboard"))
            self._writer.add_scalar(name, value, step)


class Phase:
    """See `Run.phase`."""

    def __init__(self, run: Run, name: str, num_epochs: int, stateful: dict[str, Any]) -> None:
        self.run = run
        self.name = name
        self.num_epochs = num_epochs
        self._stateful = stateful
        self._folder = None if run.folder is None else run.folder / "checkpoints" / name
        self._next_epoch = 0
        self._finished = False
        self._is_last: bool | None = None
        self._snapshot: dict[str, Any] | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self.run.warm_start is not None:
            self.run.warm_start.begin(self.name, self._stateful)
        if self.run.resume and self._folder is not None:
            self._restore(self._folder)
        self._snapshot = self._state()
        return self

    def __iter__(self) -> Iterator[int]:
        if self._finished:
            return
        task = self._start_bar()
        for epoch in range(self._next_epoch, self.num_epochs):
            self._is_last = None
            yield epoch
            is_last = self.is_last
            with ctrl_c_waits():
                self._next_epoch = epoch + 1
                self._snapshot = self._state()
                if self._bar is not None:
                    self._bar.update(task, completed=epoch + 1)
                every = self.run.checkpoint_every
                if every is not None and (epoch + 1) % every == 0:
                    self._save()
            if self._finished or is_last:
                break

    @property
    def is_last(self) -> bool:
        """Whether the phase ends with the running epoch, by its length or by the time budget.

        Asked twice in an epoch it answers alike, so what an epoch measures because it is the last does end the phase.
        """
        if self._is_last is None:
            self._is_last = self._next_epoch + 1 >= self.num_epochs or self.run.out_of_time
        return self._is_last

    def log(self, **values: float) -> None:
        """Add one point to each named curve, at the running epoch."""
        for name, value in values.items():
            self.run.scalar(f"{self.name}/{name}", value, self._next_epoch)

    def log_means(self, figures: Sequence[Mapping[str, float]], **values: float) -> None:
        """Add the means over an epoch's batches, which all tell of the same things, and other values beside them."""
        self.log(**{key: float(np.mean([told[key] for told in figures])) for key in figures[0]}, **values)

    def stop(self) -> None:
        """End the phase with the running epoch: early stopping."""
        self._finished = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with ctrl_c_waits():
            if self._bar is not None:
                self._bar.stop()
            if kind is None:
                self._finished = True
                self._snapshot = self._state()
                if self.run.warm_start is not None:
                    self.run.warm_start.end(self._stateful)
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._save()
                self.run.write_curves()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            kept = (
                "nothing was kept, for want of --run-dir"
                if self._folder is None
                else f"resume with --run-dir {self.run.resumed_by or self.run.folder} --resume"
            )
            raise Interrupted(f"interrupted in phase {self.name!r} after {self._next_epoch} whole epochs; {kept}") from None

    def _start_bar(self) -> Any:
        if not self.run.progress:
            return None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bar.start()
        return self._bar.add_task(self.name, total=self.num_epochs, completed=self._next_epoch)

    def _state(self) -> dict[str, Any] | None:
        """What a checkpoint holds, copied; taken at epoch ends only, so that an interrupted epoch leaves no trace."""
        if self._folder is None:
            return None
        prefix = f"{self.name}/"
        return copy.deepcopy(
            {
                "epoch": self._next_epoch,
                "finished": self._finished,
                "seed": self.run.seed,
                "curves": {name: points for name, points in self.run.curves.items() if name.startswith(prefix)},
                "stateful": {name: _state_of(thing) for name, thing in self._stateful.items()},
            }
        )

    def _save(self) -> None:
        if self._folder is not None:
            save_checkpoint(self._snapshot, self._folder)

    def _restore(self, folder: Path) -> None:
        state = load_checkpoint(folder)
        if state is None:
            return
        if state["seed"] != self.run.seed or state["stateful"].keys() != self._stateful.keys():
            raise DataError(
                f"{folder}: this checkpoint is of another run (seed {state['seed']}); choose another --run-dir or leave out --resume"
            )
        try:
            for name, thing in self._stateful.items():
                _restore_into(thing, state["stateful"][name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise DataError(
                f"{folder}: this checkpoint does not fit the model ({error}); were other settings given then?"
            ) from error
        self._next_epoch, self._finished = state["epoch"], state["finished"]
        self.run.curves |= {name: [(int(e), float(v)) for e, v in points] for name, points in state["curves"].items()}
        _log.info("phase %s goes on after %d epochs", self.name, self._next_epoch)


def _state_of(thing: Stateful | torch.Generator) -> Any:
    return thing.get_state() if isinstance(thing, torch.Generator) else thing.state_dict()


def _restore_into(thing: Stateful | torch.Generator, state: Any) -> None:
    if isinstance(thing, torch.Generator):
        thing.set_state(state)
    else:
        thing.load_state_dict(state)


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` stands for.

    Raises:
        ConfigError: CUDA is asked for and absent, or the name is unknown.
    """
    available = torch.cuda.is_available()
    match name:
        case "auto":
            return torch.device("cuda" if available else "cpu")
        case "cpu":
            return torch.device("cpu")
        case "cuda":
            if not available:
                raise ConfigError("--device cuda: torch finds no CUDA device here; use --device auto or cpu")
            return torch.device("cuda")
        case _:
            raise ConfigError(f"--device {name}: unknown; expected auto, cpu or cuda")
