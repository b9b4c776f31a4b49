"""Writing and reading: nothing is lost, nothing half-written, nothing broken accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from app.bundle import (
    BundleError,
    BundleNotFound,
    ContentInvalid,
    FileDamaged,
    Fusion,
    ManifestInvalid,
    SchemaUnsupported,
    read_bundle,
    recommender,
    seal,
    sha256_of,
    write_bundle,
    write_file,
)
from app.bundle.manifest import SchemaVersion
from tests.conftest import make_rescorer, with_rescorer

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def folder(bundle_draft, tmp_path) -> Path:
    return write_bundle(bundle_draft, tmp_path)


def _edit_manifest(folder: Path, **changes) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    seal(folder)


def _sign_again(folder: Path, name: str) -> None:
    """Make the manifest agree with an altered file, so that only the content gives it away."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    for entry in files:
        if entry["path"] == name:
            entry |= {"size": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
    _edit_manifest(folder, files=files)


def test_what_is_written_is_read(bundle_draft, folder):
    bundle = read_bundle(folder)
    draft = bundle_draft
    assert folder.parts[-2:] == ("sample", "v1")
    assert (bundle.items, bundle.users) == (draft.items, draft.users)
    np.testing.assert_array_equal(bundle.model.scores(bundle.seen), draft.model.scores(draft.seen))
    np.testing.assert_array_equal(bundle.popularity_I, draft.popularity_I)
    assert bundle.item_table["title"].tolist() == draft.item_table["title"].tolist()
    assert bundle.model.policy == draft.model.policy


def test_arrays_of_a_bundle_cannot_be_written_to(folder):
    bundle = read_bundle(folder)
    for array in (bundle.model.item_vectors_ID, bundle.popularity_I, bundle.seen.items):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_bundle_is_never_overwritten(bundle_draft, folder):
    with pytest.raises(BundleError, match="never overwritten"):
        write_bundle(bundle_draft, folder.parents[1])


def test_a_failed_write_leaves_nothing_behind(bundle_draft, tmp_path, monkeypatch):
    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recommender.faiss, "write_index", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(bundle_draft, tmp_path)
    assert list((tmp_path / "sample").iterdir()) == []


def test_a_replaced_file_keeps_its_old_content_when_the_write_fails(tmp_path, monkeypatch):
    path = tmp_path / "pointer"
    write_file(path, b"old")

    def full_disk(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.bundle.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["pointer"]
    assert path.read_bytes() == b"old"


def test_every_file_truncated_or_flipped_is_refused(folder, tmp_path):
    """One damage at a time, to every file but the manifest and its SHA-256, which have their own tests."""
    names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("manifest."))
    assert len(names) == 9
    for name in names:
        for number, damage in enumerate((lambda raw: raw[:-1], lambda raw: bytes([raw[0] ^ 1]) + raw[1:])):
            copy = tmp_path / f"{name}-{number}"
            shutil.copytree(folder, copy)
            (copy / name).write_bytes(damage((folder / name).read_bytes()))
            with pytest.raises(FileDamaged, match=name):
                read_bundle(copy)
        copy = tmp_path / f"{name}-missing"
        shutil.copytree(folder, copy)
        (copy / name).unlink()
        with pytest.raises(FileDamaged, match=f"{name} is missing"):
            read_bundle(copy)


def test_a_manifest_flipped_at_any_byte_is_refused(folder):
    """Also where it is still JSON and meets the schema: another threshold, for instance, answers otherwise."""
    path = folder / "manifest.json"
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(raw), size=150):
        flipped = bytearray(raw)
        flipped[position] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(flipped))
        try:
            read_bundle(folder)
        except BundleError:
            refused += 1
    assert refused == 150


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda _: b"", lambda raw: bytes([raw[0] ^ 1]) + raw[1:]])
def test_a_damaged_seal_is_refused(folder, damage):
    path = folder / "manifest.sha256"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileDamaged, match=r"manifest\.json differs from its SHA-256 in manifest\.sha256"):
        read_bundle(folder)


