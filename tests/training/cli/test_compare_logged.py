"""`irgan compare --logged` as a person and as a machine meet it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from app.bundle import write_bundle
from tests.conftest import make_draft
from tests.training.evaluation.counterfactual.bandits import RATES_XA, TARGET_XA, draw
from training.cli.compare import compare
from training.errors import ConfigError, DataError

app = typer.Typer()
app.command()(compare)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run(*arguments: str | Path) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output or repr(result.exception)
    return result.stdout


def error(kind: type[Exception], *arguments: str | Path) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, kind), repr(result.exception)
    assert result.stdout == ""
    return str(result.exception)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made-up bandit's log, its target as a table by context, and a log of the target's own."""
    folder = tmp_path_factory.mktemp("logged")
    log = draw(np.random.default_rng(0), 2_000)
    frame = pd.DataFrame(
        {
            "item": [log.actions.id(row) for row in log.action_rows_N],
            "reward": log.rewards_N,
            "propensity": log.propensities_N,
            "kind": log.context["kind"],
            "user": np.arange(2_000) // 2,
        }
    )
    frame.to_csv(folder / "log.csv", index=False)
    pd.DataFrame(
        [
            {"kind": kind, "item": item, "probability": TARGET_XA[x, a]}
            for x, kind in enumerate("xy")
            for a, item in enumerate("abc")
        ]
    ).to_csv(folder / "better.csv", index=False)
    rng = np.random.default_rng(1)
    actions = rng.choice(3, 1_500, p=[0.2, 0.3, 0.5])
    clicks = rng.random(1_500) < (0.4 * RATES_XA[0] + 0.6 * RATES_XA[1])[actions]
    frame = pd.DataFrame({"item": np.array(list("abc"))[actions], "reward": clicks.astype(int)})
    frame.to_csv(folder / "live.csv", index=False)
    return folder


def test_a_table_is_evaluated_on_a_log_and_written(place: Path, tmp_path: Path):
    """The JSON object alone is on standard output, and equals results.json; users are clusters; the key column came from the table."""
    out = tmp_path / "new" / "out"
    found = json.loads(
        run(
            "--logged",
            place / "log.csv",
            "--target",
            place / "better.csv",
            "--context-columns",
            "kind",
            "--json",
            "--output",
            out,
        )
    )
    assert json.loads((out / "results.json").read_text()) == found
    assert (found["log"], found["target"], found["rows"], found["clusters"], found["cluster"]) == (
        "log",
        "better",
        2_000,
        1_000,
        "user",
    )
    assert list(found["estimates"]) == ["ips", "snips", "dm", "dr", "switch-dr"]
    truth = 0.4 * (TARGET_XA[0] @ RATES_XA[0]) + 0.6 * (TARGET_XA[1] @ RATES_XA[1])
    for name in ("ips", "snips", "dr"):
        low, high = found["estimates"][name]["interval"]
        assert low < truth < high
        assert found["estimates"][name]["difference"]["value"] == pytest.approx(
            found["estimates"][name]["value"] - found["logging"]["value"]
        )
    assert found["truth"] is None
    assert found["warnings"] == []
    assert found["sentence"].startswith("better would have earned more than log did: better − log is .")


def test_people_get_a_table_a_sentence_and_warnings(place: Path):
    text = run("--logged", place / "log.csv", "--target", place / "live.csv", "--reward-model", "trees")
    for words in (
        "What live would have earned a row, from 2,000 rows of log",
        "logging policy, log",
        "inverse propensity scores",
        "self-normalised IPS",
        "direct method",
        "doubly robust",
        "switch: DR or DM",
        "truth, in live itself",
        "effective sample 1,",
        "1,000 clusters by user",
        "to the reward model (trees)",
        "would have earned more than log did",
    ):
        assert words in text
    assert "warning" not in text


def test_the_same_input_gives_the_same_figures_and_the_seed_moves_folds_alone(place: Path):
    arguments = ("--logged", place / "log.csv", "--target", place / "live.csv", "--json")
    first, again, other = json.loads(run(*arguments)), json.loads(run(*arguments)), json.loads(run(*arguments, "--seed", "5"))
    assert first == again
    assert other["estimates"]["ips"] == first["estimates"]["ips"]
    assert other["estimates"]["dr"]["value"] != first["estimates"]["dr"]["value"]
    assert first["truth"]["value"] == pytest.approx(pd.read_csv(place / "live.csv")["reward"].mean())


