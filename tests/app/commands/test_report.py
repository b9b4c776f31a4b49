"""`irgan experiment report` in a terminal, for programs and as a page."""

from __future__ import annotations

import json

from app.store import Database
from tests.app.experiments.stores import Story, definition
from tests.app.process import irgan


def test_the_report_in_a_terminal_as_json_and_as_a_page(tmp_path):
    store = f"sqlite:///{tmp_path / 'irgan.db'}"
    database = Database(store)
    story = Story()
    for unit, variant in (("u1", "a"), ("u2", "b")):
        story.click(story.answer(unit, variant, 1), 2)
    story.write(database)
    database.close()
    page = tmp_path / "pages" / "report.html"
    shown = irgan("experiment", "report", "test", "--store", store, "--output", page)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("Too early to say: ")
    assert "click-through" in shown.stdout and "sample ratio" in shown.stdout
    assert "<!DOCTYPE html>" in page.read_text(encoding="utf-8")
    asked = irgan("experiment", "report", "test", "--json", IRGAN_STORE=store)
    assert json.loads(asked.stdout)["metrics"][0]["values"] == {"a": 1.0, "b": 1.0}


def test_figures_and_names_of_metrics_are_whole_in_a_narrow_terminal(tmp_path):
    """Beside three variants with long names, where something has to give in 80 columns."""
    store = f"sqlite:///{tmp_path / 'irgan.db'}"
    database = Database(store)
    names = ("popular-items", "learned-from-clicks", "learned-from-ratings")
    story = Story(definition(variants=[{"name": name, "release": f"{name}/v1"} for name in names]))
    for place in range(600):
        asked = story.answer(f"u{place}", names[place % 3], 1, propensity=1 / 3)
        if place % 2:
            story.click(asked, 2)
    story.write(database)
    database.close()
    shown = irgan("experiment", "report", "test", "--store", store, COLUMNS="80")
    assert shown.returncode == 0, shown.stderr
    table = shown.stdout.partition("test: ab")[2].partition("sample ratio")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert " click-through  popular-items " in table and "undecided" in table and "…" not in table
    assert (
        table.count(" 200 ") == 3 and table.count(" 0.5 ") == 3
    )  # by hand: of each variant's 200 users every other one clicked


def test_an_unknown_experiment_is_one_line(tmp_path):
    ended = irgan("experiment", "report", "nothing", "--store", f"sqlite:///{tmp_path / 'irgan.db'}")
    assert ended.returncode == 2
    assert ended.stderr == "irgan: there is no experiment 'nothing'; see `irgan experiment list`\n"
