"""`irgan related` as a person and as a machine meet it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tests.training.texts import make_collection, write_collection
from training.cli.related import related
from training.errors import ConfigError, DataError, InputError
from training.jobs.related import FEATURES, MODELS

app = typer.Typer()
app.command()(related)

QUICK = ("--set", "num_members=1", "--set", "embedding_size=8", "--set", "num_epochs=4", "--set", "batch_size=32")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a collection in it."""
    write_collection(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data", "mine"])


def run(*arguments: str) -> dict[str, Any]:
    """The JSON object of a run that must succeed; nothing else may be on standard output."""
    result = invoke(*arguments, "--json")
    assert result.exit_code == 0, result.output or repr(result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_all_models_are_measured_and_compared_over_several_seeds(place: Path) -> None:
    """60 documents, ten of each topic, are related to the nine others: 270 pairs. Models without chance have no spread."""
    told = run(*QUICK, "--seeds", "2", "--baseline", "tfidf", "--metric", "nDCG@10,AP")
    assert [told[key] for key in ("data", "documents", "with_related", "pairs", "seeds")] == ["mine", 60, 60, 270, [0, 1]]
    names = [model["name"] for model in told["models"]]
    assert names == ["vae-gan", FEATURES, *list(MODELS)[1:]]
    for model in told["models"]:
        assert list(model["metrics"]) == ["nDCG@10", "AP", "P@5", "R@100"]
        low, high = model["intervals"]["AP"]
        assert 0 < low < model["metrics"]["AP"] < high < 1
        assert model["metrics"]["R@100"] == 1
        assert bool(model["spread"]) == (model["name"] not in {"tfidf", "bm25"})
    pairs = {(one["metric"], one["ranker"], one["against"]) for one in told["comparisons"]}
    assert pairs == {(metric, name, "tfidf") for metric in ("nDCG@10", "AP") for name in names if name != "tfidf"}
    assert "documents better" in told["comparisons"][0]["sentence"]
    assert (place / "runs" / "related-mine" / "vae-gan-1" / "training.json").is_file()


def test_the_same_seed_says_the_same() -> None:
    one, again = (run("vae-gan", "vae", *QUICK, "--seed", "3") for _ in range(2))
    assert [m["metrics"] for m in one["models"]] == [m["metrics"] for m in again["models"]]
    assert one["models"][0]["metrics"] != run("vae-gan", *QUICK, "--seed", "4")["models"][0]["metrics"]


def test_without_the_game_vae_gan_is_vae() -> None:
    """The three weights at zero give the codes of `vae`; as they are by default, other codes."""
    zero = [f"--set={name}=0" for name in ("encoder_similarity_weight", "similarity_weight", "gan_weight")]
    models = {model["name"]: model["metrics"] for model in run("vae-gan", "vae", *QUICK, *zero)["models"]}
    assert models["vae-gan"] == models["vae"]
    models = {model["name"]: model["metrics"] for model in run("vae-gan", "vae", *QUICK)["models"]}
    assert models["vae-gan"] != models["vae"]


def test_judgements_are_not_learned_from(place: Path) -> None:
    """Other judgements measure otherwise; the list of a document stays the same."""
    before = run("vae-gan", *QUICK, "--of", "d7")
    path = place / "mine" / "qrels" / "all.tsv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *np.random.default_rng(0).permutation(lines[1:])[:100]]) + "\n")
    after = run("vae-gan", *QUICK, "--of", "d7")
    scores = [[(n["id"], n["score"]) for n in told["lists"]["vae-gan"]] for told in (before, after)]
    assert scores[0] == scores[1]


def test_a_person_asks_for_the_list_of_a_document(place: Path) -> None:
    """With titles; what is known to be related has a star, and the document itself is not in its list."""
    result = invoke("tfidf", "bm25", "--of", "d3", "--top", "4")
    assert result.exit_code == 0, result.output or repr(result.exception)
    lines = result.stdout.splitlines()
    assert lines[0] == "d3  Number 3"
    assert lines[2] == "tfidf"
    assert len(lines) == 2 + 5 + 1 + 5
    assert all(" d3 " not in line for line in lines[1:])
    collection = make_collection()
    judged = collection.judged["all"]
    topic = set(judged.document_rows[np.isin(judged.query_rows, judged.query_rows[judged.document_rows == 3])])
    for line in lines[3:7]:
        other = line.lstrip("* ").split()[1]
        assert line.startswith("*") == (collection.documents.row(other) in topic)
    told = run("tfidf", "--of", "d3", "--top", "100")
    assert len(told["lists"]["tfidf"]) == 59
    assert told["document"] == "d3"


def test_without_judgements_lists_are_made_and_nothing_can_be_measured(place: Path) -> None:
    (place / "mine" / "qrels" / "all.tsv").unlink()
    (place / "mine" / "qrels").rmdir()
    assert {neighbour["related"] for neighbour in run("bm25", "--of", "d3")["lists"]["bm25"]} == {None}
    error = invoke("tfidf").exception
    assert type(error) is DataError
    assert "expected judgements" in str(error)
    assert "--of ID" in str(error)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("word2vec",), ConfigError, "no model word2vec; there are vae-gan, vae, lsa, tfidf, bm25"),
        (("tfidf", "tfidf"), ConfigError, "stands there twice"),
        (("tfidf", "--baseline", "bm25"), ConfigError, "--baseline bm25 does not take part; expected one of tfidf"),
        (("tfidf", "--metric", "MAP"), ConfigError, "no metric MAP"),
        (("tfidf", "--of", "d60"), DataError, "mine has no such document"),
        (("vae", "--set", "num_epoch=3"), ConfigError, "num_epoch: unknown setting"),
    ],
)
def test_what_cannot_be_is_one_message(arguments: tuple[str, ...], kind: type[InputError], message: str) -> None:
    error = invoke(*arguments).exception
    assert type(error) is kind
    assert message in str(error)