def test_the_seal_is_what_sha256sum_checks_and_earlier_bundles_have_none(folder):
    digest = sha256_of(folder / "manifest.json")
    assert (folder / "manifest.sha256").read_text() == f"{digest}  manifest.json\n"
    (folder / "manifest.sha256").unlink()
    read_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"schema_version": 99}, SchemaUnsupported, "schema 99"),
        ({"schema_version": None}, ManifestInvalid, "schema_version"),
        ({"surprise": 1}, ManifestInvalid, "surprise"),
        ({"files": []}, ContentInvalid, "lists no"),
        ({"encoder": {"kind": "onnx"}}, ContentInvalid, r"lists no encoder\.onnx"),
    ],
)
def test_each_broken_manifest_has_its_own_message(folder, changes, error, message):
    _edit_manifest(folder, **changes)
    with pytest.raises(error, match=message):
        read_bundle(folder)


def test_a_manifest_that_is_no_json_is_refused(folder):
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ManifestInvalid, match="not JSON"):
        read_bundle(folder)


def test_a_missing_folder_and_an_empty_one_are_told_apart(tmp_path):
    with pytest.raises(BundleNotFound, match="no folder"):
        read_bundle(tmp_path / "absent")
    with pytest.raises(BundleNotFound, match=r"holds no manifest\.json"):
        read_bundle(tmp_path)


def test_a_file_outside_of_the_folder_is_refused(folder):
    (folder.parent / "secret").write_text("x")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"].append({"path": "../secret", "size": 1, "sha256": sha256_of(folder.parent / "secret")})
    _edit_manifest(folder, **manifest)
    with pytest.raises(ManifestInvalid, match="outside"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 8), dtype=np.float32), r"shape of items\.npy"),
        (np.full((30, 8), np.nan, dtype=np.float32), "not finite"),
        (np.zeros((30, 8)), r"type of items\.npy"),
    ],
)
def test_intact_files_that_do_not_fit_are_refused(folder, array, message):
    np.save(folder / "items.npy", array)
    _sign_again(folder, "items.npy")
    with pytest.raises(ContentInvalid, match=message):
        read_bundle(folder)


