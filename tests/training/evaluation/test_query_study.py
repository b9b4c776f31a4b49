"""Groups of queries are studied apart, in figures and in the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.pages import Page
from training.evaluation.agreement import list_measures
from training.evaluation.changes import Asked
from training.evaluation.query_study import Answers, QueryEntrant, QueryStudy, study_queries
from training.evaluation.report import render_query_report

UNSEEN = np.arange(12) % 3 == 0
TAU = np.linspace(-1.0, 1.0, 12)
METRICS = ("nDCG@10", "AP", "P@5")


def studied(**options: Any) -> QueryStudy:
    """Two rankers, twelve queries, every third of them unseen; 20 documents, the first of which is relevant to the first query, and so on."""
    rng = np.random.default_rng(3)
    values = {name: {metric: rng.random(12) for metric in METRICS} for name in ("one", "other")}
    entrants = [
        QueryEntrant(name=name, ranker="r", bundle=f"bundles/{name}", mode=None, per_query=own) for name, own in values.items()
    ]
    answers = Answers(
        rankings={name: np.array([rng.permutation(20)[:15] for _ in range(12)]) for name in values},
        tau=lambda *_: TAU,
        asked=Asked(
            ids=[f"q{place}" for place in range(12)],
            texts=[f"What of <{place}>?" for place in range(12)],
            grades=lambda place: {place: 2},
            item_id=lambda row: f"d{row}",
            item_title=lambda row: f"Document {row}",
        ),
    )
    groups = {"test": np.ones(12, dtype=bool), "test_seen": ~UNSEEN, "test_unseen": UNSEEN}
    return study_queries(
        entrants, answers, data="made-up", split="random", parameters={"seed": 1}, groups=groups, num_resamples=200, **options
    )


@pytest.fixture(scope="module")
def compared() -> QueryStudy:
    return studied(metrics=("nDCG@10", "AP"))


def test_agreements_and_changes_are_of_a_group_s_own_queries(compared: QueryStudy) -> None:
    """Means over the group alone, from the lists; no query of another group is among those that changed."""
    values = {entrant.name: entrant.per_query for entrant in compared.entrants}
    for group, is_in_Q in compared.groups.items():
        (alike,) = compared.agreements[group]
        spread = alike.measures["tau"]
        assert spread is not None
        assert (spread.mean, spread.num_users) == (pytest.approx(TAU[is_in_Q].mean()), np.count_nonzero(is_in_Q))
        for changes in compared.changes[group]:
            differences_Q = values["one"][changes.metric] - values["other"][changes.metric]
            mine = {f"q{place}": differences_Q[place] for place in np.flatnonzero(is_in_Q)}
            gains = sorted((value for value in mine.values() if value > 0), reverse=True)[:5]
            losses = sorted(value for value in mine.values() if value < 0)[:5]
            assert [change.difference for change in changes.gains] == pytest.approx(gains)
            assert [change.difference for change in changes.losses] == pytest.approx(losses)
            assert all(mine[change.id] == pytest.approx(change.difference) for change in (*changes.gains, *changes.losses))


def test_overlaps_are_of_the_rankings(compared: QueryStudy) -> None:
    """The unseen queries' lists, measured by themselves."""
    rng = np.random.default_rng(3)
    for _ in range(2 * len(METRICS)):
        rng.random(12)
    first, second = (np.array([rng.permutation(20)[:15] for _ in range(12)]) for _ in range(2))
    spread = compared.agreements["test_unseen"][0].measures["overlap@10"]
    assert spread is not None
    assert spread.mean == pytest.approx(list_measures(first, second)["overlap@10"][UNSEEN].mean())


def test_the_json_names_the_group_of_everything(compared: QueryStudy) -> None:
    told = compared.as_json()
    groups = ["test", "test_seen", "test_unseen"]
    assert [one["queries"] for one in told["agreement"]] == groups
    assert [(one["queries"], one["metric"]) for one in told["changes"]] == [(g, m) for g in groups for m in ("nDCG@10", "AP")]
    gain = told["changes"][0]["gains"][0]
    assert set(gain) == {"id", "text", "relevant", "difference", "values", "top", "top_against"}


def test_the_page_has_a_section_for_each_group(compared: QueryStudy) -> None:
    """Sentences, changed queries and figures of all groups; texts are shown, not obeyed; the same study gives the same bytes."""
    page = render_query_report(compared)
    assert page.count("<section") == 4
    for heading in ("All queries (12)", "Seen queries (8)", "Unseen queries (4)"):
        assert heading in page
    for group in compared.groups:
        assert all(comparison.sentence in page for comparison in compared.comparisons[group])
        change = compared.changes[group][0].gains[0]
        assert f"“What of &lt;{change.id[1:]}&gt;?”" in page
    assert "Document 3 (grade 2)" in page and "liked in training" not in page and "users" not in page.split("</style>")[1]
    assert page == render_query_report(studied(metrics=("nDCG@10", "AP")))
    parts = Page(page)
    ids = {attributes["id"] for _, attributes in parts.elements if "id" in attributes}
    links = [value for _, attributes in parts.elements for name, value in attributes.items() if name.endswith("href")]
    assert links and all(link and link.startswith("#") and link[1:] in ids for link in links)
    assert len(parts.attributes("caption")) == len(parts.attributes("table")) == 1 + 3 * 3
    assert all(len(attributes["aria-label"] or "") > 60 for attributes in parts.attributes("svg"))
    assert not parts.attributes("script") and all("src" not in attributes for _, attributes in parts.elements)


def test_rankers_that_are_not_compared_have_a_page_of_figures() -> None:
    page = render_query_report(studied())
    assert "Comparisons" not in page and "changed most" not in page
    assert page.count("<svg") == 3
