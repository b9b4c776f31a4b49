"""Groups of users and of items against groups cut by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.evaluation.breakdown import activity_groups, popularity_groups, popularity_shares

DRAWN: dict[str, Any] = {"seed": 0, "num_resamples": 500, "level": 0.95, "method": "percentile"}


def test_users_are_cut_into_quarters_by_what_they_liked() -> None:
    """Worked by hand: eight users, two in each quarter; means and differences are of those alone."""
    values = {"a": {"AP": np.arange(8) / 10}, "b": {"AP": np.array([0.0, 0.1, 0.0, 0.1, 0.5, 0.5, 0.5, 0.5])}}
    liked_U = np.array([1, 2, 3, 4, 50, 60, 7, 8])
    groups = activity_groups(values, liked_U, metrics=("AP",), pairs=[("a", "b")], **DRAWN)
    assert [(group.fewest, group.most, group.num_users) for group in groups] == [(1, 2, 2), (3, 4, 2), (7, 8, 2), (50, 60, 2)]
    assert [group.means["a"]["AP"] for group in groups] == pytest.approx([0.05, 0.25, 0.65, 0.45])
    assert [group.differences[0].difference for group in groups] == pytest.approx([0.0, 0.2, 0.15, -0.05])
    interval = groups[2].differences[0].interval
    assert (interval.low, interval.high) == pytest.approx((0.1, 0.2))
    assert groups[3].as_json()["differences"] == [
        {
            "metric": "AP",
            "ranker": "a",
            "against": "b",
            "difference": pytest.approx(-0.05),
            "interval": [-0.1, 0.0],
            "problem": None,
        }
    ]
    assert (groups[0].name, groups[3].as_json()["positives"]) == ("1–2", [50, 60])


def test_users_who_liked_equally_many_are_never_torn_apart() -> None:
    values = {name: {"AP": np.zeros(9)} for name in ("a", "b")}
    groups = activity_groups(values, np.array([3] * 8 + [9]), metrics=("AP",), pairs=[("a", "b")], **DRAWN)
    assert [(group.name, group.num_users) for group in groups] == [("3", 8), ("9", 1)]


def test_a_group_of_one_user_has_no_interval_and_says_why() -> None:
    """Resampled, a single difference is always itself: the interval had no width, as if it were certain."""
    values = {"a": {"AP": np.arange(9) / 10}, "b": {"AP": np.zeros(9)}}
    groups = activity_groups(values, np.array([3] * 8 + [9]), metrics=("AP",), pairs=[("a", "b")], **DRAWN)
    many, one = (group.as_json()["differences"][0] for group in groups)
    assert (many["problem"], many["interval"][0] < many["difference"] < many["interval"][1]) == (None, True)
    assert (one["difference"], one["interval"]) == (0.8, None)
    assert "one user" in one["problem"]


def test_items_are_cut_by_the_likes_of_all_more_popular_ones() -> None:
    """Worked by hand: of 12 likes the first item has 4 and the second 4; equal ones keep their order, unliked ones are last."""
    assert popularity_groups(np.array([1, 4, 2, 4, 0, 1], dtype=np.float32)).tolist() == [2, 0, 2, 1, 2, 2]
    assert popularity_groups(np.zeros(3, dtype=np.float32)).tolist() == [0, 0, 0]


def test_lists_are_counted_by_the_popularity_of_their_first_ten() -> None:
    """Worked by hand; empty places and what stands deeper do not count."""
    top_UK = np.array([[1, 3, *[-1] * 8, 5], [1, 0, *[-1] * 8, 5]])
    found = popularity_shares(np.array([1, 4, 2, 4, 0, 1]), np.array([1, 1, 5]), {"paper": {"a": top_UK}})
    assert (found.num_items, found.liked) == ((1, 1, 4), pytest.approx((2 / 3, 0, 1 / 3)))
    assert found.as_json()["listed"] == {"paper": {"a": [0.5, 0.25, 0.25]}}
