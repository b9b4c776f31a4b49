"""`irgan train`, `evaluate` and `compare` for search and reranking, as a person and as a machine meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pandas as pd
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from app.bundle import SplitInfo, read_bundle, read_manifest
from tests.training.conftest import make_interactions
from tests.training.jobs.test_search import by_first
from tests.training.texts import make_features, word_model, write_collection, write_features
from training.cli.compare import compare
from training.cli.evaluate import evaluate
from training.cli.train import train
from training.data import load_collection, load_features, make_feature_splits, make_text_splits
from training.errors import ConfigError, DataError
from training.evaluation.search import evaluate_search
from training.export import export_reranker, export_search

app = typer.Typer()
for command in (train, evaluate, compare):
    app.command()(command)

TOLD: dict[str, Any] = {"ranker": "made-up", "paper": "—", "seed": 0, "config": {}, "metrics": {}, "training": {}}


def invoke(*arguments: str | Path) -> Result:
    few = () if arguments[0] == "train" else ("--resamples", "200")
    return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *few)])


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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection, candidates and ratings; bundles `words` (three modes), `bm25`, `one` and `other` (candidates), `liked`."""
    folder = tmp_path_factory.mktemp("place")
    collection = load_collection(str(write_collection(folder / "texts")))
    (split,) = make_text_splits(collection, "kfold", folds=3, fold=1, seed=5)
    cut = SplitInfo(name=split.name, parameters=split.parameters)
    for name, mode in (("words", "hybrid"), ("bm25", "lexical")):
        model = word_model(mode) if name == "words" else type(word_model())(word_model().lexical)  # type: ignore[arg-type]
        export_search(model, collection, split.train, split=cut, root=folder, name=name, **TOLD)
    (folder / "letor").mkdir()
    for number in range(1, 6):
        write_features(folder / "letor" / f"S{number}.txt", make_features(num_queries=20, seed=number, prefix=f"s{number}q"))
    ranked = make_feature_splits(load_features(str(folder / "letor")))[2]
    cut = SplitInfo(name=ranked.name, parameters=ranked.parameters)
    for name, sign in (("one", 1.0), ("other", -1.0)):
        export_reranker(by_first(sign), ranked.train, data_name=ranked.dataset, split=cut, root=folder, name=name, **TOLD)
    liked = make_interactions()
    pd.DataFrame({"user": liked.user_rows, "item": liked.item_rows, "rating": liked.ratings}).to_csv(
        folder / "ratings.csv", index=False
    )
    return folder


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder."""
    monkeypatch.chdir(place)


def test_training_prints_the_figures_of_all_groups_modes_and_folds() -> None:
    """By default all folds; one object on standard output and the same in the manifest."""
    result = invoke("train", "bm25", "--data", "texts", "--folds", "4", "--split-seed", "1", "--json", "--bundles", "trained")
    told = json.loads(result.stdout)
    assert list(told) == ["ranker", "seed", "seconds", "total_seconds", "bundle", "metrics", "variants"]
    metrics = told["metrics"]
    assert set(metrics) == {"test", "test_seen", "modes", "folds"}
    assert metrics["modes"] == {"lexical": {"test": metrics["test"], "test_seen": metrics["test_seen"]}}
    assert list(metrics["test"]) == ["nDCG@10", "AP", "R@100", "RR", "P@1", "P@5", "P@10"]
    assert len(metrics["folds"]) == 4
    assert np.mean([fold["RR"] for fold in metrics["folds"]]) == pytest.approx(metrics["test"]["RR"])
    assert read_manifest(Path(told["bundle"])).metrics == metrics
    assert "fold 4 of 4, learned in" in result.stderr
    assert Path("runs/bm25-texts-kfold-0/fold-3/training.json").is_file()


def test_one_fold_alone_can_be_evaluated_later() -> None:
    """The figures of training and of `irgan evaluate` are the same, and the data are found by the recorded split."""
    arguments = (
        "train",
        "bm25",
        "--data",
        "texts",
        "--fold",
        "2",
        "--split-seed",
        "1",
        "--bundles",
        "trained",
        "--name",
        "fold",
    )
    trained = json.loads(run(*arguments, "--json"))
    found = json.loads(run("evaluate", "trained/fold", "--data", "texts", "--json"))
    (ranker,) = found["rankers"]
    assert ranker["metrics"] == {group: trained["metrics"][group] for group in ("test", "test_seen")}
    assert found["split"] == {"name": "kfold", "parameters": {"folds": 5, "fold": 2, "seed": 1}}
    assert found["queries"] == {"test": 14, "test_seen": 14}
    assert "folds" not in trained["metrics"]


def test_people_get_a_table_and_the_bundle_s_path() -> None:
    """Modes and groups by name; and a line where nothing is judged."""
    text = run("train", "bm25", "--data", "texts", "--split", "random", "--bundles", "trained")
    assert all(word in text for word in ("lexical", "all", "seen", "nDCG@10", "R@100", "bundle: trained/bm25/"))
    text = run("train", "bm25", "--data", "texts/corpus.jsonl", "--bundles", "trained", "--name", "plain")
    assert "there is no test part to measure it on" in text
    (bundle,) = Path("trained/plain").iterdir()
    assert read_bundle(bundle).manifest.metrics == {}


def test_a_file_of_documents_can_have_queries_and_judgements_elsewhere() -> None:
    """The same figures as from the folder, ids and all."""
    common = ("--split", "random", "--json", "--bundles", "trained")
    folder = json.loads(run("train", "bm25", "--data", "texts", *common))
    files = ("--queries", "texts/queries.jsonl", "--qrels", "texts/qrels/all.tsv", "--language", "english")
    plain = json.loads(run("train", "bm25", "--data", "texts/corpus.jsonl", *files, *common))
    assert plain["metrics"] == folder["metrics"]


def test_candidates_are_trained_on_by_the_same_command() -> None:
    """LETOR's folds, all of them or one."""
    told = json.loads(run("train", "listnet", "--data", "letor", "--fold", "0", "--json", "--bundles", "trained"))
    assert list(told["metrics"]) == ["test"]
    assert {"nDCG@10", "AP", "P@5", "RR"} <= set(told["metrics"]["test"])
    found = json.loads(run("evaluate", "trained/listnet", "--data", "letor", "--json"))
    assert found["rankers"][0]["metrics"] == told["metrics"]
    assert "mode" not in found["rankers"][0]


