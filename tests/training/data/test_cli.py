"""`irgan data` as a person and as a machine meet it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from training.cli.data import data
from training.cli.options import DataFlags, load_split, spread
from training.errors import DataError, InputError

CSV = "user,item,rating,time\na,x,5,0\na,y,2,86400\nb,x,4,5\nb,z,1,6\n"


def run(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    (tmp_path / "mine.csv").write_text(CSV)
    return tmp_path / "mine.csv"


def test_list_tells_what_there_is_and_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IRGAN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("IRGAN_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "douban").mkdir()
    (tmp_path / "douban" / "ratings.tsv").write_text("")
    listed = {row["name"]: row for row in json.loads(run("list", "--json")[0])["datasets"]}
    assert listed["douban"]["folder"] == str(tmp_path / "douban")
    assert listed["gowalla"]["folder"] is None
    assert listed["movielens-100k"]["fetchable"]
    assert {row["kind"] for row in listed.values()} == {"interactions", "documents", "features", "logged", "weights"}
    text, _ = run("list")
    assert text.index("Ratings or clicks") < text.index("Documents to search") < text.index("  scifact")
    assert "irgan data fetch movielens-100k" in text
    assert "$IRGAN_DATA_DIR/gowalla" in text


@pytest.mark.data
def test_fetch_prints_folder_and_terms(data_dir: Path) -> None:
    text, _ = run("fetch", "movielens-100k")
    assert str(data_dir / "movielens-100k") in text
    assert "may not be redistributed" in text
    answer = json.loads(run("fetch", "movielens-100k", "--json")[0])
    assert set(answer) == {"name", "folder", "terms"}


@pytest.mark.data
def test_describe_counts_a_named_data_set(data_dir: Path) -> None:
    """The histogram is the one of the README's counts: 6110 + 11370 + 27145 + 34174 + 21201 = 100,000."""
    told = json.loads(run("describe", "movielens-100k", "--json")[0])
    assert told["ratings"] == {"1": 6110, "2": 11370, "3": 27145, "4": 34174, "5": 21201}
    assert told["density"] == pytest.approx(100_000 / 943 / 1682)
    assert told["times"] == {"first": "1997-09-20T03:05:10+00:00", "last": "1998-04-22T23:10:38+00:00"}
    assert told["default_split"] == "paper"
    assert "redistributed" in told["terms"]


@pytest.mark.data
def test_describe_counts_a_named_collection(data_dir: Path) -> None:
    """Counts of its paper; 1,837 judgements in four grades."""
    told = json.loads(run("describe", "cranfield", "--json")[0])
    assert (told["kind"], told["documents"], told["queries"], told["empty_documents"]) == ("documents", 1400, 225, 2)
    assert told["judged"] == {
        "all": {
            "queries": 225,
            "judgements": 1837,
            "answered_queries": 225,
            "grades": {"1": 588, "2": 734, "3": 387, "4": 128},
        }
    }
    assert told["candidates"] is None
    assert told["default_split"] == "kfold"
    text, _ = run("describe", "wikiqa")
    assert "    candidates         2,732" in text


@pytest.mark.data
def test_describe_counts_named_candidates(data_dir: Path) -> None:
    """564 of MQ2008's 784 queries have a relevant document."""
    told = json.loads(run("describe", "letor-mq2008", "--json")[0])
    counts = {key: told[key] for key in ("kind", "features", "queries", "answered_queries", "candidates")}
    assert counts == {"kind": "features", "features": 46, "queries": 784, "answered_queries": 564, "candidates": 15_211}
    assert sum(told["grades"].values()) == sum(part["candidates"] for part in told["parts"].values()) == 15_211
    assert set(told["parts"]) == {"S1", "S2", "S3", "S4", "S5"}


def test_describe_knows_what_a_path_holds(tmp_path: Path) -> None:
    """A folder as BEIR has it, a table of documents, features; an option that only documents have settles what is not clear."""
    (tmp_path / "beir").mkdir()
    (tmp_path / "beir" / "corpus.jsonl").write_text('{"_id": "1", "text": "one two"}\n{"_id": "2", "text": "three"}\n')
    (tmp_path / "d.csv").write_text("id,text\n1,one\n")
    (tmp_path / "odd.csv").write_text("key,words\n1,one\n")
    (tmp_path / "f.txt").write_text("1 qid:1 1:0.5\n0 qid:1 1:0.25\n")
    told = json.loads(run("describe", str(tmp_path / "beir"), "--json", "--language", "german")[0])
    assert (told["documents"], told["language"], told["words_per_document"]["mean"]) == (2, "german", 1.5)
    assert (told["queries"], told["words_per_query"], told["judged"]) == (0, None, None)
    assert json.loads(run("describe", str(tmp_path / "d.csv"), "--json")[0])["kind"] == "documents"
    options = ("--id-column", "key", "--text-column", "words")
    assert json.loads(run("describe", str(tmp_path / "odd.csv"), *options, "--json")[0])["documents"] == 1
    assert json.loads(run("describe", str(tmp_path / "f.txt"), "--json")[0])["grades"] == {"0": 1, "1": 1}


