"""What every registered search ranker must do, one suite for all.

Shapes: I documents.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.bundle import SearchBundle, SearchModel, SplitInfo, read_bundle
from tests.contract.common import check_settings, check_summary, interrupted_after, nothing_global_takes_part
from tests.training.texts import make_split
from training.data import Judgements, TextSplit
from training.encoders import minilm
from training.errors import DataError, Interrupted, MissingExtra
from training.evaluation.search import evaluate_search
from training.export import export_search
from training.loop import Run
from training.ranker import TrainedSearch
from training.registry import RANKERS

SEARCH = {name: spec for name, spec in RANKERS.items() if spec.kind == "search"}


@dataclass(frozen=True)
class Case:
    """What the suite has to know of a ranker with certain settings.

    Attributes:
        ranker: its name in the registry.
        settings: a size that learns six topics within seconds.
        learns: whether it learns from judgements, and so finds documents that share no word with a query.
        candidates: whether it only orders candidates that the data set names.
        needs_judgements: whether it says so where there are none; else it works without.
        minilm: whether it needs the weights of MiniLM.
    """

    ranker: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    learns: bool = True
    candidates: bool = False
    needs_judgements: bool = False
    minilm: bool = False


_CNN = {"body": "cnn", "num_tokens": 400, "embedding_size": 16, "widths": (1, 2), "num_filters": 16, "query_tokens": 16}
_TEXT = {"batch_size": 16, "document_tokens": 24, "validation_fraction": 0.25}

CASES = {
    "bm25": Case("bm25", learns=False),
    "irgan-text, CNN": Case(
        "irgan-text",
        {
            **_CNN,
            **_TEXT,
            "validation_fraction": 0.0,  # of so few queries none would choose to learn
            "num_epochs": 12,
            "body_learning_rate": 1e-2,
            "num_pseudo_epochs": 1,
            "shortlist_size": 20,
        },
    ),
    "irgan-text, MiniLM": Case(
        "irgan-text", {**_TEXT, "num_epochs": 6, "learning_rate": 3e-3, "head_rank": 16, "shortlist_size": 20}, minilm=True
    ),
    "irgan-qa, CNN": Case(
        "irgan-qa",
        {
            **_CNN,
            "num_members": 1,
            "rank": 8,
            "document_tokens": 24,
            "batch_size": 16,
            "num_pretraining_epochs": 12,
            "num_rounds": 4,
            "num_random": 16,
        },
        candidates=True,
        needs_judgements=True,
    ),
    "irgan-qa, MiniLM": Case(
        "irgan-qa",
        {
            "body": "minilm",
            "rank": 8,
            "document_tokens": 24,
            "batch_size": 16,
            "num_members": 1,
            "num_pretraining_epochs": 4,
            "num_rounds": 2,
        },
        candidates=True,
        needs_judgements=True,
        minilm=True,
    ),
}

EVERY_CASE = pytest.mark.parametrize("case", CASES)
LEARNING = pytest.mark.parametrize("case", [case for case, told in CASES.items() if told.learns])


@pytest.fixture(autouse=True, scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Vectors of texts are cached where tests may write."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IRGAN_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _weights(request: pytest.FixtureRequest) -> None:
    """A case that needs the weights of MiniLM is left out where they are not."""
    if CASES[request.getfixturevalue("case")].minilm if "case" in request.fixturenames else False:
        try:
            minilm.find_weights()
        except MissingExtra as error:
            pytest.skip(str(error))


@cache
def split(*, candidates: bool = False) -> TextSplit:
    """Six topics; every fifth document is no answer in training, two thirds of the queries are to learn from."""
    whole = make_split()
    whole = replace(whole, train=whole.train.where(whole.train.document_rows % 5 > 0))
    if not candidates:
        return whole
    return replace(whole, train_candidates=_pool(whole.train), test_candidates=_pool(whole.test))


def _pool(judged: Judgements) -> Judgements:
    """A query's answers and twelve other documents."""
    rng = np.random.default_rng(0)
    rows = [(q, d, g) for q, d, g in zip(judged.query_rows, judged.document_rows, judged.grades, strict=True)]
    known = {(q, d) for q, d, _ in rows}
    rows += [(q, d, 0) for q in judged.queries for d in rng.choice(60, 12, replace=False) if (q, d) not in known]
    return Judgements(*(np.array(column, dtype=np.int64) for column in zip(*sorted(rows), strict=True)))


def split_of(case: str) -> TextSplit:
    return split(candidates=CASES[case].candidates)


