"""Histories as compressed rows, against the same thing done with Python lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.bundle import Histories

_histories = st.lists(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1.0, 3.0, 5.0, np.nan])), max_size=6), max_size=6)


def _build(lists):
    return Histories.of([[i for i, _ in h] for h in lists], [[r for _, r in h] for h in lists])


def _lists(histories):
    return [
        list(zip(histories.items[a:b].tolist(), histories.ratings[a:b].tolist(), strict=True))
        for a, b in zip(histories.offsets[:-1], histories.offsets[1:], strict=True)
    ]


@given(_histories, st.data())
def test_take_picks_whole_histories_in_the_order_asked_for(lists, data):
    rows = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8)) if lists else []
    np.testing.assert_equal(_lists(_build(lists).take(np.array(rows, dtype=int))), [lists[row] for row in rows])


@given(_histories)
def test_positives_drop_low_ratings_and_keep_users_and_unrated_events(lists):
    expected = [[(i, r) for i, r in h if not r < 4] for h in lists]
    np.testing.assert_equal(_lists(_build(lists).positives(4.0)), expected)


@given(_histories)
def test_padding_fills_up_to_the_longest_history(lists):
    items_BL, ratings_BL = _build(lists).padded(padding=10)
    assert items_BL.shape == ratings_BL.shape == (len(lists), max([1, *map(len, lists)]))
    for row, history in enumerate(lists):
        assert items_BL[row].tolist() == [i for i, _ in history] + [10] * (items_BL.shape[1] - len(history))
        np.testing.assert_equal(ratings_BL[row, : len(history)], np.array([r for _, r in history], dtype=np.float32))


def test_from_pairs_groups_by_user_and_keeps_the_order_within():
    histories = Histories.from_pairs(np.array([1, 0, 1]), np.array([7, 8, 9]), np.array([1.0, 2.0, 3.0]), num_users=3)
    assert _lists(histories) == [[(8, 2.0)], [(7, 1.0), (9, 3.0)], []]


def test_mask_marks_what_each_user_has_had():
    expected = [[True, False, True], [False, False, False]]
    np.testing.assert_array_equal(Histories.of([[0, 2], []]).mask(3), expected)
