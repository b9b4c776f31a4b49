"""`irgan evaluate` and `irgan compare` as a person and as a machine meet them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import ir_measures
import numpy as np
import pandas as pd
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from app.bundle import BundleNotFound, read_manifest
from tests.training.conftest import make_interactions
from tests.training.evaluation.studies import neighbour_model, popularity_model
from training.cli.compare import compare
from training.cli.evaluate import evaluate
from training.data import FileOptions, Split, load_dataset, make_split
from training.errors import ConfigError, DataError
from training.evaluation import evaluate as measure
from training.export import export_bundle
from training.jobs import field
from training.registry import RANKERS

app = typer.Typer()
app.command()(evaluate)
app.command()(compare)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--resamples", "200")], catch_exceptions=True)


def run(*arguments: str | Path) -> str:
    """Standard output of a command that must succeed."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output or repr(result.exception)
    return result.stdout


def error(kind: type[Exception], *arguments: str | Path) -> str:
    """The message of a command that must fail with this error and leave standard output empty."""
    result = invoke(*arguments)
    assert isinstance(result.exception, kind), repr(result.exception)
    assert kind.exit_code == 2  # type: ignore[attr-defined]
    assert result.stdout == ""
    return str(result.exception)


def export(split: Split, root: Path, name: str, model=popularity_model, **training) -> Path:
    return export_bundle(
        model(split),
        split,
        root=root,
        name=name,
        ranker="made-up",
        paper="—",
        seed=0,
        config={},
        bias_folded=False,
        metrics={},
        training=training,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ratings, and bundles trained on four fifths of it: popular, knn (with curves), twice twins, and knn-fold1 on another part."""
    folder = tmp_path_factory.mktemp("place")
    data = make_interactions()
    frame = pd.DataFrame(
        {
            "user": [data.users.id(row) for row in data.user_rows],
            "item": [data.items.id(row) for row in data.item_rows],
            "rating": data.ratings,
        }
    )
    frame.to_csv(folder / "mine.csv", index=False)
    dataset = load_dataset(str(folder / "mine.csv"))
    split = make_split(dataset, "kfold", folds=5, fold=0, seed=3)
    export(split, folder, "popular")
    export(split, folder, "knn", neighbour_model, curves={"fit/loss": [[0, 1.0], [1, 0.5]], "broken": "?"})
    export(split, folder, "twins", popularity_model)
    export(split, folder, "twins", neighbour_model)
    export(make_split(dataset, "kfold", folds=5, fold=1, seed=3), folder, "knn-fold1", neighbour_model)
    return folder


def test_evaluate_finds_data_and_split_in_the_manifest(place: Path):
    """Only the file has to be named; figures are those of the library on the recorded split."""
    found = json.loads(run("evaluate", place / "popular", "--data", place / "mine.csv", "--json"))
    split = make_split(load_dataset(str(place / "mine.csv")), "kfold", folds=5, fold=0, seed=3)
    assert found["data"] == "mine"
    assert found["split"] == {"name": "kfold", "parameters": {"folds": 5, "fold": 0, "seed": 3}}
    assert (found["comparisons"], found["baseline"]) == ([], None)
    assert found["agreement"] == found["changes"] == found["activity"] == []
    (ranker,) = found["rankers"]
    assert (ranker["name"], ranker["ranker"]) == ("popular", "made-up")
    assert Path(ranker["bundle"]).parent == place / "popular"
    assert list(ranker["metrics"]) == ["paper", "standard"]
    for protocol, metrics in ranker["metrics"].items():
        assert metrics == pytest.approx(measure(popularity_model(split), split, protocol).means, abs=1e-9)
        low, high = ranker["intervals"][protocol]["nDCG@10"]
        assert low < metrics["nDCG@10"] < high


def test_compare_writes_everything_it_found(place: Path, tmp_path: Path):
    """Standard output is the JSON object alone and equals results.json; ir-measures agrees on the runs; the page has the curves."""
    arguments = (place / "popular", place / "knn", "--data", place / "mine.csv", "--output", tmp_path / "new" / "out")
    found = json.loads(run("compare", *arguments, "--json", "--metric", "nDCG@10, AP ,AP"))
    output = tmp_path / "new" / "out"
    assert sorted(path.name for path in output.iterdir()) == [
        "knn.paper.run", "knn.standard.run", "popular.paper.run", "popular.standard.run",
        "qrels.txt", "report.html", "results.json",
    ]  # fmt: skip
    assert json.loads((output / "results.json").read_text()) == found
    assert [(c["protocol"], c["metric"], c["ranker"], c["against"]) for c in found["comparisons"]] == [
        (protocol, metric, "popular", "knn") for protocol in ("paper", "standard") for metric in ("nDCG@10", "AP")
    ]
    for c in found["comparisons"]:
        mean = {r["name"]: r["metrics"][c["protocol"]][c["metric"]] for r in found["rankers"]}
        assert c["difference"] == pytest.approx(mean["popular"] - mean["knn"])
        assert c["family"] == 2 and set(c["p"]) == set(c["p_holm"]) == {"randomisation", "t", "wilcoxon"}
        assert c["better"] + c["worse"] + c["equal"] == found["users"]
        assert c["sentence"].startswith("knn is better than popular on ")
    assert [(c["protocol"], c["metric"]) for c in found["changes"]] == [
        (c["protocol"], c["metric"]) for c in found["comparisons"]
    ]
    for one in found["agreement"]:
        assert one["overlap@10"]["users"] == found["users"] and 0 < one["rbo"]["mean"] < 1 and -1 < one["tau"]["mean"] < 1
    assert sum(group["users"] for group in found["activity"]) == 2 * found["users"]
    for shares in found["popularity"]["listed"]["paper"].values():
        assert sum(shares) == pytest.approx(1.0)
    qrels = list(ir_measures.read_trec_qrels(str(output / "qrels.txt")))
    for ranker in found["rankers"]:
        for protocol, metrics in ranker["metrics"].items():
            trec = list(ir_measures.read_trec_run(str(output / f"{ranker['name']}.{protocol}.run")))
            theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.AP], qrels, trec)
            assert metrics["nDCG@10"] == pytest.approx(theirs[ir_measures.nDCG @ 10], abs=1e-9)
            assert metrics["AP"] == pytest.approx(theirs[ir_measures.AP], abs=1e-9)
    page = (output / "report.html").read_text()
    assert "fit/loss" in page and "broken" not in page
    first = {path.name: path.read_bytes() for path in output.iterdir()}
    run("compare", *arguments, "--json", "--metric", "nDCG@10,AP")
    assert {path.name: path.read_bytes() for path in output.iterdir()} == first


def test_people_get_tables_and_sentences(place: Path):
    text = run("compare", place / "popular", place / "knn", "--data", place / "mine.csv", "--protocol", "paper")
    assert "protocol paper, 57 users" in text
    assert "protocol standard" not in text
    assert text.count("[.") > 10
    assert "paper: knn is better than popular on AP by ." in text
    assert "after Holm over 2 comparisons; " in text


def test_people_see_how_lists_differ_and_for_whom(place: Path):
    """Of one pair two gains and two losses at most, on the metric named first; of many pairs where to look."""
    text = run("compare", place / "popular", place / "knn", "--data", place / "mine.csv", "--protocol", "paper")
    assert "paper: how much alike the lists are, means over users and [quartiles]" in text
    assert "popular and knn" in text and "Kendall's τ" in text
    assert "paper: users that changed most on nDCG@10, popular − knn; * is relevant" in text
    assert "changed most on AP" not in text
    assert 1 <= text.count("liked in training") <= 4
    bundles = (place / "popular", place / "knn", *sorted((place / "twins").iterdir()))
    text = run("compare", *bundles, "--data", place / "mine.csv", "--protocol", "paper")
    assert "paper: of 6 pairs, the users that changed most are in --json" in text
    assert "liked in training" not in text


def test_a_baseline_is_compared_with_all_others_and_found_by_name_or_folder(place: Path):
    bundles = (place / "popular", place / "knn", *sorted((place / "twins").iterdir()))
    common = ("--data", place / "mine.csv", "--protocol", "standard", "--metric", "RR", "--json")
    found = json.loads(run("compare", *bundles, "--baseline", "knn", *common))
    assert found["baseline"] == "knn"
    assert [(c["ranker"], c["against"], c["family"]) for c in found["comparisons"]] == [
        (r["name"], "knn", 3) for r in found["rankers"] if r["name"] != "knn"
    ]
    assert json.loads(run("compare", *bundles, "--baseline", place / "knn", *common)) == found
    refused = error(ConfigError, "compare", *bundles, "--baseline", "nobody", *common)
    assert refused.startswith("the baseline 'nobody' is none of the bundles; expected one of popular, knn, twins@")
    assert "names several" in error(ConfigError, "compare", *bundles, "--baseline", "twins", *common)


def test_rankers_of_the_same_name_are_told_apart_by_version_and_a_name_alone_is_its_latest(place: Path):
    older, newer = sorted((place / "twins").iterdir(), key=lambda path: read_manifest(path).created)
    common = ("--data", place / "mine.csv", "--protocol", "paper", "--json")
    found = json.loads(run("evaluate", older, newer, *common))
    assert [r["name"] for r in found["rankers"]] == [f"twins@{older.name}", f"twins@{newer.name}"]
    assert found["rankers"][0]["metrics"] != found["rankers"][1]["metrics"]
    (latest,) = json.loads(run("evaluate", place / "twins", *common))["rankers"]
    assert (latest["name"], latest["bundle"]) == ("twins", str(newer))
    assert latest["metrics"] == found["rankers"][1]["metrics"]
    assert "give each bundle once" in error(ConfigError, "compare", older, older, *common)


def test_a_ranker_is_not_judged_on_what_it_may_have_learned(place: Path):
    """Another fold, another file, another catalogue: each refused with what was found and where to go."""
    data = ("--data", place / "mine.csv")
    for asked in (("--fold", "1"), ("--split-seed", "4"), ("--split", "random"), ("--folds", "4")):
        refused = error(DataError, "evaluate", place / "knn", *data, *asked)
        assert "did not learn from the training part of mine, split" in refused
        assert "it learned from mine, split kfold (folds 5, fold 0, seed 3), 576 events" in refused
    assert run("evaluate", place / "knn-fold1", *data, "--protocol", "paper")
    refused = error(DataError, "compare", place / "knn", place / "knn-fold1", *data)
    assert "only rankers that learned from the same events can be compared" in refused
    larger = make_interactions(num_users=61)
    pd.DataFrame({"user": larger.user_rows, "item": larger.item_rows, "rating": larger.ratings}).to_csv(
        place / "other.csv", index=False
    )
    assert "has other users (60) than the data other" in error(
        DataError, "evaluate", place / "knn", "--data", place / "other.csv"
    )


def test_relevant_is_what_counted_as_liked_in_training_unless_said_otherwise(tmp_path: Path):
    """A file of ratings from 1 to 10 whose threshold only the manifest knows; with another one other items are relevant."""
    data = make_interactions()
    pd.DataFrame({"user": data.user_rows, "item": data.item_rows, "rating": 2 * data.ratings}).to_csv(
        tmp_path / "ten.csv", index=False
    )
    for threshold in (8.0, 6.0):
        dataset = load_dataset(str(tmp_path / "ten.csv"), FileOptions(positive_threshold=threshold))
        export(make_split(dataset, "random"), tmp_path, f"from{threshold:.0f}")
    common = ("--data", tmp_path / "ten.csv", "--protocol", "standard", "--json")
    eight = json.loads(run("evaluate", tmp_path / "from8", *common))
    six = json.loads(run("evaluate", tmp_path / "from6", *common))
    assert eight["rankers"][0]["metrics"]["standard"]["P@50"] < six["rankers"][0]["metrics"]["standard"]["P@50"]
    refused = error(ConfigError, "compare", tmp_path / "from8", tmp_path / "from6", *common)
    assert "(from8: 8, from6: 6); say with --positive-threshold" in refused
    assert run("compare", tmp_path / "from8", tmp_path / "from6", *common, "--positive-threshold", "8")


def test_what_cannot_be_done_is_one_message(place: Path, tmp_path: Path):
    data = ("--data", place / "mine.csv")
    assert "give its file with --data FILE" in error(DataError, "evaluate", place / "popular")
    assert "expected a bundle's folder NAME/VERSION, or NAME" in error(BundleNotFound, "evaluate", tmp_path, *data)
    assert "1 bundle to compare; expected at least 2" in error(ConfigError, "compare", place / "knn", *data)
    assert "names nothing to compare" in error(ConfigError, "compare", place / "knn", place / "popular", "--metric", ",")
    assert "no metric MAP" in error(ConfigError, "compare", place / "knn", place / "popular", *data, "--metric", "MAP")
    (tmp_path / "file").write_text("")
    assert "is a file; expected a folder" in error(ConfigError, "evaluate", place / "knn", *data, "--output", tmp_path / "file")


def test_the_recorded_split_must_be_one_that_can_be_cut_again(place: Path, tmp_path: Path):
    """Trained on everything, or with parameters that are no numbers."""
    dataset = load_dataset(str(place / "mine.csv"))
    split = make_split(dataset, "random")
    export(replace(split, name="none", parameters={}), tmp_path, "all")
    export(replace(split, parameters={"fraction": "a lot"}), tmp_path, "odd")
    data = ("--data", place / "mine.csv")
    assert "record the split 'none'" in error(DataError, "evaluate", tmp_path / "all", *data)
    assert "impossible parameters of the split random" in error(DataError, "evaluate", tmp_path / "odd", *data)


@pytest.mark.data
def test_a_named_data_set_needs_no_option_at_all(data_dir: Path, tmp_path: Path):
    """Popularity on MovieLens 100K, split and protocol of the paper: the figures of the literature's popularity row."""
    split = make_split(load_dataset("movielens-100k"))
    bundle = export(split, tmp_path, "popularity")
    found = json.loads(run("evaluate", bundle, "--protocol", "paper", "--json"))
    assert (found["data"], found["split"]["name"], found["users"]) == ("movielens-100k", "paper", 456)
    metrics = found["rankers"][0]["metrics"]["paper"]
    expected = {"P@5": 0.2338, "P@10": 0.2050, "nDCG@10": 0.2403, "AP": 0.1516, "RR": 0.4657}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=5e-3)


