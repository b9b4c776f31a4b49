"""Writing and reading: nothing is lost, nothing half-written, nothing broken accepted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.bundle import (
    BundleError,
    BundleNotFound,
    ContentInvalid,
    FileDamaged,
    ManifestInvalid,
    SchemaUnsupported,
    read_bundle,
    sha256_of,
    write_bundle,
    write_file,
    writer,
)

GOLDEN = Path(__file__).parent / "golden" / "schema-1"


@pytest.fixture
def folder(bundle_draft, tmp_path) -> Path:
    return write_bundle(bundle_draft, tmp_path)


def _edit_manifest(folder: Path, **changes) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


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

    monkeypatch.setattr(writer.faiss, "write_index", full_disk)
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
    """One damage at a time, to every file but the manifest, which has its own tests."""
    names = sorted(p.name for p in folder.iterdir() if p.name != "manifest.json")
    assert len(names) == 7
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


def test_a_manifest_flipped_at_any_byte_never_ends_in_another_error(folder):
    """Any single bit flip is refused as a BundleError, or is harmless because it changes only words."""
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
    assert refused > 50


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
    (folder / "manifest.json").write_text(json.dumps(manifest))
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


def test_the_golden_bundle_of_schema_1_is_still_read():
    """Written once by version 0.1 and kept: the five top rows of each known user must never change."""
    bundle = read_bundle(GOLDEN)
    expected = json.loads((GOLDEN.parent / "schema-1.expected.json").read_text())
    top = np.argsort(-bundle.model.scores(bundle.seen), axis=1, kind="stable")[:, :5]
    assert top.tolist() == expected["top_rows"]
