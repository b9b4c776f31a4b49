"""Reports over HTTP: JSON for programs, a page for people, problems for everything else."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.experiments.reports import apart
from app.main import create_app
from app.settings import Settings
from app.store import Database
from tests.app.api.conftest import Client
from tests.app.experiments.stores import Story, definition, keep

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[tuple[Client, Database]]:
    """A service without releases, and its store."""
    settings = Settings(releases=tmp_path / "releases", slot="champion", store=f"sqlite:///{tmp_path / 'irgan.db'}")
    database = Database(settings.store)
    with Client(create_app(settings)) as client:
        yield client, database
    database.close()


def small(database: Database, **changes: Any) -> None:
    story = Story(definition(**changes))
    for unit, variant in (("u1", "a"), ("u2", "b")):
        story.click(story.answer(unit, variant, 1), 2)
    story.write(database)


def test_a_program_gets_json_and_a_browser_a_page(service):
    client, database = service
    small(database)
    answer = client.get("/v1/experiments/test/report")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["metrics"][0]["values"] == {"a": 1.0, "b": 1.0}
    for page in (
        client.get("/v1/experiments/test/report", headers={"accept": BROWSER}),
        client.get("/v1/experiments/test/report?format=html"),
    ):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["vary"] == "Accept"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert answer.json()["decision"]["sentence"] in page.text
    asked = client.get("/v1/experiments/test/report?format=json", headers={"accept": BROWSER})
    assert asked.json() == answer.json()


def test_a_report_is_given_again_for_a_little_while(service, monkeypatch):
    """Many who ask at once cause one report, and errors are not kept."""
    client, database = service
    made: list[str] = []
    whole = apart.report_of
    monkeypatch.setattr(apart, "report_of", lambda store, name: made.append(name) or whole(store, name))
    assert client.get("/v1/experiments/test/report").status_code == 404
    small(database)
    first = client.get("/v1/experiments/test/report")
    assert first.status_code == 200
    assert client.get("/v1/experiments/test/report").content == first.content
    assert made == ["test", "test"]


def test_a_report_knows_of_what_was_just_done(service):
    client, database = service
    small(database)
    assert client.get("/v1/experiments/test/report").json()["state"] == "stopped"
    assert client.post("/v1/experiments/test/conclude", json={"reason": "enough"}).status_code == 200
    assert client.get("/v1/experiments/test/report").json()["state"] == "concluded"


def test_a_report_on_much_is_made_in_another_process(service, monkeypatch, tmp_path):
    """The same report, the same problems, whatever lies where the service was started; and no list of processes shows the store's address."""
    client, database = service
    (tmp_path / "app.py").write_text("raise RuntimeError('this is another app')")
    monkeypatch.chdir(tmp_path)
    small(database)
    here = client.get("/v1/experiments/test/report")
    page = client.get("/v1/experiments/test/report?format=html")
    assert client.post("/v1/experiments/test/conclude", json={"reason": "enough"}).status_code == 200

    monkeypatch.setattr(apart, "MOST_ROWS", 1)
    run = apart.subprocess.run
    commands: list[list[str]] = []
    monkeypatch.setattr(apart.subprocess, "run", lambda command, **more: commands.append(command) or run(command, **more))
    there = client.get("/v1/experiments/test/report")
    assert there.status_code == 200
    assert len(commands) == 1 and database.address not in " ".join(commands[0])
    same = here.json()
    assert {key: value for key, value in there.json().items() if key not in {"state", "changes", "as_of"}} == {
        key: value for key, value in same.items() if key not in {"state", "changes", "as_of"}
    }
    assert same["decision"]["sentence"] in client.get("/v1/experiments/test/report?format=html").text
    assert page.text[:100] == client.get("/v1/experiments/test/report?format=html").text[:100]
    unknown = client.get("/v1/experiments/nothing/report")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:irgan:problem:unknown-experiment")
    assert len(commands) == 1  # nobody can have processes started for nothing


def test_a_process_that_fails_to_make_a_report_is_a_mistake_of_ours(service, monkeypatch):
    client, database = service
    small(database)
    monkeypatch.setattr(apart, "MOST_ROWS", 1)
    monkeypatch.setattr(apart.sys, "executable", "/bin/false")
    assert client.get("/v1/experiments/test/report").status_code == 500


def test_a_process_that_does_not_end_is_given_up(service, monkeypatch):
    """It would hold all other reports up, and the end of the service."""
    client, database = service
    small(database)
    monkeypatch.setattr(apart, "MOST_ROWS", 1)
    monkeypatch.setattr(apart, "_MOST_SECONDS", 0.01)
    answer = client.get("/v1/experiments/test/report")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:irgan:problem:store-unusable")
    assert answer.headers["retry-after"]


def test_there_is_none_by_that_name(service):
    client, _ = service
    problem = client.get("/v1/experiments/nothing/report").json()
    assert problem["type"] == "urn:irgan:problem:unknown-experiment"
    assert problem["status"] == 404


def test_one_that_has_not_started_has_no_report_yet(service):
    client, database = service
    with database.begin() as connection:
        keep(connection, definition(), ended=None, changed={"state": "draft", "started": None})
    answer = client.get("/v1/experiments/test/report")
    assert answer.status_code == 409
    assert "has not started" in answer.json()["detail"]


def test_another_format_is_refused(service):
    client, _ = service
    problem = client.get("/v1/experiments/test/report?format=pdf").json()
    assert problem["status"] == 422
    assert problem["errors"][0]["location"] == "query.format"


@pytest.mark.parametrize(("missing", "named"), [("tea_tasting", "tea_tasting"), ("jinja2", "jinja2")])
def test_without_the_extra_the_answer_says_what_to_install(service, monkeypatch, missing, named):
    client, database = service
    small(database)
    whole = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return whole(name, *rest, **more)

    for name in [
        name for name in sys.modules if name.startswith(("app.experiments.reports.", "app.experiments.statistics", missing))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", lacking)
    answer = client.get("/v1/experiments/test/report")
    assert answer.status_code == 501
    assert answer.json()["detail"] == f"reports on experiments need the package {named}; pip install 'irgan[experiments]'"
