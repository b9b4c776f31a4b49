"""Export: everything that the contract names is in the bundle, and a failure leaves nothing."""

from __future__ import annotations

import errno
import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.bundle import LinearEncoder, VectorModel, read_bundle, recommender
from tests.training.conftest import make_interactions
from training.data import Split
from training.export import Stamp, export_bundle


@pytest.fixture
def split() -> Split:
    """Four fifths to learn from."""
    data = make_interactions()
    is_test_N = np.arange(len(data)) % 5 == 0
    table = pd.DataFrame({"title": [f"Item {row}" for row in range(40)], "year": np.arange(1980, 2020)})
    return Split("made-up", "kfold", {"folds": 5, "fold": 0, "seed": 1}, data.where(~is_test_N), data.where(is_test_N), table)


def model() -> VectorModel:
    vectors_ID = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    return VectorModel(vectors_ID, LinearEncoder(table_ID=vectors_ID))


def export(split: Split, root: Path, **changes: Any) -> Path:
    options: dict[str, Any] = {
        "root": root,
        "name": "mine",
        "ranker": "made-up",
        "paper": "Somebody 2001",
        "seed": 7,
        "config": {"embedding_size": 3},
        "bias_folded": True,
        "metrics": {"paper": {"nDCG@10": 0.25}},
        "training": {"seconds": 1.5, "curves": {"fit/loss": [[0, 1.0]]}},
    }
    return export_bundle(model(), split, **(options | changes))


def test_the_bundle_knows_where_it_comes_from(split: Split, tmp_path: Path) -> None:
    """Ranker, settings, data and split, figures, training, index and scoring, libraries, time and commit."""
    before = datetime.now(UTC)
    bundle = read_bundle(export(split, tmp_path))
    manifest = bundle.manifest
    assert (manifest.name, manifest.ranker, manifest.paper, manifest.seed) == ("mine", "made-up", "Somebody 2001", 7)
    assert manifest.config == {"embedding_size": 3}
    data = manifest.data
    assert (data.name, data.fingerprint) == ("made-up", split.train.fingerprint())
    assert (data.num_users, data.num_items, data.num_interactions) == (60, 40, len(split.train))
    assert (data.split.name, data.split.parameters) == ("kfold", {"folds": 5, "fold": 0, "seed": 1})
    assert manifest.metrics == {"paper": {"nDCG@10": 0.25}}
    assert manifest.training == {"seconds": 1.5, "curves": {"fit/loss": [[0, 1.0]]}}
    assert (manifest.scoring.dim, manifest.scoring.bias_folded, manifest.scoring.fidelity) == (3, True, "exact")
    assert (manifest.index.factory, manifest.index.recall_at_100, manifest.index.num_queries) == ("Flat", 1.0, 60)
    assert {"irgan", "numpy", "torch", "onnxruntime"} <= set(manifest.libraries)
    assert before <= manifest.created <= datetime.now(UTC)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    assert manifest.commit == (head.stdout.strip() or None)


def test_the_bundle_holds_what_the_service_needs(split: Split, tmp_path: Path) -> None:
    """Ids in row order, titles, what everybody has had with its ratings, popularity among what was liked."""
    bundle = read_bundle(export(split, tmp_path))
    train = split.train
    assert bundle.items.ids == train.items.ids
    assert bundle.users.ids == train.users.ids
    assert bundle.item_table["title"].tolist() == split.item_table["title"].tolist()
    for part in ("offsets", "items", "ratings"):
        np.testing.assert_array_equal(getattr(bundle.seen, part), getattr(train.histories(), part))
    np.testing.assert_array_equal(bundle.popularity_I, train.popularity())
    np.testing.assert_array_equal(bundle.model.item_vectors_ID, model().item_vectors_ID)


def test_a_version_is_its_time_and_a_hash_of_the_vectors(split: Split, tmp_path: Path) -> None:
    """Versions sort by time, and two exports never meet."""
    first, second = export(split, tmp_path), export(split, tmp_path)
    assert first.parent == second.parent == tmp_path / "mine"
    assert first.name < second.name
    digest = hashlib.sha256(model().item_vectors_ID.tobytes()).hexdigest()[:8]
    assert first.name.endswith(f"z-{digest}")
    assert second.name.endswith(f"z-{digest}")


def test_under_a_stamp_the_same_bytes_are_written_whenever_that_is(split: Split, tmp_path: Path) -> None:
    """Every file of two exports, the manifest included, and the stamp's time in both places that tell one."""
    stamp = Stamp(datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), "c" * 40)
    first, second = (export(split, tmp_path / place, stamp=stamp) for place in ("first", "second"))
    assert first.name == second.name and first.name.startswith("20231114t221320.000000z-")
    assert (read_bundle(first).manifest.created, read_bundle(first).manifest.commit) == (stamp.time, stamp.commit)
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, second)]
    assert len(contents[0]) >= 8
    assert contents[0] == contents[1]


def test_outside_of_a_checkout_there_is_no_commit(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is missing or knows nothing, the manifest says nothing."""

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert read_bundle(export(split, tmp_path)).manifest.commit is None


def test_a_full_disk_leaves_nothing(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last array cannot be written; no half a bundle can be found afterwards."""

    def no_space(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recommender.faiss, "write_index", no_space)
    with pytest.raises(OSError, match="No space left"):
        export(split, tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "mine").iterdir()) == []
