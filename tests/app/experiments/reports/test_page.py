"""The page stands alone, is well-formed, says what the report says, and obeys no name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.experiments.reports.figures import Change, Report
from app.experiments.reports.making import make_report
from app.experiments.reports.page import render_page
from app.experiments.reports.plots import _ticks
from app.store import Database
from tests.app.experiments.reports.test_making import LATE, clicking
from tests.app.experiments.stores import Story
from tests.pages import Page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    story = clicking(secondary=["conversion"], guardrails=[{"metric": "latency"}])
    return reported(story, tmp_path_factory.mktemp("store"))


def reported(story: Story, folder: Any) -> Report:
    database = Database(f"sqlite:///{folder / 'irgan.db'}")
    story.write(database)
    made = make_report(database, "test", now=LATE)
    database.close()
    return made


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(render_page(report))


def test_the_page_needs_nothing_from_elsewhere(page: Page):
    """No script, style sheet, image or font from anywhere."""
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "image", "base", "a"}
    for _, attributes in page.elements:
        assert not {"src", "href", "onload", "onclick", "style"} & set(attributes)
    assert "@import" not in page.text and "url(" not in page.text and "@font-face" not in page.text
    assert "prefers-color-scheme: dark" in page.text and "@media print" in page.text


def test_the_decision_comes_first(page: Page, report: Report):
    body = page.text[page.text.index("</style>") + 1 if "</style>" in page.text else page.text.index("Experiment test") :]
    assert report.decision.sentence in body
    assert body.index(report.decision.sentence) < body.index("Figures")


def test_drawings_and_tables_can_be_read_aloud(page: Page):
    """Every drawing says in words what it shows; every table has a caption and every header its direction."""
    drawings = page.attributes("svg")
    assert len(drawings) == 1 + 1  # click-through, and units; nobody converted, and all answers took the same time
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 50
    headers = page.attributes("th")
    assert headers and all(attributes["scope"] in {"row", "col"} for attributes in headers)
    assert len(page.attributes("caption")) == len(page.attributes("table")) >= 4
    assert page.attributes("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) == 4


def test_states_are_told_by_words_and_signs_not_by_colour_alone(page: Page, report: Report):
    for check in report.checks:
        assert check.text in page.text and check.name in page.text
    assert "✓ good" in page.text


def test_a_single_look_can_be_seen(report: Report):
    """Its interval is an area and not a point: the corners are all different, and go round it."""
    metric = report.metrics[0]
    one = replace(metric.comparisons[0], points=metric.comparisons[0].points[-1:])
    page = Page(render_page(replace(report, metrics=[replace(metric, comparisons=[one])])))
    (band,) = (attributes for attributes in page.attributes("polygon") if attributes["class"] == "band")
    (left, low), (right, below), (end, high), (start, above) = (
        map(float, corner.split(",")) for corner in band["points"].split()
    )
    assert left == start < right == end and low == below > above == high


def test_the_page_of_red_figures_says_so_at_the_top(tmp_path):
    page = Page(render_page(reported(clicking((400, 250)), tmp_path)))
    assert page.text.index("Do not use these figures") < page.text.index("Figures")
    assert {"class": "decision unusable"} in page.attributes("p")
    assert "✕ sample ratio" in page.text


def test_an_experiment_without_anybody_has_a_page_too(tmp_path):
    page = Page(render_page(reported(Story(), tmp_path)))
    assert "Too early to say" in page.text and "Nothing to draw yet." in page.text


def test_names_are_text_in_the_page_and_in_the_drawings(report: Report):
    """Markup in a name or in a history is shown, not obeyed."""
    odd = '<script>x</script>"&'
    variants = [replace(variant, release=odd) for variant in report.variants]
    metrics = [
        replace(metric, comparisons=[replace(one, metric=odd, variant=odd) for one in metric.comparisons])
        for metric in report.metrics
    ]
    changes = [Change(time=report.started, action=odd, detail={"reason": odd})]
    page = Page(render_page(replace(report, variants=variants, metrics=metrics, changes=changes)))
    assert not page.attributes("script")
    assert page.text.count(odd) > 5
    assert any(odd in (attributes["aria-label"] or "") for attributes in page.attributes("svg"))


def test_the_same_report_gives_the_same_bytes(report: Report):
    assert render_page(report) == render_page(report)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
        (0.0, 300.0, [0.0, 50.0, 100.0, 150.0, 200.0, 250.0, 300.0]),
        (0.0, 3.0, [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, ticks: list[float]):
    found = _ticks(low, high)
    assert 3 <= len(found) <= 7
    assert found == ticks