def test_describe_refuses_what_means_nothing(tmp_path: Path) -> None:
    """Weights are no data; options of ratings mean nothing to documents; lists of items hold none."""
    (tmp_path / "d.csv").write_text("id,text\n1,one\n")
    for arguments, words in (
        (("minilm",), "minilm holds the weights of a network and nothing to describe"),
        (
            ("open-bandit/bts",),
            "open-bandit/bts is a log of actions, from which no ranker learns; irgan compare --logged open-bandit/bts",
        ),
        ((str(tmp_path / "d.csv"), "--user-column", "id"), "--user-column does not apply"),
        ((str(tmp_path / "d.csv"), "--format", "lists"), "a line for each user holds no documents"),
        ((str(tmp_path / "d.csv"), "--language", "klingon"), "--language klingon: unknown; there are"),
    ):
        result = CliRunner().invoke(data, ["describe", *arguments])
        assert isinstance(result.exception, InputError)
        assert words in str(result.exception)


def test_describe_checks_a_file_and_says_what_it_guessed(csv: Path) -> None:
    """One JSON object on stdout, the guesses on stderr."""
    text, log = run("describe", str(csv), "--json")
    told = json.loads(text)
    assert (told["users"], told["items"], told["interactions"], told["positives"]) == (2, 3, 4, 2)
    assert told["per_user"] == {"least": 2, "median": 2.0, "mean": 2.0, "most": 2}
    assert told["terms"] is None
    assert "user is 'user'" in log
    text, _ = run("describe", str(csv), "--positive-threshold", "1", "--time-column", "none")
    assert "positives              4" in text
    assert "times                  —" in text


def test_many_kinds_of_ratings_are_counted_in_ranges(tmp_path: Path) -> None:
    lines = "".join(f"a,{item},{item / 10}\n" for item in range(30))
    (tmp_path / "many.csv").write_text("user,item,rating\n" + lines)
    told = json.loads(run("describe", str(tmp_path / "many.csv"), "--positive-threshold", "2", "--json")[0])
    assert len(told["ratings"]) == 10
    assert sum(told["ratings"].values()) == 30


def test_errors_carry_exit_code_2(csv: Path) -> None:
    """`app.cli` prints what carries an exit code without a traceback."""
    result = CliRunner().invoke(data, ["describe", str(csv), "--item-column", "title"])
    assert isinstance(result.exception, DataError)
    assert result.exception.exit_code == 2
    assert result.stdout == ""


def test_a_command_with_shared_options_gets_them_as_one_value(csv: Path) -> None:
    """`spread` shows typer every option of the group, and `load_split` makes data and split of them."""
    seen: list[Any] = []
    app = typer.Typer()

    @app.command()
    @spread
    def train(ranker: str, data: DataFlags, *, seed: int = 0) -> None:
        """A command with shared options."""
        seen.append((ranker, seed, data, load_split(data)))

    arguments = [
        "ease",
        "--data",
        str(csv),
        "--split",
        "kfold",
        "--folds",
        "2",
        "--fold",
        "1",
        "--split-seed",
        "3",
        "--seed",
        "7",
    ]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    ranker, seed, flags, split = seen[0]
    assert (ranker, seed, flags.data, flags.duplicates) == ("ease", 7, str(csv), "error")
    assert (split.dataset, split.name, split.parameters) == ("mine", "kfold", {"folds": 2, "fold": 1, "seed": 3})
    assert len(split.train) == len(split.test) == 2
    assert CliRunner().invoke(app, ["ease"]).exit_code == 2, "--data is required"
    assert CliRunner().invoke(app, ["ease", "--data", str(csv), "--split", "loo"]).exit_code == 2
    assert "--positive-threshold" in CliRunner(env={"COLUMNS": "200"}).invoke(app, ["--help"]).output


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    code = "import sys, training.cli.data; print([m for m in ('numpy', 'pandas', 'pyarrow', 'torch', 'training.data') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "[]"
