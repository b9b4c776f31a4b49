"""Bundles of every kind, and what damage, or somebody with bad intentions, makes of them."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Self

import faiss
import numpy as np

from app.bundle import (
    BundleDraft,
    BundleError,
    IndexInfo,
    LinearEncoder,
    VectorModel,
    seal,
    sha256_of,
    write_bundle,
    write_rerank,
    write_search,
)
from app.releases import LiveRelease, ReleaseDamaged, ReleaseStore
from tests.conftest import make_draft, make_rerank_draft, make_search_draft, with_rescorer

Write = Callable[[str, Path], Path]
Damage = Callable[[Path, Path, np.random.Generator], None]


def _of_index(version: str, factory: str, parameters: dict[str, int]) -> BundleDraft:
    """With so many items that the index itself is asked, not all items in its place."""
    draft = make_draft(num_items=600, version=version)
    index = faiss.index_factory(draft.model.dim, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(draft.model.item_vectors_ID)
    index.add(draft.model.item_vectors_ID)
    info = IndexInfo(factory=factory, parameters=parameters, recall_at_100=1.0, num_queries=5)
    return replace(draft, index=index, index_info=info)


def _of_identity(version: str) -> BundleDraft:
    """As EASE's: as many dimensions as items, an encoder without a table, and vectors of the known users."""
    draft = make_draft(num_items=30, dim=30, version=version)
    encoder = LinearEncoder(table_ID=None, num_items=30, positive_threshold=4.0)
    users_UD = encoder.encode(draft.seen)
    model = VectorModel(draft.model.item_vectors_ID, encoder, draft.model.policy, user_vectors_UD=users_UD)
    return replace(draft, model=model, bias_folded=False)


KINDS: dict[str, Write] = {
    "two stages": lambda version, to: write_bundle(replace(with_rescorer(make_draft()), version=version), to),
    "identity": lambda version, to: write_bundle(_of_identity(version), to),
    "inverted lists": lambda version, to: write_bundle(_of_index(version, "IVF8,Flat", {"nprobe": 4}), to),
    "graph": lambda version, to: write_bundle(_of_index(version, "HNSW8,Flat", {"efSearch": 32}), to),
    "search": lambda version, to: write_search(make_search_draft(version=version), to),
    "words alone": lambda version, to: write_search(make_search_draft(dense=False, version=version), to),
    "rerank": lambda version, to: write_rerank(replace(make_rerank_draft(), version=version), to),
}
"""One of each form that a bundle can have; all are of version `version`."""
NUM_FILES = {
    "two stages": 12,
    "identity": 12,
    "inverted lists": 11,
    "graph": 11,
    "search": 9,
    "words alone": 5,
    "rerank": 3,
}


def _bits(at: Callable[[int, np.random.Generator], int]) -> Damage:
    def damage(path: Path, _: Path, rng: np.random.Generator) -> None:
        content = bytearray(path.read_bytes())
        content[at(len(content), rng)] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)

    return damage


def _cut(length: Callable[[int], int]) -> Damage:
    def damage(path: Path, _: Path, __: np.random.Generator) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: length(len(content))])

    return damage


def _swap(path: Path, other: Path, _: np.random.Generator) -> None:
    content = path.read_bytes()
    path.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _link(path: Path, _: Path, __: np.random.Generator) -> None:
    outside = path.parent.parent / f"{path.name}.outside"
    shutil.copyfile(path, outside)
    path.unlink()
    path.symlink_to(outside)


