"""Damaged bundles, and bundles that somebody made to do harm: refused by everybody, and what answered goes on answering."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx
import numpy as np
import pytest

from app.bundle import write_file
from app.releases import ReleaseStore
from tests.app.process import irgan, serving
from tests.faults.attacks import ATTACKS, EVERYWHERE, HARMLESS, SURPRISE, Attack
from tests.faults.bundles import DAMAGES, KINDS, NUM_FILES, Loader, harmless, mutated, offer, restore

pytest.importorskip("onnx", reason="bundles with graphs are made with the package onnx, which the extra train brings")

AT_ONCE = ("words alone",)
"""`app.releases` has tests of other kinds; the long form has all."""
ALL = {kind: EVERYWHERE | attacks for kind, attacks in ATTACKS.items()}
NUM_ATTACKS = 418


@pytest.fixture
def loader() -> Iterator[Loader]:
    loader = Loader.started()
    yield loader
    loader.close()


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind in AT_ONCE else pytest.mark.soak) for kind in KINDS])
def test_no_damage_to_any_file_is_taken(tmp_path, kind):
    """By `publish`, by `promote`, or by a service that follows the slot."""
    told = offer(kind, tmp_path)
    assert not {damage: one.taken for damage, one in told.items() if one.taken}
    assert sum(one.offered for one in told.values()) == NUM_FILES[kind] * len(DAMAGES) - 2  # those that are harmless
    assert all(one.refused == one.offered for one in told.values())


def test_a_service_that_runs_refuses_what_is_damaged_tells_it_and_goes_on(tmp_path):
    """A few damages of each kind of bundle, on the disk of a service that could follow its slot there."""
    refuse_in_service(tmp_path, ("rerank", "words alone"), num_damages=4)


@pytest.mark.soak
def test_a_service_that_runs_refuses_many_damages_of_every_kind(tmp_path):
    refuse_in_service(tmp_path, tuple(KINDS), num_damages=15)


def refuse_in_service(folder: Path, kinds: tuple[str, ...], num_damages: int) -> None:
    """Point the slot of a service to damaged bundles: it must count and tell each, and answer as before."""
    store = ReleaseStore(folder / "releases")
    name = store.publish(KINDS["graph"]("v1", folder / "drafts"), "champion")
    rng = np.random.default_rng(3)
    with (folder / "log").open("w") as log, serving(store.folder, stderr=log, IRGAN_POLL_SECONDS="0.05") as (process, port):  # noqa: SIM117 - one line each
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            before = ranked(client)
            refused = 0
            for kind in kinds:
                kept = store.publish(KINDS[kind]("v2", folder / "drafts" / kind), "kept")
                published = store.path(kept)
                whole = {path.name: path.read_bytes() for path in published.iterdir()}
                cases = [(file, damage) for file in whole for damage in DAMAGES if not harmless(damage, file)]
                cases = [cases[number] for number in rng.choice(len(cases), num_damages, replace=False)]
                for file, damage in cases:
                    other = "manifest.json" if file != "manifest.json" else "manifest.sha256"
                    DAMAGES[damage](published / file, published / other, rng)
                    write_file(store.pointer("champion"), f"{kept}\n".encode())
                    refused += 1
                    wait_until(lambda: is_refused(client))
                    assert number_refused(client) == refused, (kind, file, damage)
                    assert ranked(client) == before
                    assert client.get("/health/ready").json()["release"] == name
                    write_file(store.pointer("champion"), f"{name}\n".encode())
                    wait_until(lambda: not is_refused(client))
                    restore(published, whole)
                shutil.rmtree(published.parent)
                store.pointer("kept").unlink()
            assert process.poll() is None
    lines = [line for line in (folder / "log").read_text().splitlines() if "cannot be loaded" in line]
    assert len(lines) == refused and all(f"{name} goes on answering" in line for line in lines)


def number_refused(client: httpx.Client) -> float:
    """How often a release was refused, of all slots."""
    found = re.findall(r"^irgan_release_refusals_total(?:\{[^}]*\})? (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return sum(map(float, found))


def is_refused(client: httpx.Client) -> bool:
    """Whether what the slot points to is refused now."""
    return 'irgan_release_refused{slot="champion"} 1.0' in client.get("/metrics").text


def ranked(client: httpx.Client) -> list[tuple[str, float]]:
    """An answer, all but its own id."""
    answer = client.get("/v1/recommendations/u1", params={"k": 5})
    assert answer.status_code == 200
    return [(item["id"], item["score"]) for item in answer.json()["items"]]


def wait_until(holds: object, seconds: float = 20) -> None:
    """Ask until it holds."""
    assert callable(holds)
    until = monotonic() + seconds
    while not holds():
        assert monotonic() < until, "it never came"
        sleep(0.02)


def test_an_attack_with_every_hash_right_is_refused_or_harmless(tmp_path, loader):
    """Each once, on the first kind of bundle that it is for."""
    seen: set[str] = set()
    once: dict[str, dict[str, Attack]] = {}
    for kind in dict.fromkeys(("rerank", *ATTACKS)):
        once[kind] = {name: attack for name, attack in ALL[kind].items() if name not in seen}
        seen |= once[kind].keys()
    assert attack_with(once, tmp_path, loader) == len(seen) > 140


@pytest.mark.soak
def test_an_attack_is_refused_or_harmless_with_every_kind_of_bundle(tmp_path, loader):
    assert attack_with(ALL, tmp_path, loader) == NUM_ATTACKS


def attack_with(attacks: dict[str, dict[str, Attack]], folder: Path, loader: Loader) -> int:
    """Offer what attacks make to a process that loads it; gives their number."""
    Path(SURPRISE).unlink(missing_ok=True)
    number = 0
    for kind, some in attacks.items():
        whole = KINDS[kind]("v1", folder / "whole" / kind)
        attacked = folder / "attacked" / "v1"
        for name, attack in some.items():
            shutil.copytree(whole, attacked)
            attack(attacked)
            told = loader.load(attacked)
            expected = ("answers", "refused") if name in HARMLESS else "refused"  # or refused by one kind
            assert told.startswith(expected), f"{kind}, {name}: {told}"
            shutil.rmtree(attacked.parent)
            number += 1
    assert not Path(SURPRISE).exists()
    return number


def test_random_changes_with_every_hash_right_end_no_process(tmp_path, loader):
    mutate(tmp_path, loader, seed=0, number=80)


@pytest.mark.soak
@pytest.mark.parametrize("pattern", ["*", "*.faiss", "*.onnx", "*.json", "*.np*", "*.parquet"])
def test_many_random_changes_with_every_hash_right_end_no_process(tmp_path, loader, pattern):
    """Of all files, and of each format alone."""
    mutate(tmp_path, loader, seed=1, number=1500, pattern=pattern)


def mutate(folder: Path, loader: Loader, *, seed: int, number: int, pattern: str = "*") -> None:
    """Load bundles with a few bytes changed: each is refused, or answers with what could be answers."""
    rng = np.random.default_rng(seed)
    whole = {kind: KINDS[kind]("v1", folder / "whole" / kind) for kind in KINDS}
    kinds = [kind for kind in KINDS if any(path.name != "manifest.json" for path in whole[kind].glob(pattern))]
    changed = folder / "changed" / "v1"
    refused = 0
    for count in range(number):
        kind = kinds[count % len(kinds)]
        shutil.copytree(whole[kind], changed)
        what = mutated(changed, rng, pattern)
        told = loader.load(changed)
        assert told.startswith(("refused", "answers")), f"{kind}, {what}: {told}"
        refused += told.startswith("refused")
        shutil.rmtree(changed.parent)
    assert refused > number / 4


def test_what_a_manifest_says_beside_its_hashes_harms_nobody_who_lists_it(tmp_path):
    """Whatever stands in fields that only people read, the table of releases and `/v1/releases` show all that is kept."""
    store = ReleaseStore(tmp_path / "releases")
    name = store.publish(KINDS["rerank"]("v1", tmp_path / "drafts"), "champion")
    harmless_ones = sorted(HARMLESS & EVERYWHERE.keys() - {"the name of another"})
    for number, attack in enumerate(harmless_ones, 2):
        bundle = KINDS["rerank"](f"v{number}", tmp_path / "drafts")
        EVERYWHERE[attack](bundle)
        store.publish(bundle, f"slot-{number}")
    with serving(store.folder) as (_, port), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        answer = client.get("/v1/releases")
        assert answer.status_code == 200, answer.text
        told = json.loads(answer.content)
        assert told["live"] == name and len(told["bundles"]) == 1 + len(harmless_ones)
    done = irgan("releases", "--releases", str(store.folder))
    assert done.returncode == 0, done.stderr
    assert all(f"v{number}" in done.stdout for number in range(1, 2 + len(harmless_ones)))


def test_a_file_too_many_is_neither_copied_nor_looked_at(tmp_path):
    """Nothing vouches for it."""
    bundle = KINDS["rerank"]("v1", tmp_path / "drafts")
    (bundle / "more.py").write_text("raise SystemExit")
    (bundle / "more").symlink_to("/etc")
    store = ReleaseStore(tmp_path / "releases")
    published = store.path(store.publish(bundle, "champion"))
    assert len(list(published.iterdir())) == NUM_FILES["rerank"]