def test_seeds_change_intervals_and_nothing_else(place: Path):
    common = (place / "knn", "--data", place / "mine.csv", "--protocol", "paper", "--json")
    first, again, other = (json.loads(run("evaluate", *common, "--seed", seed))["rankers"][0] for seed in ("1", "1", "2"))
    assert first == again
    assert first["metrics"] == other["metrics"]
    assert not np.allclose(first["intervals"]["paper"]["AP"], other["intervals"]["paper"]["AP"], atol=1e-12)


def test_all_rankers_are_compared_on_one_data_set(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained where they are missing, taken where they are there; all against EASE unless a baseline is named."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(field, "RECOMMENDERS", {name: RANKERS[name] for name in ("popularity", "item-knn", "ease")})
    wanted = ("--all", "--data", "mine.csv", "--metric", "AP", "--protocol", "paper", "--bundles", "whole", "--json")
    found = json.loads(run("compare", *wanted))
    assert [row["name"] for row in found["rankers"]] == ["popularity", "item-knn", "ease"]
    assert {row["against"] for row in found["comparisons"]} == {"ease"}
    versions = sorted((place / "whole").glob("*/*"))
    assert len(versions) == 3
    again = json.loads(run("compare", *wanted, "--baseline", "popularity"))
    assert {row["against"] for row in again["comparisons"]} == {"popularity"}
    assert sorted((place / "whole").glob("*/*")) == versions
    untrained = place / "untrained"
    for option, value, message in (
        ("--metric", "AQ", "no metric AQ"),
        ("--baseline", "eaze", "no ranker 'eaze'"),
        ("--output", "mine.csv", "mine.csv is a file"),
        ("--bundles", "mine.csv", "mine.csv is no folder"),
    ):
        given = ("--all", "--data", "mine.csv", "--bundles", untrained, option, value)
        assert message in error(ConfigError, "compare", *given)
        assert not untrained.exists(), "what is wrong is said before anything is trained"
    for wrong in (("--all",), ("--all", "whole/ease", "--data", "mine.csv")):
        assert "give that with --data, and no bundles" in error(ConfigError, "compare", *wrong)