def learn(case: str, data: TextSplit, run: Run | None = None) -> TrainedSearch:
    spec = SEARCH[CASES[case].ranker]
    trained: TrainedSearch = spec.recipe()(data, spec.config()(**CASES[case].settings), run or Run(seed=3))
    return trained


@cache
def trained(case: str) -> TrainedSearch:
    return learn(case, split_of(case).without_test())


def check_same(mine: SearchModel, theirs: SearchModel) -> None:
    """To the last bit, in every mode, for known queries and for others."""
    assert (mine.mode, mine.fusion, mine.modes) == (theirs.mode, theirs.fusion, theirs.modes)
    if mine.document_vectors_ID is not None:
        np.testing.assert_array_equal(mine.document_vectors_ID, theirs.document_vectors_ID)
    for text in (*split().collection.query_texts[:8], "other words"):
        for mode in mine.modes:
            np.testing.assert_array_equal(mine.scores(text, mode), theirs.scores(text, mode))


def test_every_search_ranker_has_a_case() -> None:
    """A new one is covered once it stands here with its settings."""
    assert {told.ranker for told in CASES.values()} == set(SEARCH)


@EVERY_CASE
def test_a_recipe_is_given_data_settings_and_a_run_and_nothing_else(case: str) -> None:
    """Test data cannot be seen by a function that never gets them."""
    assert list(inspect.signature(SEARCH[CASES[case].ranker].recipe()).parameters) == ["data", "config", "run"]


@EVERY_CASE
def test_it_searches_better_than_chance_and_than_words_where_it_learns(case: str) -> None:
    """Documents of a query's topic speak in other words: BM25 finds few of them, a ranker that learns finds the others."""
    data = split_of(case)
    words = evaluate_search(trained("bm25").model, data).means()["nDCG@10"]
    found = evaluate_search(trained(case).model, data).means()["nDCG@10"]
    if CASES[case].learns:
        assert found > words + 0.1
    else:
        assert 0.2 < found == words


@LEARNING
def test_what_it_learned_holds_for_documents_that_were_no_answers(case: str) -> None:
    """Dense, among the documents that no training query asked for; chance puts one sixth of the right topic first."""
    model, data = trained(case).model, split_of(case)
    fresh_I = np.arange(model.num_documents) % 5 == 0
    shares = []
    for row in data.test.queries:
        order = [place for place in np.argsort(-model.scores(data.collection.query_texts[row], "dense")) if fresh_I[place]]
        answers = data.test.of_queries(np.array([row])).document_rows
        shares.append(np.isin(order[:2], answers).mean())
    assert np.mean(shares) > 1.5 / 6