def test_evaluate_tells_groups_apart_and_compare_writes_what_it_found(tmp_path: Path) -> None:
    """Two modes of one bundle and another bundle; ir-measures on the files agrees; a second run writes the same bytes."""
    output = tmp_path / "out"
    arguments = ("words:dense", "words:hybrid", "bm25", "--data", "texts", "--output", output, "--metric", "nDCG@10,RR")
    found = json.loads(run("compare", *arguments, "--json"))
    assert [(r["name"], r["mode"]) for r in found["rankers"]] == [
        ("words:dense", "dense"), ("words:hybrid", "hybrid"), ("bm25", "lexical"),
    ]  # fmt: skip
    assert json.loads((output / "results.json").read_text()) == found
    assert sorted(path.name for path in output.iterdir()) == [
        "bm25.lexical.run", "qrels.txt", "report.html", "results.json", "words.dense.run", "words.hybrid.run",
    ]  # fmt: skip
    pairs = [("words:dense", "words:hybrid"), ("words:dense", "bm25"), ("words:hybrid", "bm25")]
    assert [(c["queries"], c["metric"], c["ranker"], c["against"]) for c in found["comparisons"]] == [
        (group, metric, *pair) for group in found["queries"] for metric in ("nDCG@10", "RR") for pair in pairs
    ]
    first = found["comparisons"][0]
    assert (first["family"], first["better"] + first["worse"] + first["equal"]) == (6, found["queries"]["test"])
    assert "queries better" in first["sentence"]
    qrels = list(ir_measures.read_trec_qrels(str(output / "qrels.txt")))
    for ranker in found["rankers"]:
        trec = list(ir_measures.read_trec_run(str(output / f"{ranker['name'].partition(':')[0]}.{ranker['mode']}.run")))
        theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.AP, ir_measures.R @ 100], qrels, trec)
        assert {str(measure): value for measure, value in theirs.items()} == pytest.approx(
            {name: ranker["metrics"]["test"][name] for name in ("nDCG@10", "AP", "R@100")}, abs=1e-9
        )
    before = {path.name: path.read_bytes() for path in output.iterdir()}
    run("compare", *arguments)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == before


