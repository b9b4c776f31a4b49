"""`irgan train` as a person and as a machine meet it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from click.testing import Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from app.bundle import read_bundle
from tests.app.process import irgan
from tests.training.conftest import make_interactions
from training.cli.train import train
from training.errors import ConfigError, DataError, InputError
from training.evaluation import evaluate

app = typer.Typer()
app.command()(train)

HISTORY = [
    "irgan-history", "--data", "mine.csv", "--run-dir", "run", "--json",
    *(f"--set={setting}" for setting in (
        "num_members=1", "hidden_size=8", "discriminator_hidden_size=8", "linear_rank=0", "validation_fraction=0",
        "warmup_epochs=1", "num_epochs=80",
    )),
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a file of ratings in it."""
    data = make_interactions()
    users, items = ([vocabulary.id(row) for row in rows] for vocabulary, rows in (
        (data.users, data.user_rows), (data.items, data.item_rows)
    ))  # fmt: skip
    pd.DataFrame({"user": users, "item": items, "rating": data.ratings}).to_csv(tmp_path / "mine.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def run(*arguments: str) -> dict[str, Any]:
    """The JSON object of a training that must succeed; nothing else may be on standard output."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output or repr(result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize("ranker", ["popularity", "ease"])
def test_a_machine_gets_one_json_object_with_the_figures_of_both_protocols(ranker: str, place: Path) -> None:
    """Names as ir-measures writes them, and the same figures in the bundle's manifest; progress goes to standard error."""
    result = invoke(ranker, "--data", "mine.csv", "--seed", "3", "--json")
    told = json.loads(result.stdout)
    assert list(told) == ["ranker", "seed", "seconds", "bundle", "metrics", "variants"]
    assert (told["ranker"], told["seed"]) == (ranker, 3)
    assert told["seconds"] >= 0
    assert list(told["metrics"]) == ["paper", "standard"]
    for metrics in told["metrics"].values():
        assert {"P@5", "R@10", "nDCG@10", "AP", "RR", "coverage@10"} <= set(metrics)
        assert all(0 <= value <= 1 for name, value in metrics.items() if not name.startswith("novelty"))
    bundle = read_bundle(Path(told["bundle"]))
    assert Path(told["bundle"]).parent == Path("bundles") / ranker
    assert bundle.manifest.metrics == told["metrics"]
    assert bundle.manifest.data.name == "mine"
    assert "learned in" in result.stderr
    assert sorted(path.name for path in place.iterdir()) == ["bundles", "mine.csv", "runs"]
    assert (place / "runs" / f"{ranker}-mine-random-3" / "training.json").is_file()


def test_a_person_gets_a_table_and_the_bundle_s_path(place: Path) -> None:
    """One line a protocol."""
    text = invoke("ease", "--data", "mine.csv", "--name", "mine", "--bundles", "here").stdout
    assert "ease, seed 0" in text
    assert all(word in text for word in ("paper", "standard", "nDCG@10"))
    (bundle,) = (place / "here" / "mine").iterdir()
    assert f"bundle: {Path('here') / 'mine' / bundle.name}" in text


def test_settings_come_from_a_file_and_from_the_line(place: Path) -> None:
    """And stand in the bundle, defaults included."""
    (place / "ease.toml").write_text("l2 = 50.0\nlow_weight = 0.5\n")
    told = run("ease", "--data", "mine.csv", "--config", "ease.toml", "--set", "l2=60", "--json")
    assert read_bundle(Path(told["bundle"])).manifest.config == {"l2": 60.0, "signal": "positives", "low_weight": 0.5}


def test_variants_have_bundles_of_their_own() -> None:
    """The generator before the game, and the discriminator."""
    settings = ("num_rounds=2", "num_pretraining_epochs=2")
    told = run("irgan", "--data", "mine.csv", *(f"--set={setting}" for setting in settings), "--json")
    assert told["variants"]
    for name, path in told["variants"].items():
        assert read_bundle(Path(path)).manifest.name == f"irgan-{name}"


@pytest.mark.data
def test_a_real_training_prints_nothing_but_its_object(data_dir: Path, place: Path) -> None:
    """The installed command in a process of its own, on MovieLens 100K; the bundle measures as it says."""
    finished = irgan(
        "train", "ease", "--data", "movielens-100k", "--split", "paper", "--json",
        "--run-dir", str(place / "run"), "--bundles", str(place / "bundles"), IRGAN_DATA_DIR=str(data_dir),
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout)
    assert told["metrics"]["paper"]["nDCG@10"] == pytest.approx(0.4292, abs=0.005)
    assert told["metrics"]["paper"]["AP"] == pytest.approx(0.2842, abs=0.005)
    from training.data import load_dataset, make_split  # noqa: PLC0415 - beside its use

    split = make_split(load_dataset("movielens-100k"), "paper")
    model = read_bundle(Path(told["bundle"])).model
    assert evaluate(model, split, "standard").means == pytest.approx(told["metrics"]["standard"])


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("eaze", "--data", "mine.csv"), ConfigError, "no ranker 'eaze'; there are popularity"),
        (("ease", "--data", "mine.csv", "--set", "l3=1"), ConfigError, "l3: unknown setting; known are l2"),
        (("ease", "--data", "mine.csv", "--set", "l2=-1"), ConfigError, "l2 = -1: Input should be greater than 0"),
        (("ease", "--data", "mine.csv", "--set", "l2"), ConfigError, "expected key=value"),
        (("ease", "--data", "mine.csv", "--config", "none.toml"), ConfigError, "none.toml: no such file"),
        (("ease", "--data", "mine.csv", "--device", "tpu"), ConfigError, "--device tpu: unknown; expected auto, cpu or cuda"),
        (("ease", "--data", "mine.csv", "--name", "../up"), ConfigError, "--name '../up' cannot name a bundle"),
        (("ease", "--data", "mine.csv", "--bundles", "mine.csv"), ConfigError, "--bundles mine.csv is no folder"),
        (
            ("ease", "--data", "mine.csv", "--run-dir", "mine.csv"),
            InputError,
            "mine.csv is no folder; choose another --run-dir",
        ),
        (("ease", "--data", "mine.csv", "--split", "paper"), DataError, "the split paper is"),
        (("ease", "--data", "mine.csv", "--split", "time"), DataError, "has no times"),
        (("ease", "--data", "none.csv"), DataError, "none.csv"),
        (("ease", "--data", "mine.csv", "--rating-column", "stars"), DataError, "stars"),
        (("ease", "--data", "mine.csv", "--positive-threshold", "9"), DataError, "no rating reaches the threshold 9"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing_behind(
    arguments: tuple[str, ...], kind: type[Exception], message: str, place: Path
) -> None:
    """Exit code 2, nothing on standard output, no folder made."""
    result = invoke(*arguments, "--json")
    assert type(result.exception) is kind, repr(result.exception)
    assert message in str(result.exception)
    assert kind.exit_code == 2  # type: ignore[attr-defined]
    assert result.stdout == ""
    assert [path.name for path in place.iterdir()] == ["mine.csv"]


@pytest.mark.parametrize("arguments", [("ease",), ("ease", "--data", "mine.csv", "--seed", "-1"), ("--data", "mine.csv")])
def test_usage_errors_exit_with_2(arguments: tuple[str, ...], place: Path) -> None:
    """What typer itself refuses."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [path.name for path in place.iterdir()] == ["mine.csv"]


def test_in_a_process_a_mistake_is_a_line_without_a_traceback() -> None:
    """The message alone, after the program's name."""
    finished = irgan("train", "ease", "--data", "mine.csv", "--set", "l2=much", "--set", "rank=3")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.splitlines() == [
        "irgan: l2 = 'much': Input should be a valid number, unable to parse string as a number",
        "rank: unknown setting; known are l2, signal, low_weight",
    ]


def test_ctrl_c_leaves_a_checkpoint_from_which_resume_ends_as_if_undisturbed(place: Path) -> None:
    """A real process, a real signal: 130, curves on disk, the folder locked before and free after; the same bundle in the end."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums in the same order as here
    # What a shell starts in the background ignores Ctrl-C, and so do its children, this one included.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from app.cli import main; main()"
    command = [sys.executable, "-c", start, "train", *HISTORY, "--checkpoint-every", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            deadline = time.monotonic() + 60
            while not (place / "run" / "checkpoints" / "fit").is_dir() and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()
                time.sleep(0.005)
            process.send_signal(signal.SIGSTOP)  # it must not come to its end meanwhile
            second = invoke(*HISTORY)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGCONT)
            stdout, stderr = process.communicate(timeout=60)
        finally:
            process.kill()  # harmless where it has ended
    assert type(second.exception) is InputError
    assert "another process trains in run; wait for it, or choose another --run-dir" in str(second.exception)
    assert process.returncode == 130, stderr
    assert stdout == ""
    last = stderr.splitlines()[-1]
    assert last.startswith("irgan: interrupted in phase 'fit' after ")
    assert last.endswith(" whole epochs; resume with --run-dir run --resume")
    done = int(last.split(" after ")[1].split()[0])
    assert 0 < done < 80
    assert not (place / "bundles").exists()
    curve = json.loads((place / "run" / "training.json").read_text())["curves"]["fit/likelihood"]
    assert len(curve) in {done, done + 1}  # the interrupted epoch may just have been logged
    events = EventAccumulator(str(place / "run" / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    assert len(events.Scalars("fit/likelihood")) == len(curve)

    resumed = run(*HISTORY, "--resume", "--bundles", "resumed")
    undisturbed = run(*HISTORY, "--run-dir", "another", "--bundles", "undisturbed")
    assert resumed["metrics"] == undisturbed["metrics"]
    one, other = (read_bundle(Path(told["bundle"])) for told in (resumed, undisturbed))
    np.testing.assert_array_equal(one.model.item_vectors_ID, other.model.item_vectors_ID)
    np.testing.assert_array_equal(one.model.scores(one.seen), other.model.scores(other.seen))
    assert one.manifest.training["curves"] == other.manifest.training["curves"]
    assert len(one.manifest.training["curves"]["fit/likelihood"]) == 80


def test_another_run_s_folder_is_refused_to_resume_and_reused_without(place: Path) -> None:
    """What differs is named; nothing is trained."""
    run("ease", "--data", "mine.csv", "--run-dir", "run", "--json")
    for change, told in ((("--seed", "1"), "seed differ"), (("--set", "l2=7"), "config (l2) differ")):
        result = invoke("ease", "--data", "mine.csv", "--run-dir", "run", "--resume", "--bundles", "more", *change)
        assert type(result.exception) is ConfigError
        assert f"run is another run's: {told}" in str(result.exception)
    assert not (place / "more").exists()
    run("ease", "--data", "mine.csv", "--run-dir", "run", "--seed", "1", "--json")


def test_a_time_budget_ends_training_early_and_still_makes_a_bundle() -> None:
    """One epoch of each phase, and the manifest says that the refit was left out."""
    told = run(*HISTORY, "--set", "validation_fraction=0.4", "--time-budget", "0")
    training = read_bundle(Path(told["bundle"])).manifest.training
    assert training["refit"] is False
    assert len(training["curves"]["choose/likelihood"]) == 1
    assert training["validation"]["best"]["after"] == 1