@EVERY_CASE
def test_the_seed_decides_and_nothing_global_takes_part(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Trained again it is the same to the last bit, whatever state global generators are in; they and the data stay as they were."""
    data, first = split_of(case).without_test(), trained(case)
    before = data.collection.fingerprint(data.train)
    with nothing_global_takes_part(capsys):
        again = learn(case, data)
    check_same(again.model, first.model)
    assert data.collection.fingerprint(data.train) == before


@EVERY_CASE
def test_test_queries_and_their_judgements_change_nothing(case: str) -> None:
    """A recipe that is given them by mistake learns the same: it looks at training queries alone."""
    check_same(learn(case, split_of(case)).model, trained(case).model)


@EVERY_CASE
def test_interrupted_and_resumed_it_is_the_same_to_the_last_bit(case: str, tmp_path: Path) -> None:
    """Ctrl-C comes in an early epoch, and in a late one of the resumed run."""
    data = split_of(case).without_test()
    whole = learn(case, data, run := Run(seed=3, folder=tmp_path / "whole"))
    points = sum(map(len, run.curves.values()))
    assert CASES[case].learns == bool(points)
    folder = tmp_path / "interrupted"
    for share in (0.3, 0.9) if points else ():
        with interrupted_after(share * points), pytest.raises(Interrupted):
            learn(case, data, Run(seed=3, folder=folder, resume=True))
    resumed = learn(case, data, run_again := Run(seed=3, folder=folder, resume=True))
    assert run_again.curves == run.curves
    assert resumed.summary == whole.summary
    check_same(resumed.model, whole.model)
    for variant, model in whole.variants.items():
        check_same(resumed.variants[variant], model)


@EVERY_CASE
def test_every_text_gets_an_answer(case: str) -> None:
    """Nothing, blanks, words that nobody knows, emoji, right to left, controls, very long: finite where vectors answer, never not-a-number."""
    model = trained(case).model
    long = " ".join(split().collection.query_texts) * 20
    for text in ("", "   ", "xyzzy qwertz", "🙂🙃", "שלום עולם", "\x00\n\t", "the of and", long):
        for mode in model.modes:
            scores_I = model.scores(text, mode)
            assert scores_I.shape == (model.num_documents,)
            assert not np.isnan(scores_I).any()
            assert np.isfinite(scores_I).all() or mode == "lexical" or model.fusion.method == "reciprocal-ranks"
    assert (model.scores("xyzzy", "lexical") == -np.inf).all()


@LEARNING
def test_a_document_that_comes_later_is_encoded_as_those_that_are_there(case: str) -> None:
    """But for answers of training queries, whose own vectors a ranker may have moved."""
    model = trained(case).model
    assert model.encoder is not None and model.document_vectors_ID is not None
    later_ID = model.encoder.encode_documents(split().collection.texts())
    fresh_I = ~np.isin(np.arange(model.num_documents), split_of(case).train.document_rows)
    assert fresh_I.sum() == 12
    np.testing.assert_allclose(later_ID[fresh_I], model.document_vectors_ID[fresh_I], rtol=1e-4, atol=1e-4)


def export(case: str, root: Path) -> Path:
    data, spec = split_of(case), SEARCH[CASES[case].ranker]
    return export_search(
        trained(case).model,
        data.collection,
        data.train,
        split=SplitInfo(name=data.name, parameters=data.parameters),
        root=root,
        name=spec.name,
        ranker=spec.name,
        paper=spec.paper,
        seed=3,
        config=CASES[case].settings,
        metrics={},
        training=trained(case).summary,
    )


@EVERY_CASE
def test_a_bundle_searches_as_the_ranker_does(case: str, tmp_path: Path) -> None:
    """The same scores in every mode, and so the same rankings."""
    bundle = read_bundle(export(case, tmp_path))
    assert isinstance(bundle, SearchBundle)
    check_same(bundle.model, trained(case).model)
    assert (bundle.manifest.ranker, bundle.manifest.mode) == (CASES[case].ranker, trained(case).model.mode)


@EVERY_CASE
def test_a_bundle_searches_without_torch_and_without_training(case: str, tmp_path: Path) -> None:
    """In a process of its own that has nothing but the service's half."""
    path, text = export(case, tmp_path), split().collection.query_texts[0]
    program = (
        "import json, sys; from pathlib import Path; from app.bundle import read_bundle; "
        "model = read_bundle(Path(sys.argv[1])).model; scores = model.scores(sys.argv[2]).tolist(); "
        "heavy = {'torch', 'training', 'transformers', 'sentence_transformers'} & {name.partition('.')[0] for name in sys.modules}; "
        "print(json.dumps([scores, sorted(heavy)]))"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(path), text], capture_output=True, text=True, check=True)
    scores, heavy = json.loads(ended.stdout)
    np.testing.assert_allclose(scores, trained(case).model.scores(text), rtol=1e-5, atol=1e-5)
    assert heavy == []


@EVERY_CASE
def test_documents_without_judgements_can_be_searched_or_it_says_what_is_missing(case: str) -> None:
    """One message that names the ranker and what it needs."""
    data = replace(split(), train=Judgements.none(), test=Judgements.none(), name="none").without_test()
    if CASES[case].needs_judgements:
        with pytest.raises(DataError, match=rf"(?s){CASES[case].ranker}.*(judgement|question)"):
            learn(case, data)
        return
    model = learn(case, data).model
    for mode in model.modes:
        assert not np.isnan(model.scores(split().collection.texts()[3], mode)).any()
    assert np.argmax(model.scores(split().collection.texts()[3])) == 3


@EVERY_CASE
def test_variants_of_a_ranker_search_as_it_does(case: str) -> None:
    """The other models of a run, such as the generator before the game, are whole rankers."""
    for model in trained(case).variants.values():
        assert model.num_documents == trained(case).model.num_documents
        for mode in model.modes:
            assert not np.isnan(model.scores(split().collection.query_texts[0], mode)).any()


@pytest.mark.parametrize("name", SEARCH)
def test_settings_are_closed_frozen_and_described(name: str) -> None:
    """See `check_settings`."""
    check_settings(SEARCH[name].config())


@EVERY_CASE
def test_what_a_run_tells_of_itself_is_json(case: str) -> None:
    """See `check_summary`."""
    check_summary(trained(case).summary)
