"""What people see of an item."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from app.retrieval import ItemCards


def test_every_kind_of_metadata_becomes_json_and_missing_values_null():
    table = pd.DataFrame(
        {
            "id": pd.Series(["1", 'q"'], dtype="string"),
            "title": pd.Series(["Amélie", None], dtype="string"),
            "year": pd.Series([2001, None], dtype="Int64"),
            "price": [1.5, np.nan],
            "genres": [np.array(["Comedy", None], dtype=object), None],
            "seen": [True, False],
            "on": pd.to_datetime(["2001-04-25", None]),
        }
    )
    cards = ItemCards(table)
    assert json.loads(b"{%b}" % cards.fragment(0)) == {
        "id": "1",
        "title": "Amélie",
        "metadata": {"year": 2001, "price": 1.5, "genres": ["Comedy", None], "seen": True, "on": "2001-04-25T00:00:00"},
    }
    assert json.loads(b"{%b}" % cards.fragment(1)) == {
        "id": 'q"',
        "title": None,
        "metadata": {"year": None, "price": None, "genres": None, "seen": False, "on": None},
    }


def test_a_table_of_ids_alone_has_no_titles_and_no_metadata():
    cards = ItemCards(pd.DataFrame({"id": ["a", "b"]}))
    assert json.loads(cards.ranked([1, 0], [0.5, -1e-07])) == [
        {"rank": 1, "score": 0.5, "id": "b", "title": None, "metadata": {}},
        {"rank": 2, "score": -1e-07, "id": "a", "title": None, "metadata": {}},
    ]
