"""The loop: interruption without a trace, resumption to the last bit, budgets, curves."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training import loop
from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import ConfigError, DataError, Interrupted
from training.loop import Best, Run, choose_device

EPOCHS = 6
STEPS = 3


class Stop(Exception):
    """The process dies: nothing is saved on the way out."""


class Learner:
    """Two phases of a small network with everything that has a state; `strike` is raised in the midst of an epoch."""

    def __init__(self, run: Run, *, strike: tuple[str, int, BaseException] | None = None, epochs: int = EPOCHS) -> None:
        self.run, self.strike, self.epochs = run, strike, epochs
        self.random = run.generator()
        self.model = torch.nn.Linear(4, 2)
        with torch.no_grad():
            for weights in self.model.parameters():
                weights.normal_(generator=self.random)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, 2 * epochs * STEPS)
        self.best = Best()
        self.seen: list[tuple[str, int]] = []

    def phase(self, name: str) -> None:
        stateful: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        with self.run.phase(name, self.epochs, **stateful, random=self.random, best=self.best) as phase:
            for epoch in phase:
                self.seen.append((name, epoch))
                for step in range(STEPS):
                    inputs = torch.randn(8, 4, generator=self.random)
                    loss = (self.model(inputs) - inputs[:, :2]).square().mean()
                    self.optimizer.zero_grad()
                    loss.backward()
                    self.optimizer.step()
                    self.schedule.step()
                    if step == 1 and self.strike is not None and self.strike[:2] == (name, epoch):
                        phase.log(half=1.0)
                        raise self.strike[2]
                phase.log(loss=loss.item(), norm=self.model.weight.norm().item())
                self.best.update(-loss.item(), epoch, self.model.state_dict())

    def __call__(self) -> Learner:
        self.phase("first")
        self.phase("second")
        self.run.write_curves()
        return self

    def state(self) -> dict[str, Any]:
        """All that was learned, as plain values."""
        best = self.best.state_dict()
        return {
            "model": {name: weights.tolist() for name, weights in self.model.state_dict().items()},
            "moments": [
                [value.tolist() for value in state.values()] for state in self.optimizer.state_dict()["state"].values()
            ],
            "schedule": self.schedule.state_dict(),
            "random": self.random.get_state().tolist(),
            "best": [best["value"], best["epoch"], best["state"]["weight"].tolist()],
            "curves": {name: [list(point) for point in points] for name, points in self.run.curves.items()},
        }


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """What an uninterrupted run learns."""
    return Learner(Run(seed=5))().state()


@pytest.mark.parametrize(("phase", "epoch"), [("first", 0), ("first", 3), ("second", 0), ("second", EPOCHS - 1)])
def test_an_interrupted_run_goes_on_to_the_last_bit(
    phase: str, epoch: int, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """Ctrl-C in the midst of an epoch: that epoch leaves no trace, finished ones are not repeated, all state is as without it."""
    strike = (phase, epoch, KeyboardInterrupt())
    with pytest.raises(Interrupted, match=f"in phase '{phase}' after {epoch} whole epochs; resume with --run-dir") as caught:
        Learner(Run(seed=5, folder=tmp_path), strike=strike)()
    assert caught.value.exit_code == 130
    resumed = Learner(Run(seed=5, folder=tmp_path, resume=True))()
    assert resumed.state() == undisturbed
    before = [(phase, done) for done in range(epoch)] + (
        [("first", done) for done in range(EPOCHS)] if phase == "second" else []
    )
    assert not set(before) & set(resumed.seen)
    assert len(before) + len(resumed.seen) == 2 * EPOCHS


def test_interruptions_one_after_another_do_no_harm(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Each attempt comes one epoch further, or none."""
    for epoch in (2, 2, 3):
        with pytest.raises(Interrupted):
            Learner(Run(seed=5, folder=tmp_path, resume=True), strike=("first", epoch, KeyboardInterrupt()))()
    assert Learner(Run(seed=5, folder=tmp_path, resume=True))().state() == undisturbed