def test_queries_that_changed_and_lists_that_agree_are_told_for_each_group(tmp_path: Path) -> None:
    """In JSON, in the page and in the terminal; figures are those of the runs and of the queries' own values."""
    arguments = ("compare", "words:dense", "bm25", "--data", "texts", "--output", tmp_path, "--metric", "AP,nDCG@10")
    text = run(*arguments)
    found = json.loads((tmp_path / "results.json").read_text())
    groups = list(found["queries"])
    assert [one["queries"] for one in found["agreement"]] == groups
    assert [(one["queries"], one["metric"]) for one in found["changes"]] == [(g, m) for g in groups for m in ("AP", "nDCG@10")]
    runs = {
        name: {
            query: of.sort_values("rank")["document"].tolist()
            for query, of in pd.read_csv(
                tmp_path / file, sep=" ", names=["query", "q0", "document", "rank", "score", "tag"]
            ).groupby("query")
        }
        for name, file in (("words:dense", "words.dense.run"), ("bm25", "bm25.lexical.run"))
    }
    shared = [len(set(runs["words:dense"][q][:10]) & set(runs["bm25"].get(q, [])[:10])) / 10 for q in runs["words:dense"]]
    whole = found["agreement"][0]
    assert (whole["ranker"], whole["against"], whole["overlap@10"]["users"]) == (
        "words:dense",
        "bm25",
        found["queries"]["test"],
    )
    assert whole["overlap@10"]["mean"] == pytest.approx(np.mean(shared))
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels.txt")))
    values = {
        name: {
            one.query_id: one.value
            for one in ir_measures.iter_calc([ir_measures.AP], qrels, ir_measures.read_trec_run(str(tmp_path / file)))
        }
        for name, file in (("words:dense", "words.dense.run"), ("bm25", "bm25.lexical.run"))
    }
    differences = {query: value - values["bm25"].get(query, 0.0) for query, value in values["words:dense"].items()}
    gains = found["changes"][0]["gains"]
    wanted = sorted((value for value in differences.values() if value > 1e-9), reverse=True)[: len(gains)]
    assert [one["difference"] for one in gains] == pytest.approx(wanted)
    assert len(gains) > 1
    collection = load_collection("texts")
    for one in gains:
        assert one["difference"] == pytest.approx(differences[one["id"]])
        assert one["text"] == collection.query_texts[collection.queries.row(one["id"])]
        assert [listed["id"] for listed in one["top"]] == runs["words:dense"][one["id"]][:10]
        assert one["relevant"] == 10
    page = (tmp_path / "report.html").read_text()
    assert all(f'id="{group}"' in page for group in groups)
    assert gains[0]["text"] in page and "queries with the largest gains" in page
    assert "all: how much alike the lists are" in text
    assert gains[0]["id"] in text and gains[0]["text"].split()[0] in text
    assert f"{gains[0]['difference']:.4f}".removeprefix("0") in text


def test_modes_are_named_once_for_all_bundles_or_by_each() -> None:
    """A bundle's usual mode where nothing is said; all of them; those it has among the named ones."""

    def names(*arguments: str) -> list[str]:
        return [r["name"] for r in json.loads(run("evaluate", *arguments, "--data", "texts", "--json"))["rankers"]]

    assert names("words") == ["words"]
    assert names("words", "--mode", "all") == ["words:lexical", "words:dense", "words:hybrid"]
    assert names("words", "--mode", "hybrid") == ["words"]
    assert names("words:dense", "bm25", "--mode", "lexical,hybrid") == ["words:dense", "bm25"]
    found = json.loads(run("compare", "words", "--mode", "lexical, dense", "--data", "texts", "--json"))
    assert {(c["ranker"], c["against"]) for c in found["comparisons"]} == {("words:lexical", "words:dense")}
    text = run("compare", "words", "bm25", "--data", "texts")
    assert "all queries (24)" in text
    assert "all: " in text and "of 24 queries better" in text