def test_pickled_arrays_are_never_loaded(folder):
    np.save(folder / "popularity.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    _sign_again(folder, "popularity.npy")
    with pytest.raises(ContentInvalid, match="allow_pickle"):
        read_bundle(folder)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_golden_bundle_of_every_schema_is_still_read(version):
    """Written once, with the first release that had the schema, and kept: the five top rows of each known user must never change."""
    bundle = read_bundle(GOLDEN / f"schema-{version}")
    expected = json.loads((GOLDEN / f"schema-{version}.expected.json").read_text())
    assert bundle.manifest.schema_version == version
    top = np.argsort(-bundle.model.scores(bundle.seen), axis=1, kind="stable")[:, :5]
    assert top.tolist() == expected["top_rows"]
    if "lexical" in expected:
        scores_I = bundle.lexical.scores(expected["lexical"]["query"])
        np.testing.assert_allclose(scores_I[:8], expected["lexical"]["scores"], rtol=1e-6)
    if "ratings" in expected:
        np.testing.assert_allclose(bundle.model.ratings(bundle.seen)[:, :3], expected["ratings"], rtol=1e-6)


def test_the_golden_search_bundle_is_still_read():
    """Scores of every document in every mode must never change; null where nothing is found."""
    bundle = read_bundle(GOLDEN / "schema-3-search")
    expected = json.loads((GOLDEN / "schema-3-search.expected.json").read_text())
    modes = {"lexical": ("lexical", None), "dense": ("dense", None), "hybrid": ("hybrid", None)}
    modes["reciprocal-ranks"] = ("hybrid", Fusion("reciprocal-ranks", 0.5))
    assert expected["scores"].keys() == modes.keys()
    for name, (mode, fusion) in modes.items():
        wanted = [-np.inf if score is None else score for score in expected["scores"][name]]
        np.testing.assert_allclose(bundle.model.scores(expected["query"], mode, fusion), wanted, rtol=1e-6)


def test_the_golden_bundle_of_reranking_is_still_read():
    bundle = read_bundle(GOLDEN / "schema-3-rerank")
    expected = json.loads((GOLDEN / "schema-3-rerank.expected.json").read_text())
    np.testing.assert_allclose(bundle.model.scores(np.array(expected["features"])), expected["scores"], rtol=1e-12)


def test_there_is_a_golden_bundle_of_every_schema():
    assert sorted(path.name for path in GOLDEN.iterdir() if path.is_dir()) == [
        *(f"schema-{v}" for v in get_args(SchemaVersion)),
        "schema-3-rerank",
        "schema-3-search",
    ]


def test_a_rescorer_is_written_and_read(bundle_draft, tmp_path):
    """Scores and ratings are the rescorer's; the manifest says what the first stage hands on."""
    draft = with_rescorer(bundle_draft, overlap=0.97)
    bundle = read_bundle(write_bundle(draft, tmp_path))
    scores_UI = bundle.model.scores(bundle.seen)
    np.testing.assert_array_equal(scores_UI, draft.model.scores(draft.seen))
    assert not np.array_equal(np.argsort(-scores_UI), np.argsort(-bundle_draft.model.scores(bundle_draft.seen)))
    ratings_UI = bundle.model.ratings(bundle.seen)
    np.testing.assert_allclose(ratings_UI, 1 + 4 / (1 + np.exp(-scores_UI)))
    scoring, rescorer = bundle.manifest.scoring, bundle.manifest.rescorer
    assert (scoring.fidelity, scoring.overlap_at_100) == ("approximate", 0.97)
    assert (rescorer.candidates, rescorer.predicts_ratings) == (200, True)


def test_an_items_score_does_not_depend_on_which_others_it_is_asked_with(bundle_draft):
    """Nor on the other queries: what the service computes for a few candidates is what the evaluator computes for all."""
    rescorer = make_rescorer(bundle_draft.model.item_vectors_ID)
    queries_BD = np.random.default_rng(0).normal(size=(7, 8)).astype(np.float32)
    all_BI = rescorer.scores(queries_BD, np.arange(30))
    rows_C = np.array([28, 3, 3, 11])
    np.testing.assert_allclose(rescorer.scores(queries_BD[2:3], rows_C)[0], all_BI[2, rows_C], rtol=1e-14)
    assert rescorer.scores(queries_BD, np.zeros(0, dtype=np.int64)).shape == (7, 0)
    assert rescorer.scores(queries_BD[:0], rows_C).shape == (0, 4)


def test_a_rescorer_that_does_not_fit_is_refused(bundle_draft, tmp_path):
    """Missing from the files, of other dimensions, or another graph altogether."""
    folder = write_bundle(with_rescorer(bundle_draft), tmp_path)
    whole = (folder / "manifest.json").read_text()
    files = [entry for entry in json.loads(whole)["files"] if entry["path"] != "rescorer.onnx"]
    _edit_manifest(folder, files=files)
    with pytest.raises(ContentInvalid, match=r"lists no rescorer\.onnx"):
        read_bundle(folder)
    (folder / "manifest.json").write_text(whole)
    (folder / "rescorer.onnx").write_bytes(make_rescorer(np.zeros((30, 5), dtype=np.float32)).graph.content())
    _sign_again(folder, "rescorer.onnx")
    with pytest.raises(ContentInvalid, match=r"dimensions of the rescorer is 5, expected 8"):
        read_bundle(folder)
    (folder / "rescorer.onnx").write_bytes(b"no graph")
    _sign_again(folder, "rescorer.onnx")
    with pytest.raises(ContentInvalid):
        read_bundle(folder)


def test_a_service_of_an_earlier_schema_would_not_misread_a_bundle(bundle_draft, tmp_path):
    """Its manifest says 3, which that service refuses."""
    assert json.loads((write_bundle(bundle_draft, tmp_path) / "manifest.json").read_text())["schema_version"] == 3
