"""Every file of a bundle of every kind, truncated, emptied, flipped in one bit or missing: nobody takes it, and what answered goes on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.bundle import BundleError, read_bundle, write_bundle, write_rerank, write_search
from app.releases import LiveRelease, ReleaseDamaged, ReleaseStore
from tests.conftest import make_draft, make_rerank_draft, make_search_draft, with_rescorer

KINDS = {
    "recommender": lambda version, to: write_bundle(replace(with_rescorer(make_draft()), version=version), to),
    "search": lambda version, to: write_search(make_search_draft(version=version), to),
    "rerank": lambda version, to: write_rerank(replace(make_rerank_draft(), version=version), to),
}
NUM_FILES = {"recommender": 12, "search": 9, "rerank": 3}


def flip(path: Path, rng: np.random.Generator) -> None:
    content = bytearray(path.read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def truncate(path: Path, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(rng.integers(1, len(content)))])


def empty(path: Path, _: np.random.Generator) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_keeps_a_release_out_everywhere(tmp_path, caplog, kind):
    good, bad = (KINDS[kind](version, tmp_path / "drafts") for version in ("v1", "v2"))
    store = ReleaseStore(tmp_path / "releases")
    store.publish(bad, "kept")
    name = store.publish(good, "champion")
    published = store.path(store.slots()["kept"])
    live = LiveRelease(store, "champion")
    live.refresh()
    files = sorted(path.name for path in published.iterdir())
    assert len(files) == NUM_FILES[kind]
    rng = np.random.default_rng(7)
    damages: list[Callable[[Path, np.random.Generator], None]] = [flip, flip, truncate, empty]
    refused = 0
    for file in files:
        for damage in damages:
            for folder in (bad, published):
                shutil.copyfile(folder / file, tmp_path / "whole")
                damage(folder / file, rng)
                with pytest.raises(BundleError):
                    read_bundle(folder)
                if folder == bad:
                    with pytest.raises(BundleError):
                        store.publish(bad, "champion")
                else:
                    with pytest.raises(ReleaseDamaged):
                        store.promote("kept", "champion")
                    store.pointer("champion").write_text(f"{store.slots()['kept']}\n")
                    caplog.clear()
                    with caplog.at_level(logging.ERROR):
                        live.refresh()
                    refused += 1
                    assert live.current is not None and live.current.name == name
                    assert live.num_refusals == refused and live.is_refused
                    assert len(caplog.records) == 1 and f"{name} goes on answering" in caplog.text
                    store.pointer("champion").write_text(f"{name}\n")
                    live.refresh()
                    assert not live.is_refused
                shutil.copyfile(tmp_path / "whole", folder / file)
                assert store.slots() == {"champion": name, "kept": name.replace("v1", "v2")}
    assert refused == len(files) * len(damages)
    store.promote("kept", "champion")  # whole again
    live.refresh()
    assert live.current is not None and live.current.name == store.slots()["kept"] and live.num_swaps == 2