def test_figures_are_those_of_the_library() -> None:
    """In the recorded split, with the bundle's own fusion."""
    bundle = read_bundle(next(Path("words").iterdir()))
    (split,) = make_text_splits(load_collection("texts"), "kfold", folds=3, fold=1, seed=5)
    (ranker,) = json.loads(run("evaluate", "words", "--data", "texts", "--json"))["rankers"]
    for group, means in evaluate_search(bundle.model, split).figures().items():  # type: ignore[arg-type]
        assert ranker["metrics"][group] == pytest.approx(means)
    low, high = ranker["intervals"]["test"]["AP"]
    assert low < ranker["metrics"]["test"]["AP"] < high


def test_a_baseline_is_found_by_name_mode_or_folder() -> None:
    """And refused with those there are."""
    for given in ("words:dense", "bm25", str(next(Path("bm25").iterdir()))):
        found = json.loads(
            run("compare", "words:dense", "words:hybrid", "bm25", "--data", "texts", "--baseline", given, "--json")
        )
        assert found["baseline"] == ("words:dense" if "dense" in given else "bm25")
        assert {c["against"] for c in found["comparisons"]} == {found["baseline"]}
    arguments = ("compare", "words:dense", "words:hybrid", "bm25", "--data", "texts", "--baseline")
    assert "names several of the rankers; expected one of words:dense" in error(ConfigError, *arguments, "words")
    assert "is none of the rankers" in error(ConfigError, *arguments, "nobody")


