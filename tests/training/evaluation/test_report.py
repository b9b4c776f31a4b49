"""The page stands alone, says what the study says, and is the same twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.pages import Page
from tests.training.evaluation.studies import neighbour_model, popularity_model, small_split
from training.errors import ConfigError, DataError
from training.evaluation import Entrant, Study, run_study
from training.evaluation.plots import _style, agreement_matrix
from training.evaluation.report import render_report

CURVES = {"fit/loss": [(0.0, 1.5), (1.0, 0.5)], "fit/nDCG@10": [(0.0, 0.1), (1.0, 0.3)]}


def study(*, names: tuple[str, str, str] = ("popular", "knn", "knn-all"), **options) -> Study:
    split = small_split()
    models = (popularity_model(split), neighbour_model(split), neighbour_model(split, signal="all"))
    entrants = [
        Entrant(name=name, ranker="r", bundle=f"bundles/{name}", model=model, curves=CURVES if name == names[1] else {})
        for name, model in zip(names, models, strict=True)
    ]
    return run_study(entrants, split, num_resamples=500, **options)


@pytest.fixture(scope="module")
def compared() -> Study:
    return study(metrics=("nDCG@10", "AP"))


@pytest.fixture(scope="module")
def page(compared: Study) -> Page:
    return Page(render_report(compared))


def test_the_page_needs_nothing_from_elsewhere(page: Page):
    """No script, style sheet, image or font from anywhere; links only within the page, and each leads somewhere."""
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "image", "base"}
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = 0
    for _, attributes in page.elements:
        assert "src" not in attributes
        for name, value in attributes.items():
            if name in {"href", "xlink:href"}:
                assert value is not None and value.startswith("#") and value[1:] in ids
                links += 1
            if value and "url(" in value:
                assert value.startswith("url(#") and value[5:-1] in ids
                links += 1
    assert links > 50
    assert "@import" not in page.text and "@font-face" not in page.text


def test_drawings_and_tables_can_be_read_aloud(page: Page):
    """Every drawing says in words what it shows; every table has a caption and every header its direction; the page has a title."""
    drawings = page.attributes("svg")
    assert (
        len(drawings) == 2 * (1 + 2 * 2 + 2) + 1
    )  # protocols × (curves, two drawings of two metrics, activity, lists), training
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 60
    headers = page.attributes("th")
    assert headers and all(attributes["scope"] in {"row", "col"} for attributes in headers)
    assert len(page.attributes("caption")) == len(page.attributes("table")) == 1 + 2 * 5
    assert len(page.attributes("title")) == 1
    assert page.attributes("html")[0]["lang"] == "en"


def test_the_page_says_what_the_study_says(page: Page, compared: Study):
    """Every sentence, every mean and every interval's ends stand there."""
    assert "popular · knn · knn-all on small" in page.text
    sentences = [comparison.sentence for protocol in compared.protocols for comparison in compared.comparisons[protocol]]
    assert len(sentences) == 2 * 3 * 2
    for sentence in sentences:
        assert sentence in page.text
    shown = 0
    for protocol in compared.protocols:
        for name, intervals in compared.intervals[protocol].items():
            for metric, interval in intervals.items():
                mean = compared.evaluations[protocol][name].means[metric]
                assert interval.low <= mean <= interval.high
                assert f"{mean:.4f}".removeprefix("0") in page.text and f"{interval.low:.4f}".removeprefix("0") in page.text
                shown += 1
    assert shown == 2 * 3 * 17
    assert "What the training of knn logged" in page.text and "What the training of popular" not in page.text


def test_the_page_shows_how_lists_differ_and_for_whom(page: Page, compared: Study):
    """Every agreement's means and every changed user with both lists; a list's relevant items are marked, and only those."""
    marked = items = 0
    for protocol in compared.protocols:
        for one in compared.agreements[protocol]:
            assert f"{one.ranker} and {one.against}" in page.text
            for measure in ("overlap@10", "rbo", "tau"):
                spread = one.measures[measure]
                assert spread is not None and f"{spread.mean:.3f}".removeprefix("0").replace("-", "−") in page.text
        for changes in compared.changes[protocol]:
            for change in (*changes.gains, *changes.losses):
                assert f"user {change.id}: {change.value:.4f} against".replace(" 0.", " .") in page.text
                for listed in (*change.top, *change.top_against):
                    items += 1
                    marked += listed.grade > 0
                    assert f"Item {listed.id[1:]}" in page.text
    lists = [attributes for attributes in page.attributes("li") if attributes.get("class") == "hit"]
    assert len(lists) == marked > 100
    assert items > 2 * marked
    assert len(page.attributes("details")) == 2 * 3 * 2
    for group in compared.activity["paper"]:
        assert f"{group.name} liked ({group.num_users} users)" in page.text
    for share in compared.popularity.liked:
        assert f"{100 * share:.1f} %" in page.text


def test_two_rankers_or_a_baseline_are_drawn_as_pairs_and_others_as_a_table():
    """A table of rankers by rankers needs every pair of three or more; its cells say what the study says."""
    against = study(metrics=("AP",), baseline="knn")
    drawn = Page(agreement_matrix(against.agreements["paper"], "x")).drawn
    assert "popular and knn" in drawn and "RBO" in drawn
    every = study(metrics=("AP",)).agreements["paper"]
    drawn = Page(agreement_matrix(every, "x")).drawn
    assert " and " not in drawn
    spread = every[0].measures["rbo"]
    assert spread is not None and f"{spread.mean:.2f}".removeprefix("0") in drawn


def test_the_same_study_gives_the_same_bytes_and_no_date_of_its_own(compared: Study):
    """Of three rankers, two metrics and two protocols they are far fewer than a million."""
    text = render_report(compared)
    assert text == render_report(study(metrics=("nDCG@10", "AP")))
    assert len(text.encode()) < 800_000
    assert "on 1 May" in render_report(compared, date="Made on 1 May")


def test_one_ranker_without_comparisons_has_a_page_too():
    split = small_split()
    alone = Entrant(name="a", ranker="r", bundle="b", model=popularity_model(split), curves={})
    text = render_report(run_study([alone], split, protocols=("standard",), num_resamples=200))
    assert "Comparisons" not in text and "Protocol paper" not in text and len(Page(text).attributes("svg")) == 1


def test_names_are_text_in_the_page_and_in_the_drawings():
    """Markup and formulas in a name are shown, not obeyed."""
    odd = '<script>x</script>"&$a_b$'
    page = Page(render_report(study(names=(odd, "b", "c"), metrics=("AP",))))
    assert not page.attributes("script")
    assert page.text.count(odd) > 10
    assert page.drawn.count(odd) > 4
    assert any(odd in (attributes["aria-label"] or "") for attributes in page.attributes("svg"))


def test_rankers_look_different_in_plots():
    looks = {tuple(_style(place).items()) for place in range(28)}
    assert len(looks) == 28


def test_what_cannot_be_studied_is_refused_before_anything_is_computed():
    with pytest.raises(ConfigError, match=r"no metric MAP .*MAP is the mean of AP"):
        study(metrics=("AP", "MAP"))
    with pytest.raises(ConfigError, match="the baseline 'x' is none of the rankers; expected one of popular, knn, knn-all"):
        study(metrics=("AP",), baseline="x")


def test_a_test_part_without_a_like_is_refused():
    split = small_split()
    none = replace(split, test=replace(split.test, positive_threshold=6.0))
    alone = Entrant(name="a", ranker="r", bundle="b", model=popularity_model(split), curves={})
    with pytest.raises(DataError, match="no event of the test part counts as liked"):
        run_study([alone], none)
