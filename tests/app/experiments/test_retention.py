"""Releases that experiments need stay until the experiment is concluded, whatever its state before."""

from __future__ import annotations

import threading

import pytest

from app.bundle import write_bundle
from app.experiments.definition import Experiment
from app.experiments.errors import ReleaseUnsuitable
from app.experiments.lifecycle import Experiments
from app.experiments.retention import needed_releases
from app.releases import ReleaseStore, prune
from app.store import Database
from tests.conftest import make_draft


@pytest.fixture
def releases(tmp_path):
    store = ReleaseStore(tmp_path / "releases")
    for number in range(1, 7):
        slot = "challenger" if number == 2 else "champion"
        store.publish(write_bundle(make_draft(version=f"v{number}"), tmp_path / "drafts"), slot)
    return store


@pytest.fixture
def database(store_url):
    database = Database(store_url)
    yield database
    database.close()


def definition(name: str, *releases: str) -> Experiment:
    variants = [{"name": f"r{number}", "release": release} for number, release in enumerate(releases)]
    return Experiment.model_validate({"name": name, "variants": variants})


def would_go(releases: ReleaseStore, database: Database) -> list[str]:
    found = prune(releases, 0, in_use=needed_releases(database, dry_run=True), dry_run=True)
    return [manifest.version for manifest in found]


def test_from_the_draft_to_the_conclusion(releases, database, tmp_path):
    experiments = Experiments(database, releases)
    assert would_go(releases, database) == ["v1", "v3", "v4"]
    experiments.create(definition("test", "sample/v3", "challenger"))
    assert would_go(releases, database) == ["v1", "v4"]
    experiments.start("test")
    releases.publish(tmp_path / "drafts" / "sample" / "v1", "challenger")
    releases.publish(
        tmp_path / "drafts" / "sample" / "v6", "challenger"
    )  # what the slot was at the start stays with the experiment
    assert would_go(releases, database) == ["v4"]
    experiments.stop("test")
    assert would_go(releases, database) == ["v4"]
    experiments.conclude("test", winner=None, reason="an end")
    assert would_go(releases, database) == ["v2", "v3", "v4"]
    prune(releases, 0, in_use=needed_releases(database))
    assert [manifest.version for manifest in releases.published()] == ["v1", "v5", "v6"]


def test_an_experiment_is_started_before_it_is_decided_what_goes_or_after(releases, database):
    """While it is decided, a start waits; afterwards its release is there or it is told that it is not."""
    experiments = Experiments(database, releases)
    experiments.create(definition("test", "champion", "challenger"))
    outcomes = []

    def start() -> None:
        try:
            outcomes.append(Experiments(database, releases).start("test").state)
        except ReleaseUnsuitable as error:
            outcomes.append(str(error))

    starting = threading.Thread(target=start)
    with needed_releases(database) as needed:
        starting.start()
        starting.join(0.3)
        assert starting.is_alive() and needed == {"champion", "challenger"}
    starting.join()
    assert outcomes == ["running"]


def test_where_there_is_no_store_none_is_made(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'irgan.db'}")
    with needed_releases(database) as needed:
        assert needed == set()
    assert not (tmp_path / "irgan.db").exists()
