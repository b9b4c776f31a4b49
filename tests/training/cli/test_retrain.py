"""`irgan retrain` as a scheduler and a person meet it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from app.releases import ReleaseStore
from tests.training.jobs.retraining import write_job
from training.cli.retrain import retrain
from training.errors import AnotherRun, ConfigError, DataError

app = typer.Typer()
app.command()(retrain)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["config.toml", *arguments])


def test_a_scheduler_gets_an_exit_code_and_one_json_object(place: Path) -> None:
    """0 when published; 10 when the gate says no; 11 when the data are refused: the record each time, and nothing else on stdout."""
    write_job(place, publish='champion = "always"')
    published = invoke("--json")
    assert published.exit_code == 0, published.output
    record = json.loads(published.stdout)
    assert record["decision"] == "published"
    assert ReleaseStore(place / "releases").current("challenger") == record["release"]["release"]

    write_job(place, named='[[rankers]]\nname = "popularity"\n')
    rejected = invoke("--json")
    assert (rejected.exit_code, json.loads(rejected.stdout)["decision"]) == (10, "rejected")

    write_job(place, validation="least_users = 1000")
    refused = invoke("--json")
    assert (refused.exit_code, json.loads(refused.stdout)["decision"]) == (11, "refused")

    history = invoke("--history")
    assert [line.split()[1] for line in history.stdout.splitlines()] == ["published", "rejected", "refused"]
    told = json.loads(invoke("--history", "--json").stdout)["runs"]
    assert told[0] == record


def test_a_person_gets_a_table_and_a_sentence(place: Path) -> None:
    write_job(place)
    result = invoke()
    assert result.exit_code == 0
    assert "popularity" in result.stdout and "coverage@10" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("published: ease has nDCG@10")
    assert "step train-ease" in result.stderr


def test_another_run_at_work_has_a_code_of_its_own(place: Path) -> None:
    write_job(place)
    (place / "retraining").mkdir()
    with (place / "retraining" / ".lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        caught = invoke("--json").exception
    assert isinstance(caught, AnotherRun) and caught.exit_code == 12


def test_a_dry_run_says_what_would_be_done(place: Path) -> None:
    write_job(place)
    before = sorted(place.rglob("*"))
    plan = json.loads(invoke("--dry-run", "--json").stdout)
    assert [ranker["name"] for ranker in plan["train"]] == ["popularity", "ease"]
    assert plan["publish"]["slot"] == "challenger"
    assert sorted(place.rglob("*")) == before


def test_a_dry_run_says_which_file_is_missing(place: Path) -> None:
    """As the run itself would, and not only at night."""
    write_job(place, data='items = "nowhere.csv"\n')
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file"):
        CliRunner().invoke(app, ["config.toml", "--dry-run"], catch_exceptions=False)
    write_job(place)
    (place / "mine.csv").unlink()
    with pytest.raises(DataError, match=r"mine\.csv: no such file"):
        CliRunner().invoke(app, ["config.toml", "--dry-run"], catch_exceptions=False)


def test_help_names_the_table_that_is_not_heeded() -> None:
    assert "[validation]" in invoke("--help").stdout


@pytest.mark.parametrize("every", ["24", "0h", "soon", "-1m"])
def test_a_pause_that_is_none_is_refused_before_anything_is_read(every: str) -> None:
    with pytest.raises(ConfigError, match="expected a number and a unit"):
        CliRunner().invoke(app, ["nowhere.toml", f"--every={every}"], catch_exceptions=False)


def _looping(place: Path, sigint: str) -> subprocess.Popen[str]:
    script = f"import signal; signal.signal(signal.SIGINT, signal.{sigint}); from app.cli import main; main()"
    command = [sys.executable, "-c", script, "retrain", "config.toml", "--every", "1s", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("sigint", ["default_int_handler", "SIG_IGN"])
def test_it_runs_again_and_again_also_after_a_failure_until_it_is_told_to_stop(place: Path, sigint: str) -> None:
    """First there is no configuration at all; when there is one, a run is published; SIGTERM ends it, asleep or at work.

    Also where a shell has started it in the background, with Ctrl-C ignored.
    """
    with _looping(place, sigint) as process:
        try:
            assert process.stderr is not None and process.stdout is not None
            for line in process.stderr:
                if "this run failed" in line:
                    break
            write_job(place)
            assert json.loads(process.stdout.readline())["decision"] == "published"
            for line in process.stderr:
                if "the next run begins" in line:
                    break
            process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode in {0, 130}
    assert "Traceback" not in stderr
