"""A ranker's bundle as a target policy, against each user's ranking put together one at a time."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle import Bundle, Vocabulary, read_recommender, write_bundle
from tests.conftest import make_draft
from training.data import LoggedActions
from training.errors import DataError
from training.evaluation.counterfactual import ranked_policy, rankers, study_logged


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_recommender(write_bundle(make_draft(), tmp_path_factory.mktemp("bundles")))


def log(users: list[str], positions: list[int], actions: list[str]) -> LoggedActions:
    """Every action is shown by chance."""
    num_rows = len(users)
    rng = np.random.default_rng(0)
    return LoggedActions(
        name="log",
        actions=Vocabulary("item", actions),
        action_rows_N=rng.integers(0, len(actions), num_rows),
        positions_N=np.array(positions),
        rewards_N=(rng.random(num_rows) < 0.3).astype(float),
        propensities_N=np.full(num_rows, 1 / len(actions)),
        clusters_N=np.unique(users, return_inverse=True)[1],
        cluster="user_id",
        keys={"user_id": np.array(users)},
    )


ACTIONS = ["i7", "i3", "zz", "i12", "i29", "i0", "i18"]
"""One of them the bundle does not know."""


def expected(bundle: Bundle, user: str) -> list[str]:
    """The known actions from best to worst: what the user had comes last."""
    known = [action for action in ACTIONS if action in bundle.items]
    rows = [int(bundle.items.row(action)) for action in known]
    if user not in bundle.users:
        return [known[at] for at in np.argsort([-bundle.popularity_I[row] for row in rows], kind="stable")]
    number = int(bundle.users.row(user))
    history = bundle.seen.take(np.array([number]))
    scores = bundle.model.scores(history, np.array([number]))[0]
    had = {int(row) for row in history.items}
    return [
        action for _, _, action in sorted((row in had, -scores[row], action) for row, action in zip(rows, known, strict=True))
    ]


def test_each_user_gets_the_rankers_items_in_its_order(bundle: Bundle, monkeypatch: pytest.MonkeyPatch):
    users = [user for user in ("u0", "u1", "u4", "stranger") for _ in range(6)]
    rows = log(users, [1, 2, 3, 4, 5, 6] * 4, ACTIONS)
    target = ranked_policy(bundle, rows, "user_id")
    shown_NA = target.probs_GA[target.groups_N]
    assert shown_NA.sum(axis=1).tolist() == [1.0] * 24
    found = [ACTIONS[action] for action in shown_NA.argmax(axis=1)]
    assert found == [action for user in ("u0", "u1", "u4", "stranger") for action in expected(bundle, user)]
    assert "zz" not in found
    monkeypatch.setattr(rankers, "_CELLS", 1)
    assert ranked_policy(bundle, rows, "user_id").probs_GA.tolist() == target.probs_GA.tolist(), "one user at a time"


def test_something_that_a_user_had_comes_last(bundle: Bundle):
    had = bundle.items.id(bundle.seen.take(np.array([2])).items[0])  # type: ignore[arg-type]
    other = next(
        item for item in bundle.items.ids if item not in {bundle.items.id(row) for row in bundle.seen.take(np.array([2])).items}
    )
    rows = log(["u2", "u2"], [1, 2], [had, other])
    target = ranked_policy(bundle, rows, "user_id")
    assert target.probs_GA[target.groups_N].tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_a_ranker_can_be_studied_like_any_policy(bundle: Bundle):
    """The log of chance agrees with the ranker once in seven rows, which count seven times."""
    users = [f"u{number % 5}" for number in range(2_000)]
    rows = log(users, [1] * 2_000, ACTIONS)
    study = study_logged(rows, ranked_policy(bundle, rows, "user_id"))
    assert study.target == "sample"
    assert study.weights.largest == pytest.approx(7.0)
    assert study.weights.mean == pytest.approx(1.0, abs=0.15)
    assert study.weights.effective_rows == pytest.approx(2_000 / 7, rel=0.15)
    assert any("5 clusters say little" in warning for warning in study.warnings)


def test_other_catalogues_and_places_without_an_item_are_told(bundle: Bundle):
    with pytest.raises(DataError, match=r"none of its 30 items is one of the 2 actions of log \(there 'i0', here 'a'\)"):
        ranked_policy(bundle, log(["u0"], [1], ["a", "b"]), "user_id")
    for place in (0, 7):
        with pytest.raises(DataError, match=f"log has rows at place {place}; expected places from 1 to 6"):
            ranked_policy(bundle, log(["u0"], [place], ACTIONS), "user_id")
