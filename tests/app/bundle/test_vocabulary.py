"""External ids and rows."""

from __future__ import annotations

import numpy as np
import pytest

from app.bundle import ContentInvalid, UnknownId, Vocabulary


def test_an_ids_row_is_its_position():
    vocabulary = Vocabulary("item", ["b", "a"])
    assert [vocabulary.row("b"), vocabulary.row("a")] == [0, 1]
    assert vocabulary.id(1) == "a"
    np.testing.assert_array_equal(vocabulary.rows(["a", "b", "a"]), [1, 0, 1])


def test_an_id_that_stands_twice_is_named():
    with pytest.raises(ContentInvalid, match="'x' stands twice"):
        Vocabulary("item", ["a", "x", "b", "x"])


def test_all_unknown_ids_are_listed():
    with pytest.raises(UnknownId, match="unknown user: 'p', 'q'") as caught:
        Vocabulary("user", ["a"]).rows(["p", "a", "q"])
    assert caught.value.ids == ["p", "q"]
    assert Vocabulary("user", ["a"]).find("p") is None