DAMAGES: dict[str, Damage] = {
    "emptied": _cut(lambda _: 0),
    "half missing": _cut(lambda size: size // 2),
    "last byte missing": _cut(lambda size: size - 1),
    "byte too many": lambda path, _, __: path.write_bytes(path.read_bytes() + b"\0") and None,
    "first byte flipped": _bits(lambda *_: 0),
    "last byte flipped": _bits(lambda size, _: size - 1),
    "some byte flipped": _bits(lambda size, rng: int(rng.integers(size))),
    "another byte flipped": _bits(lambda size, rng: int(rng.integers(size))),
    "missing": lambda path, _, __: path.unlink(),
    "in another's place": _swap,
    "a folder": lambda path, _, __: path.unlink() or path.mkdir(),  # type: ignore[func-returns-value]
    "a link to outside": _link,
}
"""What happens to one file of a bundle, given another one of it."""


def harmless(damage: str, file: str) -> bool:
    """Bundles written before there were seals have none, so that one may be missing; and a seal is found by its content alone."""
    return file == "manifest.sha256" and damage in {"missing", "a link to outside"}


def sign(folder: Path) -> None:
    """Let manifest and seal say of every listed file what it is now: damage that somebody took care to hide."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        file = folder / entry["path"]
        if file.is_file():
            entry["size"], entry["sha256"] = file.stat().st_size, sha256_of(file)
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """A manifest, and its seal."""
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    seal(folder)


def mutated(folder: Path, rng: np.random.Generator, pattern: str = "*") -> str:
    """Change a few bytes of one file, the sort of change that fuzzers make, and sign it; tells which file and how."""
    files = sorted(path for path in folder.glob(pattern) if not path.name.startswith("manifest."))
    file = files[int(rng.integers(len(files)))]
    content = bytearray(file.read_bytes())
    how = ("bits", "bytes", "word", "cut", "zeros", "twice")[int(rng.integers(6))]
    # What a file says of itself stands at its beginning, or its end; numbers and names lie between.
    near = [
        int(rng.integers(len(content))),
        int(rng.integers(min(len(content), 128))),
        -int(rng.integers(1, min(len(content), 256) + 1)),
    ]
    at = near[int(rng.integers(3))] % len(content)
    match how:
        case "bits":
            for _ in range(int(rng.integers(1, 4))):
                content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
        case "bytes":
            content[at : at + 1] = bytes([int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))])
        case "word":
            width = int(rng.choice([4, 8]))
            value = int(rng.choice([0, 1, -1, 2**31 - 1, 2**30, -(2**31), 65_536, 7]))
            content[at : at + width] = value.to_bytes(width, "little", signed=True)
        case "cut":
            del content[at:]
        case "zeros":
            content[at : at + 64] = bytes(len(content[at : at + 64]))
        case _:
            content[at:at] = content[at : at + 64]
    file.write_bytes(content)
    sign(folder)
    return f"{file.name}, {how} at {at}"


@dataclass(slots=True)
class Loader:
    """A process of its own that loads bundles as the service does, so that one that ends it ends nothing else."""

    process: subprocess.Popen[str]

    @classmethod
    def started(cls, stderr: int | IO[str] = subprocess.DEVNULL) -> Self:
        """Ready to load."""
        command = [sys.executable, "-c", "from tests.faults.loading import main; main()"]
        return cls(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True))

    def load(self, folder: Path) -> str:
        """`refused` or `answers`, and how; or `ended` with the signal, where that was the end of the process."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(f"{folder}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.process.stdout.readline().strip() or f"ended {self.process.wait(60)}"

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(60)


@dataclass(slots=True)
class Offered:
    """What became of damaged bundles.

    Attributes:
        offered: how many were, each to a publication, a promotion and what follows the slot.
        refused: how many of these none of the three took.
        taken: the others, by what was done to which file.
    """

    offered: int = 0
    refused: int = 0
    taken: list[str] = field(default_factory=list)


def offer(kind: str, folder: Path, *, seed: int = 0) -> dict[str, Offered]:
    """Damage every file of a bundle in every way, one at a time, and offer what that makes; by the damage.

    Args:
        kind: of the bundle.
        folder: an empty one.
        seed: of places and bits.
    """
    good, bad = (KINDS[kind](version, folder / "drafts") for version in ("v1", "v2"))
    store = ReleaseStore(folder / "releases")
    kept = store.publish(bad, "kept")
    name = store.publish(good, "champion")
    published = store.path(kept)
    whole = {path.name: path.read_bytes() for path in published.iterdir()}
    live = LiveRelease(store, "champion")
    live.refresh()
    rng = np.random.default_rng(seed)
    told = {damage: Offered() for damage in DAMAGES}
    for file in whole:
        for damage, harm in DAMAGES.items():
            if harmless(damage, file):
                continue
            other = (
                sorted(whole.keys() - {file, "manifest.sha256"})[int(rng.integers(len(whole) - 2))] if len(whole) > 2 else file
            )
            told[damage].offered += 1
            refusals = []
            for place in (bad, published):
                harm(place / file, place / other, rng)
            refusals.append(_raises(BundleError, lambda: store.publish(bad, "champion")))
            refusals.append(_raises(ReleaseDamaged, lambda: store.promote("kept", "champion")))
            refusals.append(store.current("champion") == name)
            store.pointer("champion").write_text(f"{kept}\n", encoding="utf-8")
            live.refresh()
            refusals.append(live.is_refused and live.current is not None and live.current.name == name)
            store.pointer("champion").write_text(f"{name}\n", encoding="utf-8")
            live.refresh()
            if all(refusals):
                told[damage].refused += 1
            else:
                told[damage].taken.append(file)
            for place in (bad, published):
                restore(place, whole)
    store.promote("kept", "champion")  # whole again
    live.refresh()
    assert live.current is not None and live.current.name == kept
    return told


def restore(folder: Path, whole: dict[str, bytes]) -> None:
    """Make a folder hold these files and no others."""
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in whole.items():
        (folder / name).write_bytes(content)


def _raises(error: type[Exception], work: Callable[[], object]) -> bool:
    try:
        work()
    except error:
        return True
    return False