def test_a_rankers_bundle_is_evaluated_for_the_users_of_a_log(place: Path, tmp_path: Path):
    """The log's item 0 … 29 are the bundle's; the name for users is the usual one, or said."""
    rng = np.random.default_rng(0)
    items = rng.integers(0, 30, 3_000)
    frame = pd.DataFrame(
        {"user_id": [f"u{number % 5}" for number in range(3_000)], "item": [f"i{row}" for row in items], "propensity": 1 / 30}
    )
    frame["click"] = (rng.random(3_000) < 0.2 + items / 60).astype(int)
    frame.to_csv(tmp_path / "log.csv", index=False)
    bundle = write_bundle(make_draft(), tmp_path).parent
    arguments = ("--target", bundle, "--cluster-column", "none", "--json")
    found = json.loads(run("--logged", tmp_path / "log.csv", *arguments))
    assert (found["target"], found["truth"]) == ("sample", None)
    assert found["weights"]["largest"] == pytest.approx(30)
    frame.rename(columns={"user_id": "who"}).to_csv(tmp_path / "log.csv", index=False)
    assert json.loads(run("--logged", tmp_path / "log.csv", *arguments, "--user-column", "who")) == found
    assert "no column 'user_id'" in error(DataError, "--logged", tmp_path / "log.csv", *arguments)
    assert "--user-column: only for a ranker's bundle" in error(
        ConfigError, "--logged", tmp_path / "log.csv", "--target", place / "live.csv", "--user-column", "who"
    )
    assert "open-bandit/random does not say who they are" in error(
        ConfigError, "--logged", "open-bandit/random", "--target", bundle
    )


def test_warnings_are_printed(place: Path, tmp_path: Path):
    pd.read_csv(place / "log.csv").head(60).to_csv(tmp_path / "short.csv", index=False)
    text = run("--logged", tmp_path / "short.csv", "--target", place / "live.csv")
    assert "warning: the effective sample is too small: " in text


def test_options_that_mean_nothing_here_are_refused(place: Path):
    log = ("--logged", place / "log.csv")
    assert "give --target" in error(ConfigError, *log)
    message = error(ConfigError, *log, "--target", "x", "--metric", "AP", "--protocol", "paper", "--all")
    assert "--all, --metric, --protocol: nothing to a log of actions" in message
    assert "bundles: nothing to a log" in error(ConfigError, "bundles/ease", *log, "--target", "x")
    assert "only with --logged" in error(ConfigError, "a", "b", "--target", "x", "--reward-column", "y")
    assert "--format lists" in error(ConfigError, *log, "--target", "x", "--format", "lists")
    assert "is a file" in error(ConfigError, *log, "--target", "x", "--output", place / "log.csv")


def test_what_cannot_be_read_is_told_before_anything_is_written(place: Path, tmp_path: Path):
    out = tmp_path / "out"
    for arguments, words in (
        (("--logged", "nothing", "--target", place / "live.csv"), "no log and no file 'nothing'; there are open-bandit/random"),
        (("--logged", place / "log.csv", "--target", "nothing"), "no log and no file 'nothing'"),
        (("--logged", place / "live.csv", "--target", place / "log.csv"), "no column for the propensity"),
        (("--logged", place / "log.csv", "--target", place / "live.csv", "--context-columns", "age"), "no column 'age'"),
        (("--logged", place / "log.csv", "--target", place / "log.csv", "--item-column", "user", "--cluster-column", "none",
          "--position-column", "reward"), "cannot be position and reward"),
    ):  # fmt: skip
        assert words in error(DataError, *arguments, "--output", out)
    assert not out.exists()


@pytest.mark.data
def test_open_bandit_by_name(data_dir: Path):
    if not (data_dir / "open-bandit").is_dir():
        pytest.skip(f"no open-bandit in {data_dir}")
    found = json.loads(run("--logged", "open-bandit/random", "--target", "open-bandit/bts", "--json"))
    assert (found["rows"], found["clusters"], found["actions"]) == (10_000, 9_991, 80)
    assert found["logging"]["value"] == pytest.approx(0.0038)
    assert found["truth"]["value"] == pytest.approx(0.0042)
    message = error(DataError, "--logged", "open-bandit/random", "--target", "open-bandit/bts", "--reward-column", "click")
    assert "--reward-column: only for files; open-bandit/random is a named log" in message
