"""Target policies from logs and from tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.bundle import Vocabulary
from tests.training.evaluation.counterfactual.bandits import draw
from training.data import LoggedActions, ShownActions
from training.data.tables import open_table
from training.errors import DataError
from training.evaluation.counterfactual import PolicyTable, shown_policy
from training.evaluation.counterfactual import targets as targets_module


def logged(positions: list[int], actions: str = "abc") -> LoggedActions:
    num_rows = len(positions)
    return LoggedActions(
        name="log",
        actions=Vocabulary("item", actions),
        action_rows_N=np.arange(num_rows) % len(actions),
        positions_N=np.array(positions),
        rewards_N=np.zeros(num_rows),
        propensities_N=np.full(num_rows, 0.5),
        clusters_N=np.arange(num_rows),
        keys={"country": np.array(["de", "fr"] * num_rows)[:num_rows]},
    )


def shown(rows: list[tuple[str, int]], rewards: list[float] | None = None) -> ShownActions:
    ids = sorted({action for action, _ in rows})
    return ShownActions(
        name="other",
        actions=Vocabulary("item", ids),
        action_rows_N=np.array([ids.index(action) for action, _ in rows]),
        positions_N=np.array([position for _, position in rows]),
        clusters_N=np.arange(len(rows)),
        rewards_N=None if rewards is None else np.array(rewards),
    )


def test_a_log_is_imitated_by_its_frequencies_at_each_position():
    """Counted by hand; an action that the evaluated log does not know gets a place; a position that it lacks does not matter."""
    rows = [("b", 1), ("b", 1), ("a", 1), ("z", 2), ("a", 2), ("c", 7)]
    target, log = shown_policy(shown(rows), logged([2, 1, 2]))
    assert log.actions.ids == ("a", "b", "c", "z")
    assert target.probs_GA == pytest.approx(np.array([[1 / 3, 2 / 3, 0, 0], [1 / 2, 0, 0, 1 / 2]]))
    assert target.groups_N.tolist() == [1, 0, 1]
    assert target.of(log.action_rows_N).tolist() == pytest.approx([1 / 2, 2 / 3, 0])


def test_rewards_of_the_other_log_are_not_looked_at():
    rows = [("b", 1), ("a", 1)]
    one, other = (shown_policy(shown(rows, rewards), logged([1]))[0] for rewards in ([0, 1], [7, -3]))
    assert one.probs_GA.tolist() == other.probs_GA.tolist()


def test_a_log_without_one_of_the_positions_cannot_be_imitated():
    with pytest.raises(DataError, match="other shows nothing at position 3, where log has rows; it has the positions 1, 2"):
        shown_policy(shown([("a", 1), ("a", 2)]), logged([1, 3]))


def table(folder: Path, text: str) -> PolicyTable:
    (folder / "policy.csv").write_text(text)
    return PolicyTable.read(open_table(folder / "policy.csv"))


def test_a_table_may_go_by_position_and_by_columns_of_the_log(tmp_path: Path):
    text = "country,position,action,probability\nde,1,a,0.25\nde,1,q,0.75\nfr,2,b,1\nde,3,c,1\nfr,9,c,1\n"
    read = table(tmp_path, text)
    assert read.keys == ("country",)
    target, log = read.policy(logged([1, 2, 3]))
    assert log.actions.ids == ("a", "b", "c", "q")
    assert target.probs_GA[target.groups_N].tolist() == [[0.25, 0, 0, 0.75], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_a_table_without_either_is_the_same_everywhere_and_rounded_numbers_are_scaled(tmp_path: Path):
    target, _ = table(tmp_path, "item,prob\na,0.3333\nb,0.3333\nc,0.3333\n").policy(logged([1, 2]))
    assert target.probs_GA == pytest.approx(np.full((1, 3), 1 / 3))
    assert target.groups_N.tolist() == [0, 0]


BAD = {
    "no column for the probability": "action,chance\na,1\n",
    "no column for the item": "thing,probability\na,1\n",
    r"no usable probability \(column 'probability'\) in 1 line \(line 3: '-0.5'\)": "action,probability\na,0.5\nb,-0.5\n",
    "do not add up to 1 .*line 2 and its like add up to 0.9": "action,probability\na,0.5\nb,0.4\n",
    r"an action that stands there already .* in 1 line \(line 3: 'a'\)": "action,probability\na,0.5\na,0.5\n",
    "says nothing of position 2, and 1 of 2 rows of log are": "position,action,probability\n1,a,1\n",
    "says nothing of country fr": "country,action,probability\nde,a,1\n",
}


@pytest.mark.parametrize("message", BAD)
def test_tables_that_cannot_be_used_are_told(message: str, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        table(tmp_path, BAD[message]).policy(logged([1, 2]))


def test_more_probabilities_than_can_be_held_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(targets_module, "_LARGEST", 5)
    with pytest.raises(DataError, match="2 kinds of rows with 3 actions each are more than can be held"):
        shown_policy(shown([("a", 1), ("b", 2)]), logged([1, 2]))
    shown_policy(shown([("a", 1)]), draw(np.random.default_rng(0), 5))
