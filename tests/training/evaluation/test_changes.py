"""Who changed most, against differences sorted by hand and lists read off the rankings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.training.evaluation.studies import neighbour_model, popularity_model, small_split
from training.evaluation import Entrant, Study, run_study
from training.evaluation.changes import NUM_EACH, Asked, largest_changes, titles


@pytest.fixture(scope="module")
def compared() -> Study:
    """Three rankers, all pairs, two metrics, both protocols."""
    split = small_split()
    models = {"popular": popularity_model(split), "knn": neighbour_model(split), "all": neighbour_model(split, signal="all")}
    entrants = [Entrant(name=name, ranker="r", bundle="b", model=model, curves={}) for name, model in models.items()]
    return run_study(entrants, split, metrics=("nDCG@10", "AP"), num_resamples=200)


ASKED = Asked(
    ids=["a", "b", "c", "d"],
    texts=["who", "what", "when", "why"],
    grades=lambda place: {place: 2, 9: 1},
    item_id=lambda row: f"i{row}",
    item_title=lambda row: None if row == 1 else f"Item {row}",
)


def test_the_largest_gains_and_losses_come_first_and_the_unchanged_not_at_all() -> None:
    """Worked by hand: differences .3, −.5, 0 (but for the last bit) and .4."""
    values = {"x": {"AP": np.array([0.5, 0.1, 0.1 + 0.2, 0.9])}, "y": {"AP": np.array([0.2, 0.6, 0.3, 0.5])}}
    tops = {"x": np.array([[0, 1]] * 4), "y": np.array([[3, -1]] * 4)}
    (found,) = largest_changes(values, tops, ASKED, metrics=("AP",), pairs=[("x", "y")])
    assert [(c.id, round(c.difference, 6)) for c in found.gains] == [("d", 0.4), ("a", 0.3)]
    assert [(c.id, round(c.difference, 6)) for c in found.losses] == [("b", -0.5)]
    first = found.gains[1].as_json()
    assert first == {
        "id": "a", "text": "who", "relevant": 2, "difference": pytest.approx(0.3), "values": [0.5, 0.2],
        "top": [{"id": "i0", "title": "Item 0", "grade": 2}, {"id": "i1", "title": None, "grade": 0}],
        "top_against": [{"id": "i3", "title": "Item 3", "grade": 0}],
    }  # fmt: skip
    assert [listed.name for listed in found.gains[1].top] == ["Item 0", "i1"]
    (some,) = largest_changes(values, tops, ASKED, metrics=("AP",), pairs=[("x", "y")], of=np.array([True, False, True, False]))
    assert ([c.id for c in some.gains], some.losses) == (["a"], ())


def test_users_who_changed_most_are_those_whose_figures_differ_most(compared: Study) -> None:
    """Against each user's figures; liked items of training and test are counted, and the lists are the rankings' first ten."""
    split = compared.split
    liked, relevant = split.train.positives().histories(), split.test.positives().histories()
    seen = 0
    for protocol in compared.protocols:
        assert [(c.metric, c.ranker, c.against) for c in compared.changes[protocol]] == [
            (c.metric, c.ranker, c.against) for c in compared.comparisons[protocol]
        ]
        for changes in compared.changes[protocol]:
            first, second = (compared.evaluations[protocol][name] for name in (changes.ranker, changes.against))
            differences_U = np.round(first.per_user[changes.metric] - second.per_user[changes.metric], 12)
            for listed, sign in ((changes.gains, 1), (changes.losses, -1)):
                wanted = np.sort(sign * differences_U)[::-1][:NUM_EACH]
                assert [sign * change.difference for change in listed] == pytest.approx(wanted[wanted > 0])
                for change in listed:
                    user = split.train.users.row(change.id)
                    place = int(np.flatnonzero(first.user_rows == user)[0])
                    assert (change.num_positives, change.num_relevant) == (liked.lengths[user], relevant.lengths[user])
                    assert [one.id for one in change.top_against] == [
                        split.train.items.id(row) for row in second.top_UK[place, :10] if row >= 0
                    ]
                    assert all(one.title == f"Item {one.id[1:]}" for one in change.top)
                    assert sum(one.grade for one in change.top) == round(first.per_user["P@10"][place] * 10)
                    seen += 1
    assert seen > 60


def test_titles_fall_back_on_the_beginning_of_a_text() -> None:
    table = pd.DataFrame({"text": ["Some words", "word " * 50, ""], "title": ["A title", None, None]})
    title = titles(table)
    found = [title(row) for row in range(3)]
    assert (found[0], found[2]) == ("A title", None)
    assert found[1] is not None and found[1].startswith("word word") and found[1].endswith(" …") and len(found[1]) <= 90
    assert titles(pd.DataFrame(index=range(2)))(1) is None
