"""`irgan density` as a person and as a machine meet it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tests.app.process import irgan
from training.cli.density import density
from training.densities import DENSITIES, Estimate, density_model
from training.errors import ConfigError, DataError, InputError, Interrupted
from training.jobs.density import DensityOutcome, measure_density
from training.loop import Run

app = typer.Typer()
app.command()(density)

QUICK = ("--set", "num_members=1", "--set", "hidden_size=8", "--set", "num_epochs=4")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with binary data in it: nine columns, each like the one before with a chance of 0.9."""
    rng = np.random.default_rng(0)
    for part, num_rows in (("train", 200), ("valid", 50), ("test", 80)):
        flips_ND = rng.random((num_rows, 9)) < 0.1
        rows_ND = (rng.integers(0, 2, (num_rows, 1)) + flips_ND.cumsum(axis=1)) % 2
        np.savetxt(tmp_path / f"mine.{part}.data", rows_ND, fmt="%d", delimiter=",")
    np.savetxt(tmp_path / "eight.train.data", rng.integers(0, 2, (20, 8)), fmt="%d", delimiter=",")
    for part in ("valid", "test"):
        (tmp_path / f"eight.{part}.data").write_bytes((tmp_path / "eight.train.data").read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def run(*arguments: str) -> dict[str, Any]:
    """The JSON object of a run that must succeed; nothing else may be on standard output."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output or repr(result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_machine_gets_one_json_object_with_both_figures(place: Path) -> None:
    """Nothing else on standard output; the figures lie between those of fair coins and of the source of the rows."""
    told = run("nade", "--data", "mine", *QUICK, "--seed", "3")
    assert list(told) == ["model", "data", "seed", "seconds", "dimensions", "rows", "log_likelihood"]
    assert (told["model"], told["data"], told["seed"], told["dimensions"]) == ("nade", "mine", 3, 9)
    assert told["rows"] == {"train": 200, "valid": 50, "test": 80}
    assert told["seconds"] >= 0
    assert list(told["log_likelihood"]) == ["valid", "test"]
    for figure in told["log_likelihood"].values():
        assert list(figure) == ["value", "low", "high", "kind"]
        assert figure["low"] == figure["value"] == figure["high"]
        assert figure["kind"] == "exact"
        assert -9 * math.log(2) < figure["value"] < -2
    curves = json.loads((place / "runs" / "density-nade-mine-3" / "training.json").read_text())["curves"]
    best = max(value for _, value in curves["member-0/valid_log_likelihood"])
    assert told["log_likelihood"]["valid"]["value"] == pytest.approx(best, abs=1e-5)


def test_a_person_reads_the_figure_its_unit_and_how_it_was_computed() -> None:
    """One line a part."""
    first, valid, test = invoke("nade", "--data", "mine", *QUICK).stdout.splitlines()
    assert first.startswith("nade on mine, seed 0: 9 dimensions, 200 rows learned from, ")
    assert valid.startswith("valid: -")
    assert valid.endswith(" nats a row over 50 rows (exact)")
    assert test.endswith(" nats a row over 80 rows (exact)")


def test_what_is_no_exact_figure_is_shown_with_its_interval(capsys: pytest.CaptureFixture[str]) -> None:
    from training.cli.density import _print  # noqa: PLC0415 - private, and shown nowhere else

    parts = {"valid": Estimate(-10.0, -10.5, -9.5, "ais"), "test": Estimate(-11.0, -11.04, -10.96, "bound")}
    _print(DensityOutcome("x", "y", 0, 1.0, 9, {"train": 1, "valid": 1, "test": 1}, parts, density=None))  # type: ignore[arg-type]
    valid, test = capsys.readouterr().out.splitlines()[1:]
    assert "-10.00 [-10.50, -9.50] nats" in valid
    assert "annealed importance sampling" in valid
    assert "-11.00 [-11.04, -10.96] nats" in test
    assert "lower bound" in test


def test_a_model_is_never_given_a_test_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `fit` gets has none, and other test rows make the same model."""
    from training.data.binary import load_binary  # noqa: PLC0415 - beside its use
    from training.densities import nade  # noqa: PLC0415 - likewise

    seen, whole, learn = [], load_binary("mine"), nade.fit

    def watched(data: Any, config: Any, run: Any) -> Any:
        seen.append(data)
        return learn(data, config, run)

    monkeypatch.setattr(nade, "fit", watched)
    config = nade.Config(num_members=1, hidden_size=4, num_epochs=1)
    outcome = measure_density(density_model("nade"), whole, config, Run(seed=0))
    assert outcome.rows["test"] == 80
    assert [len(data.test_ND) for data in seen] == [0]
    assert np.array_equal(seen[0].train_ND, whole.train_ND)


def test_interrupted_and_resumed_it_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the second member; what was learned before is not learned again."""
    arguments = ("nade", "--data", "mine", *QUICK, "--set", "num_members=2", "--run-dir", "run")
    undisturbed = run(*arguments[:-1], "another")
    add = Run.scalar

    def scalar(self: Run, name: str, value: float, step: int) -> None:
        add(self, name, value, step)
        if name.startswith("member-1") and step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "scalar", scalar)
        assert type(invoke(*arguments, "--json").exception) is Interrupted
    resumed = run(*arguments, "--resume")
    assert resumed["log_likelihood"] == undisturbed["log_likelihood"]
    other = invoke(*arguments, "--resume", "--seed", "1")
    assert type(other.exception) is ConfigError
    assert "run is another run's: seed differ" in str(other.exception)


def test_a_picture_shows_samples_as_images(place: Path) -> None:
    """A hundred images of 3 × 3 in a grid of ten by ten, each pixel enlarged; the same seed draws the same."""
    for name in ("one.png", "two.png"):
        run("nade", "--data", "mine", *QUICK, "--picture", name)
    pixels = matplotlib.image.imread(place / "one.png")
    assert pixels.shape[:2] == (8 * (10 * 4 + 1), 8 * (10 * 4 + 1))
    assert len(np.unique(pixels[..., 0])) == 3  # black, white, and the grey between images
    assert (place / "one.png").read_bytes() == (place / "two.png").read_bytes()


def test_a_picture_of_a_boltzmann_machine_shows_its_weights_too(place: Path) -> None:
    """Another picture, of two halves; samples alone would be black, white and grey."""
    settings = ("hidden_size=4", "num_epochs=2")
    run("rbm", "--data", "mine", *(f"--set={setting}" for setting in settings), "--picture", "rbm.png")
    assert len(np.unique(matplotlib.image.imread(place / "rbm.png")[..., :3].reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("nada", "--data", "mine"), ConfigError, "no density model 'nada'; there are nade, rbm, vae, avb"),
        (("gan", "--data", "mine"), ConfigError, "gan has no density: its generator draws samples"),
        (("vae-gan", "--data", "mine"), ConfigError, "vae-gan has no density: its decoder"),
        (("nade", "--data", "none"), DataError, "no binary data 'none'"),
        (("nade", "--data", "mine", "--set", "hiden=3"), ConfigError, "hiden: unknown setting; known are form"),
        (("nade", "--data", "mine", "--set", "num_layers=3"), ConfigError, "num_layers = 3"),
        (("nade", "--data", "mine", "--config", "none.toml"), ConfigError, "none.toml: no such file"),
        (("nade", "--data", "mine", "--device", "tpu"), ConfigError, "--device tpu: unknown"),
        (("nade", "--data", "mine", "--run-dir", "mine.test.data"), InputError, "mine.test.data is no folder"),
        (("nade", "--data", "eight", "--picture", "x.png"), ConfigError, "rows of eight have 8 values, which is no square"),
        (("nade", "--data", "mine", "--picture", "x.jpg"), ConfigError, "--picture x.jpg is no PNG"),
        (("nade", "--data", "mine", "--picture", "none/x.png"), ConfigError, "there is no folder none"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing_behind(
    arguments: tuple[str, ...], kind: type[Exception], message: str, place: Path
) -> None:
    """Exit code 2, nothing on standard output, nothing trained, no file made."""
    before = sorted(place.iterdir())
    result = invoke(*arguments, "--json")
    assert type(result.exception) is kind, repr(result.exception)
    assert message in str(result.exception)
    assert kind.exit_code == 2  # type: ignore[attr-defined]
    assert result.stdout == ""
    assert sorted(place.iterdir()) == before


def test_in_a_process_a_mistake_is_a_line_without_a_traceback() -> None:
    """The message alone, after the program's name."""
    finished = irgan("density", "gan", "--data", "mine")
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("irgan: gan has no density")
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", DENSITIES)
def test_settings_of_every_model_are_closed_and_described(name: str) -> None:
    """As rankers' are."""
    kind = DENSITIES[name].config()
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["frozen"]
    assert [key for key, field in kind.model_fields.items() if not field.description] == []
