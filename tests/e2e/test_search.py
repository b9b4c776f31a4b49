"""The whole path of search, by the commands that a person types: documents, training, bundle, release, answers over HTTP."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from app.bundle import MODES, SearchBundle, read_bundle
from app.bundle.search import best_rows
from tests.e2e.demo import get, irgan, service
from training.data import load_collection

_QUICK = {
    "body": "cnn",
    "num_tokens": "500",
    "embedding_size": "16",
    "num_filters": "16",
    "document_tokens": "64",
    "num_pseudo_epochs": "1",
    "num_epochs": "1",
    "validation_fraction": "0.2",
}


@pytest.fixture
def trained(data_dir: Path, tmp_path: Path) -> SearchBundle:
    """A small `irgan-text` on Cranfield."""
    if not (data_dir / "cranfield" / "corpus.jsonl").is_file():
        pytest.skip(f"no Cranfield in {data_dir}")
    settings = [word for name, value in _QUICK.items() for word in ("--set", f"{name}={value}")]
    answer = irgan(
        *("train", "irgan-text", "--data", "cranfield", "--split", "random", "--json", *settings),
        *("--bundles", str(tmp_path / "bundles"), "--run-dir", str(tmp_path / "run")),
        quiet=True,
    )
    bundle = read_bundle(Path(json.loads(answer)["bundle"]))
    assert isinstance(bundle, SearchBundle)
    return bundle


@pytest.mark.data
def test_what_a_search_answers_is_the_rankers_own_full_ranking(trained: SearchBundle, tmp_path: Path, monkeypatch) -> None:
    """Every query of Cranfield in every mode: the first fifty through FAISS, fusion and JSON equal a sort of all scores, also after a restart."""
    monkeypatch.setitem(os.environ, "IRGAN_STORE", f"sqlite:///{tmp_path / 'irgan.db'}")
    releases = str(tmp_path / "releases")
    irgan("publish", str(trained.path), "--releases", releases, quiet=True)
    queries = load_collection("cranfield").query_texts
    assert len(queries) == 225
    with service(releases) as address:
        for query in queries:
            for mode in MODES:
                answer = get(f"{address}/v1/search", {"query": query, "mode": mode, "k": 50})
                scores_I = trained.model.scores(query, mode)
                rows = best_rows(scores_I, 50)
                assert [item["id"] for item in answer["items"]] == [trained.items.id(row) for row in rows.tolist()]
                np.testing.assert_allclose([item["score"] for item in answer["items"]], scores_I[rows], rtol=1e-9, atol=1e-9)
        assert get(f"{address}/v1/search", {"query": queries[0], "k": 1})["mode"] == trained.manifest.mode
        found = get(f"{address}/v1/search", {"query": queries[0], "k": 3, "mode": "lexical"})["items"]
        assert all("<mark>" in item["snippet"] for item in found)
        get(f"{address}/v1/items/{found[0]['id']}", method="DELETE")
        get(f"{address}/v1/items/walrus", {"text": "a walrus in the wind tunnel"}, method="PUT")
    with service(releases) as address:
        again = get(f"{address}/v1/search", {"query": queries[0], "k": 2, "mode": "lexical"})["items"]
        assert [item["id"] for item in again] == [item["id"] for item in found[1:]]
        for mode in MODES:
            assert get(f"{address}/v1/search", {"query": "walrus", "mode": mode, "k": 1})["total"] >= 1
        answer = get(f"{address}/v1/search", {"query": "walrus", "mode": "lexical"})
        assert [item["id"] for item in answer["items"]] == ["walrus"]