@pytest.mark.parametrize(("every", "resumes_at"), [(1, 4), (3, 3), (None, 0)])
def test_a_crash_loses_what_came_after_the_last_checkpoint(
    every: int | None, resumes_at: int, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """Nothing is saved on the way out of a crash, so the checkpoint of every so many epochs is what there is."""
    with pytest.raises(Stop):
        Learner(Run(seed=5, folder=tmp_path, checkpoint_every=every), strike=("first", 4, Stop()))()
    resumed = Learner(Run(seed=5, folder=tmp_path, resume=True))()
    assert resumed.seen[0] == ("first", resumes_at)
    assert resumed.state() == undisturbed


def test_without_resume_it_starts_again(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """A checkpoint that is there by chance is not used."""
    Learner(Run(seed=5, folder=tmp_path))()
    again = Learner(Run(seed=5, folder=tmp_path))()
    assert len(again.seen) == 2 * EPOCHS
    assert again.state() == undisturbed


def test_a_finished_run_resumed_repeats_nothing(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    """Every phase is restored and yields no epoch."""
    Learner(Run(seed=5, folder=tmp_path))()
    again = Learner(Run(seed=5, folder=tmp_path, resume=True))()
    assert again.seen == []
    assert again.state() == undisturbed


def test_without_a_folder_ctrl_c_says_what_was_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And writes nothing anywhere."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Interrupted, match="nothing was kept, for want of --run-dir"):
        Learner(Run(), strike=("first", 1, KeyboardInterrupt()))()
    assert list(tmp_path.iterdir()) == []


def test_another_seed_is_refused(tmp_path: Path) -> None:
    """Half of one run and half of another would be neither."""
    Learner(Run(seed=5, folder=tmp_path))()
    with pytest.raises(DataError, match=r"of another run \(seed 5\); choose another --run-dir or leave out --resume"):
        Learner(Run(seed=6, folder=tmp_path, resume=True))()


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    """Other shapes, or other things to restore."""
    Learner(Run(folder=tmp_path))()
    other = Learner(Run(folder=tmp_path, resume=True))
    other.model = torch.nn.Linear(7, 2)
    with pytest.raises(DataError, match="does not fit the model"):
        other()
    with (
        pytest.raises(DataError, match="of another run"),
        Run(folder=tmp_path, resume=True).phase("first", EPOCHS, network=other.model),
    ):
        pass


def test_a_damaged_checkpoint_stops_the_run(tmp_path: Path) -> None:
    """It never goes on from half a state."""
    Learner(Run(folder=tmp_path))()
    (tmp_path / "checkpoints" / "first" / "state.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        Learner(Run(folder=tmp_path, resume=True))()


def test_a_full_disk_in_mid_run_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any]
) -> None:
    """The error says what is wrong; with space again the run goes on from the checkpoint before."""
    saves = 0

    def save(state: Any, folder: Path) -> None:
        nonlocal saves
        saves += 1
        if saves > 2:
            raise OSError(28, "No space left on device")
        save_checkpoint(state, folder)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save)
        with pytest.raises(OSError, match="No space left"):
            Learner(Run(seed=5, folder=tmp_path, checkpoint_every=1))()
    resumed = Learner(Run(seed=5, folder=tmp_path, resume=True))()
    assert resumed.seen[0] == ("first", 2)
    assert resumed.state() == undisturbed


class Clock:
    """A run's seconds, of which `step` pass whenever somebody looks."""

    def __init__(self, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.step = 0.0, step
        monkeypatch.setattr(Run, "seconds", property(lambda _: self()))

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_a_spent_time_budget_ends_every_phase_after_one_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The epoch that is running is finished and counts; the phase is finished too and a resumption does not repeat it."""
    clock = Clock(0.0, monkeypatch)
    run = Run(folder=tmp_path, time_budget=10.0)
    clock.now = 11.0
    assert run.out_of_time
    learner = Learner(run)()
    assert learner.seen == [("first", 0), ("second", 0)]
    state = load_checkpoint(tmp_path / "checkpoints" / "second")
    assert state is not None
    assert (state["epoch"], state["finished"]) == (1, True)
    assert Learner(Run(folder=tmp_path, resume=True))().seen == []


def test_a_time_budget_lets_epochs_run_until_it_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked at the end of each epoch: the one in which the budget ends is the last."""
    clock = Clock(0.0, monkeypatch)
    epochs = []
    with Run(time_budget=10.0).phase("fit", 100) as phase:
        for epoch in phase:
            epochs.append(epoch)
            clock.now += 4.0
    assert epochs == [0, 1, 2]


def test_what_is_measured_because_an_epoch_is_the_last_does_end_the_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer stays the same within an epoch, even if the budget runs out between two questions."""
    for budget in np.arange(0.5, 12.0, 1.0):
        Clock(1.0, monkeypatch)
        looked = []
        with Run(time_budget=float(budget)).phase("fit", 5) as phase:
            for epoch in phase:
                if phase.is_last:
                    looked.append(epoch)
                last = epoch
        assert looked == [last]


def test_stop_ends_the_phase_with_the_running_epoch(tmp_path: Path) -> None:
    """Early stopping; the phase counts as finished."""
    epochs = []
    run = Run(folder=tmp_path)
    with run.phase("fit", 10) as phase:
        for epoch in phase:
            epochs.append(epoch)
            if epoch == 3:
                phase.stop()
    assert epochs == [0, 1, 2, 3]
    with Run(folder=tmp_path, resume=True).phase("fit", 10) as phase:
        assert list(phase) == []


def test_a_phase_without_epochs_is_finished_at_once(tmp_path: Path) -> None:
    """Nothing to learn is no mistake."""
    with Run(folder=tmp_path).phase("fit", 0) as phase:
        assert list(phase) == []
    assert load_checkpoint(tmp_path / "checkpoints" / "fit") is not None


@pytest.mark.parametrize("interrupted", [False, True])
def test_curves_are_in_training_json_and_in_tensorboard(interrupted: bool, tmp_path: Path) -> None:
    """Every point of every curve, whole on disk when the run ends; after an interruption what was logged until then."""
    run = Run(folder=tmp_path)
    if interrupted:
        with pytest.raises(Interrupted):
            Learner(run, strike=("second", 2, KeyboardInterrupt()))()
        run = Run(folder=tmp_path, resume=True)
    Learner(run)()
    curves = json.loads((tmp_path / "training.json").read_text())["curves"]
    assert set(curves) == {"first/loss", "first/norm", "second/loss", "second/norm"}
    assert all([epoch for epoch, _ in points] == list(range(EPOCHS)) for points in curves.values())
    assert curves == {name: [list(point) for point in points] for name, points in run.curves.items()}
    logger = logging.getLogger("tensorboard")
    logger.setLevel(logging.ERROR)  # it speaks of steps that come twice, which the interrupted epoch's do
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    for name, points in curves.items():
        shown = {event.step: event.value for event in events.Scalars(name)}
        assert shown == pytest.approx(dict(points))


def test_random_streams_are_apart_and_the_same_every_time() -> None:
    """Two streams of a seed have nothing in common, nor have neighbouring seeds; the same call gives the same numbers."""
    draws = {
        (seed, stream): tuple(torch.rand(4, generator=Run(seed=seed).generator(stream)).tolist())
        for seed in range(4)
        for stream in range(4)
    }
    assert len(set(draws.values())) == 16
    assert tuple(torch.rand(4, generator=Run(seed=1).generator(2)).tolist()) == draws[1, 2]
    numbers = {tuple(Run(seed=seed).numpy_rng(stream).random(4)) for seed in range(4) for stream in range(4)}
    assert len(numbers) == 16
    assert tuple(Run(seed=1).numpy_rng(2).random(4)) in numbers


def test_best_keeps_a_copy_of_the_first_of_equals() -> None:
    """Later changes of what was given do not reach it, and NaN is never best."""
    best, weights = Best(), torch.ones(2)
    assert not best.update(float("nan"), 0, "nothing")
    assert best.update(0.5, 1, {"weights": weights})
    weights += 1
    assert not best.update(0.5, 2, None)
    assert (best.value, best.epoch, best.state["weights"].tolist()) == (0.5, 1, [1.0, 1.0])


def test_devices_are_auto_cpu_or_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Auto takes what is there; asking for what is not there is an error before anything is trained."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(ConfigError, match="--device cuda: torch finds no CUDA device"):
        choose_device("cuda")
    with pytest.raises(ConfigError, match="--device tpu: unknown; expected auto, cpu or cuda"):
        choose_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda")


def test_a_part_of_a_run_keeps_its_own_curves_and_names_the_run_s_folder_to_people(tmp_path: Path) -> None:
    """Same seed and device, a share of the time, a folder within the run's; parts of parts still name the outermost folder."""
    run = Run(seed=5, folder=tmp_path / "run", time_budget=100.0, checkpoint_every=2, resume=True)
    part = run.part("fold-1", 0.25)
    part.scalar("loss", 1.0, 0)
    assert (part.seed, part.device, part.time_budget, part.checkpoint_every, part.resume) == (5, run.device, 25.0, 2, True)
    assert (part.folder, run.curves) == (tmp_path / "run" / "fold-1", {})
    part.write_curves()

    def learn(run: Run) -> None:
        with run.phase("fit", 3) as phase:
            for _ in phase:
                raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=rf"resume with --run-dir {tmp_path / 'run'} --resume"):
        learn(part.part("deeper", 1.0))
    assert Run().part("fold-0", 0.5).folder is None
    assert Run().part("fold-0", 0.5).time_budget is None