def test_rerankers_are_compared_on_the_fold_they_did_not_see(tmp_path: Path) -> None:
    """One group of queries, runs without a mode; ir-measures agrees, queries without a relevant candidate included."""
    output = tmp_path / "out"
    found = json.loads(run("compare", "one", "other", "--data", "letor", "--output", output, "--json"))
    assert found["queries"] == {"test": 20}
    assert found["split"]["parameters"]["fold"] == 2
    assert found["comparisons"][0]["sentence"].startswith("one is better than other on nDCG@10 by")
    (alike,) = found["agreement"]
    assert alike["tau"]["mean"] == -1.0  # one orders candidates as the other does not
    assert alike["overlap@100"]["mean"] == 1.0
    gain = found["changes"][0]["gains"][0]
    assert [listed["id"] for listed in gain["top"]] == [listed["id"] for listed in reversed(gain["top_against"])]
    assert "text" not in gain and "positives" not in gain and gain["top"][0]["title"] is None
    assert gain["id"] in (output / "report.html").read_text()
    qrels = list(ir_measures.read_trec_qrels(str(output / "qrels.txt")))
    for ranker in found["rankers"]:
        trec = list(ir_measures.read_trec_run(str(output / f"{ranker['name']}.run")))
        theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.AP], qrels, trec)
        assert {str(m): v for m, v in theirs.items()} == pytest.approx(
            {name: ranker["metrics"]["test"][name] for name in ("nDCG@10", "AP")}, abs=1e-9
        )


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (("train", "bm25", "--data", "ratings.csv"), DataError, "ratings.csv looks like ratings or clicks, and bm25 learns from"),
        (("train", "ease", "--data", "texts"), DataError, "texts looks like documents to search, and ease learns from ratings"),
        (("train", "ease", "--data", "letor"), DataError, "letor looks like candidates of queries as feature vectors"),
        (("train", "listnet", "--data", "texts"), DataError, "texts looks like documents to search, and listnet learns from"),
        (("train", "bm25", "--data", "letor"), DataError, "letor looks like candidates of queries"),
        (("train", "bm25", "--data", "movielens-100k"), DataError, "holds ratings or clicks, and documents to search are wanted"),
        (
            ("train", "bm25", "--data", "texts", "--rating-column", "x", "--min-interactions", "2"),
            ConfigError,
            "--rating-column, --min-interactions do not apply to bm25, which searches documents",
        ),
        (("train", "ease", "--data", "ratings.csv", "--language", "german"), ConfigError, "--language does not apply to ease, which"),
        (("train", "listnet", "--data", "letor", "--test-fraction", "0.3"), ConfigError, "--test-fraction does not apply to listnet"),
        (("train", "bm25", "--data", "texts", "--language", "latin"), ConfigError, "--language latin: unknown; there are none,"),
        (("train", "bm25", "--data", "texts", "--split", "time"), ConfigError, "no split 'time' of documents"),
        (("train", "ease", "--data", "ratings.csv", "--split", "none"), ConfigError, "no split 'none'; there are"),
        (("train", "bm25", "--data", "texts", "--name", "No"), ConfigError, "--name 'No' cannot name a bundle"),
        (("evaluate", "words"), DataError, "learned from 'texts', which is no named data set; give its path with --data PATH"),
        (("evaluate", "words", "--data", "texts", "--protocol", "paper"), ConfigError, "--protocol does not apply to a ranker, which"),
        (("evaluate", "one", "--data", "letor", "--mode", "dense"), ConfigError, "--mode does not apply to a ranker, which ranks"),
        (("evaluate", "bm25", "--data", "texts", "--mode", "dense"), ConfigError, "bm25 cannot answer in the mode dense; expected"),
        (("evaluate", "words", "--data", "texts", "--mode", "sparse"), ConfigError, "--mode sparse: expected lexical, dense, hybrid"),
        (("evaluate", "words", "--data", "texts", "--mode", ","), ConfigError, "--mode ,: expected lexical, dense, hybrid"),
        (("evaluate", "words", "words", "--data", "texts"), ConfigError, "words is there twice in the same mode"),
        (("compare", "words", "one", "--data", "texts"), ConfigError, "the rankers are of different kinds (words: search, one: rerank)"),
        (("compare", "words", "--data", "texts"), ConfigError, "1 bundle to compare; expected at least 2"),
        (("compare", "bm25", "--mode", "all", "--data", "texts"), ConfigError, "1 ranker to compare; expected at least 2, or one in"),
        (("compare", "words", "bm25", "--data", "texts", "--metric", "MAP"), ConfigError, "no metric MAP of these rankers; there are nDCG"),
        (("evaluate", "words", "--data", "texts", "--output", "ratings.csv"), ConfigError, "--output ratings.csv is a file"),
        (("evaluate", "words", "--data", "texts", "--fold", "0"), DataError, "did not learn from the training part of texts, split kfold"),
        (("evaluate", "one", "--data", "letor", "--fold", "0"), DataError, "did not learn from the training part of letor, split given"),
        (("evaluate", "words", "--data", "texts", "--split", "none"), DataError, "nothing is left to judge rankers on"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_message(arguments: tuple[str, ...], kind: type[Exception], message: str) -> None:
    """Exit code 2, nothing on standard output."""
    assert message in error(kind, *arguments)


def test_a_ranker_of_all_folds_has_nothing_left_to_be_judged_on() -> None:
    """Said with the way out; its figures stand in the manifest."""
    for ranker, data in (("bm25", "texts"), ("listnet", "letor")):
        run("train", ranker, "--data", data, "--bundles", "whole", *(("--folds", "3") if data == "texts" else ()))
        refused = error(DataError, "evaluate", Path("whole") / ranker, "--data", data)
        assert "learned from all judgements" in refused and "with --fold N" in refused


def test_only_what_learned_from_the_same_can_be_compared() -> None:
    """Another fold of the same collection."""
    run("train", "bm25", "--data", "texts", "--folds", "3", "--fold", "0", "--bundles", "apart")
    refused = error(DataError, "compare", "words", "apart/bm25", "--data", "texts")
    assert "only rankers that learned from the same judgements can be compared" in refused
    assert "split kfold (folds 3, fold 1, seed 5), 60 documents and 480 judgements" in refused


@pytest.mark.data
def test_named_collections_need_no_option_at_all(data_dir: Path, tmp_path: Path) -> None:
    """BM25 on SciFact: the known figure, and the same again by `irgan evaluate`."""
    if not (data_dir / "scifact" / "corpus.jsonl").is_file():
        pytest.skip(f"no scifact in {data_dir}")
    told = json.loads(run("train", "bm25", "--data", "scifact", "--json", "--bundles", tmp_path, "--run-dir", tmp_path / "run"))
    assert told["metrics"]["test"]["nDCG@10"] == pytest.approx(0.679, abs=0.002)
    found = json.loads(run("evaluate", tmp_path / "bm25", "--json"))
    assert found["queries"] == {"test": 300, "test_seen": 196, "test_unseen": 104}
    assert found["rankers"][0]["metrics"]["test_unseen"] == pytest.approx(told["metrics"]["test_unseen"])
