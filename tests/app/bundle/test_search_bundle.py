"""Bundles of search and of reranking: nothing is lost, nothing broken accepted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest

from app.bundle import (
    BundleError,
    ContentInvalid,
    FileDamaged,
    Fusion,
    ManifestInvalid,
    read_bundle,
    read_recommender,
    seal,
    sha256_of,
    write_rerank,
    write_search,
)
from tests.conftest import make_rerank_draft, make_rescorer, make_search_draft, make_text_encoder

QUERIES = ("glacier ice cave", "unheard", "year of the document 7")


@pytest.fixture(scope="module")
def draft():
    return make_search_draft(mode="dense", fusion=Fusion("reciprocal-ranks", 0.5))


@pytest.fixture(scope="module")
def whole(draft, tmp_path_factory) -> Path:
    return write_search(draft, tmp_path_factory.mktemp("search"))


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def features(tmp_path) -> Path:
    return write_rerank(make_rerank_draft(), tmp_path / "features")


def edit_manifest(folder: Path, **changes) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    seal(folder)


def signed(folder: Path, name: str, content: bytes) -> None:
    """Put another content into a file and let the manifest agree, so that only the content gives it away."""
    (folder / name).write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    for entry in files:
        if entry["path"] == name:
            entry |= {"size": len(content), "sha256": sha256_of(folder / name)}
    edit_manifest(folder, files=files)


def test_a_search_ranker_is_written_and_read(draft, whole):
    bundle = read_bundle(whole)
    assert bundle.manifest.kind == "search" and bundle.items == draft.items
    assert (bundle.model.mode, bundle.model.fusion) == ("dense", Fusion("reciprocal-ranks", 0.5))
    assert bundle.item_table["text"].tolist() == draft.item_table["text"].tolist()
    for query in QUERIES:
        for mode in draft.model.modes:
            np.testing.assert_array_equal(bundle.model.scores(query, mode), draft.model.scores(query, mode))
    late = ["ice wind heat", ""]
    np.testing.assert_array_equal(bundle.model.encoder.encode_documents(late), draft.model.encoder.encode_documents(late))
    assert (bundle.model.encoder.query_tokens, bundle.model.encoder.document_tokens) == (16, 24)


def test_lexical_search_alone_needs_few_files(tmp_path):
    draft = make_search_draft(dense=False)
    folder = write_search(draft, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == [
        "items.parquet",
        "lexical.json",
        "lexical.npz",
        "manifest.json",
        "manifest.sha256",
    ]
    bundle = read_bundle(folder)
    assert (bundle.index, bundle.model.modes) == (None, ("lexical",))
    np.testing.assert_array_equal(bundle.model.scores(QUERIES[0]), draft.model.scores(QUERIES[0]))


def test_a_ranker_of_features_is_written_and_read(features):
    """1·a − 2·b + ½·c, in double precision; of no candidates nothing."""
    bundle = read_bundle(features)
    assert bundle.manifest.kind == "rerank" and bundle.model.num_features == 3
    assert bundle.model.scores(np.array([[1, 1, 1], [0, -1, 4]])).tolist() == [-0.5, 4.0]
    assert bundle.model.scores(np.zeros((0, 3))).shape == (0,)


def test_arrays_of_a_search_bundle_cannot_be_written_to(whole):
    bundle = read_bundle(whole)
    with pytest.raises(ValueError, match="read-only"):
        bundle.model.document_vectors_ID[0] = 1


def test_a_bundle_is_never_overwritten(draft, whole, features):
    with pytest.raises(BundleError, match="never overwritten"):
        write_search(draft, whole.parents[1])
    with pytest.raises(BundleError, match="never overwritten"):
        write_rerank(make_rerank_draft(), features.parents[1])


def test_every_file_truncated_flipped_or_missing_is_refused(whole, features, tmp_path):
    damages = (lambda raw: raw[:-1], lambda raw: bytes([raw[0] ^ 1]) + raw[1:])
    checked = 0
    for source in (whole, features):
        for name in sorted(path.name for path in source.iterdir() if not path.name.startswith("manifest.")):
            for damage in damages:
                copy = Path(shutil.copytree(source, tmp_path / f"copy-{checked}"))
                (copy / name).write_bytes(damage((source / name).read_bytes()))
                with pytest.raises(FileDamaged, match=name):
                    read_bundle(copy)
                checked += 1
            (copy / name).unlink()
            with pytest.raises(FileDamaged, match=f"{name} is missing"):
                read_bundle(copy)
    assert checked == 2 * (7 + 1)


def test_files_of_another_content_are_refused_whatever_reads_them(whole, features, tmp_path):
    """Signed again, so that each library meets what it cannot read; each has errors of its own."""
    checked = 0
    for source in (whole, features):
        for name in sorted(path.name for path in source.iterdir() if not path.name.startswith("manifest.")):
            raw = (source / name).read_bytes()
            for content in (b"", b"nonsense", b"[]", b"PK\x03\x04", raw[: len(raw) // 2]):
                copy = Path(shutil.copytree(source, tmp_path / f"copy-{checked}"))
                signed(copy, name, content)
                with pytest.raises(BundleError):
                    read_bundle(copy)
                checked += 1
    assert checked == 5 * 8


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"mode": "hybrid", "dense": None}, ContentInvalid, "mode is hybrid, expected lexical"),
        ({"mode": "fuzzy"}, ManifestInvalid, "mode"),
        ({"kind": "oracle"}, ManifestInvalid, "kind"),
        ({"kind": "rerank"}, ManifestInvalid, "dense"),
        ({"fusion": {"method": "standardised", "dense_weight": -1}}, ManifestInvalid, "dense_weight"),
        ({"files": []}, ContentInvalid, "lists no"),
    ],
)
def test_each_broken_manifest_has_its_own_message(folder, changes, error, message):
    edit_manifest(folder, **changes)
    with pytest.raises(error, match=message):
        read_bundle(folder)


def test_files_that_do_not_fit_together_are_refused(folder, whole, tmp_path):
    """Each intact, of another bundle."""
    other = write_search(make_search_draft(num_documents=39), tmp_path / "fewer")
    wider = write_search(make_search_draft(dim=9), tmp_path / "wider")
    for source, name, message in (
        (other, "items.npy", r"shape of items\.npy"),
        (other, "items.faiss", r"vectors in items\.faiss"),
        (other, "lexical.npz", "do not fit together"),
        (other, "items.parquet", r"documents in lexical\.npz"),
        (wider, "items.faiss", r"dimensions of items\.faiss"),
        (wider, "encoder.onnx", "dimensions of the encoder"),
    ):
        signed(folder, name, (source / name).read_bytes())
        with pytest.raises(ContentInvalid, match=message):
            read_bundle(folder)
        signed(folder, name, (whole / name).read_bytes())
    read_bundle(folder)


def test_vectors_of_another_type_or_not_finite_are_refused(folder, draft):
    vectors_ID = draft.model.document_vectors_ID
    for array, message in ((vectors_ID.astype(np.float64), r"type of items\.npy"), (vectors_ID * np.nan, "not finite")):
        np.save(folder / "items.npy", array)
        signed(folder, "items.npy", (folder / "items.npy").read_bytes())
        with pytest.raises(ContentInvalid, match=message):
            read_bundle(folder)


def test_another_metric_is_refused(folder, draft):
    index = faiss.IndexFlatL2(draft.model.encoder.dim)
    index.add(draft.model.document_vectors_ID)
    faiss.write_index(index, str(folder / "items.faiss"))
    signed(folder, "items.faiss", (folder / "items.faiss").read_bytes())
    with pytest.raises(ContentInvalid, match=r"metric of items\.faiss"):
        read_bundle(folder)


def test_another_graph_is_refused(folder, features):
    """A rescorer in an encoder's place, and a ranker of four features in the place of one of three."""
    signed(folder, "encoder.onnx", make_rescorer(np.zeros((40, 8), dtype=np.float32)).graph.content())
    with pytest.raises(ContentInvalid):
        read_bundle(folder)
    signed(features, "ranker.onnx", make_rerank_draft((1, 2, 3, 4)).model.graph.content())
    with pytest.raises(ContentInvalid, match="number of features is 4, expected 3"):
        read_bundle(features)
    signed(features, "ranker.onnx", make_text_encoder().graph.content())
    with pytest.raises(ContentInvalid):
        read_bundle(features)


def test_documents_without_texts_are_refused(folder):
    table = pd.read_parquet(folder / "items.parquet").drop(columns="text")
    table.to_parquet(folder / "items.parquet", index=False)
    signed(folder, "items.parquet", (folder / "items.parquet").read_bytes())
    with pytest.raises(ContentInvalid, match="no column text"):
        read_bundle(folder)


def test_a_ranker_of_texts_is_none_of_items_for_people(whole):
    with pytest.raises(ContentInvalid, match="kind 'search'; expected one that ranks items for people"):
        read_recommender(whole)


def test_a_failed_write_leaves_nothing_behind(draft, tmp_path, monkeypatch):
    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.bundle.searching.faiss.write_index", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_search(replace(draft, name="again"), tmp_path)
    assert list((tmp_path / "again").iterdir()) == []
