"""Filters compile to exactly the items that a loop over the table would keep."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from app.errors import FilterInvalid
from app.retrieval import Condition, ItemFilters, parse_condition

TABLE = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "title": pd.Series(["One", "Two", None, "One"], dtype="string"),
        "year": pd.Series([1990, None, 1995, 2000], dtype="Int64"),
        "length": [90.5, 100.0, np.nan, 120.0],
        "genres": [["Comedy"], ["Comedy", "Drama"], [], None],
        "tags": [np.array(["x"], dtype=object), np.array([], dtype=object), np.array(["x", "y"], dtype=object), None],
        "sizes": [[1, 2], [2.5], [], None],
        "classic": [True, False, True, False],
        "released": pd.to_datetime(["1990-01-01", "1995-06-01T12:00:00", None, "2000-01-01"], format="ISO8601"),
        "empty": pd.Series([None] * 4, dtype=object),
    }
)


def _ids(*conditions: Condition) -> str:
    allowed_I = ItemFilters(TABLE).allowed(conditions)
    return "".join(TABLE["id"][allowed_I])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id:b|c", "bc"),
        ("title:One", "ad"),
        ("title:one", ""),
        ("year:1995", "c"),
        ("year:1995|1990.0", "ac"),
        ("year>=1990", "acd"),
        ("year<=1995", "ac"),
        ("length>=100", "bd"),
        ("genres:Comedy", "ab"),
        ("genres:Drama|Nothing", "b"),
        ("genres:Nothing", ""),
        ("tags:y", "c"),
        ("sizes:2", "a"),
        ("sizes:1.0|2.5", "ab"),
        ("classic:true", "ac"),
        ("classic:False", "bd"),
        ("released>=1995-06-01", "bd"),
        ("released<=1995-06-01T12:00:00Z", "ab"),
        ("released:2000-01-01", "d"),
        ("empty:x", ""),
    ],
)
def test_conditions_from_a_url(text, expected):
    assert _ids(parse_condition(text)) == expected


def test_conditions_of_other_types_than_text():
    assert _ids(Condition("year", any_of=(1990, 2000))) == "ad"
    assert _ids(Condition("year", gte=1991, lte=1999)) == "c"
    assert _ids(Condition("classic", any_of=(True,))) == "ac"
    assert _ids(Condition("released", gte="1990-01-01", lte="1996-01-01")) == "ab"


def test_several_conditions_must_all_hold():
    assert _ids(parse_condition("genres:Comedy"), parse_condition("genres:Drama")) == "b"
    assert _ids(parse_condition("genres:Comedy"), parse_condition("year>=1991")) == ""


def test_no_conditions_allow_everything_without_a_mask():
    assert ItemFilters(TABLE).allowed(()) is None


def test_a_compiled_filter_is_kept_and_cannot_be_written_to():
    filters = ItemFilters(TABLE)
    first = filters.allowed([parse_condition("genres:Comedy")])
    assert filters.allowed([parse_condition("genres:Comedy")]) is first
    with pytest.raises(ValueError, match="read-only"):
        first[0] = False


def test_an_unknown_field_is_refused_with_those_there_are():
    with pytest.raises(
        FilterInvalid, match=r"'genre'.*title \(text\), year \(number\).*genres \(list of text\).*released \(date\)"
    ):
        _ids(parse_condition("genre:Comedy"))


@pytest.mark.parametrize(
    "condition",
    [
        parse_condition("year:soon"),
        parse_condition("year>=soon"),
        parse_condition("title>=A"),
        parse_condition("genres<=B"),
        parse_condition("sizes:big"),
        Condition("sizes", any_of=("1",)),
        parse_condition("classic:maybe"),
        parse_condition("classic>=true"),
        parse_condition("released>=yesterday-ish"),
        Condition("year", any_of=("1990",)),
        Condition("year", any_of=(True,)),
        Condition("title", any_of=(1,)),
        Condition("classic", any_of=(1,)),
        Condition("released", gte=1990),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(condition):
    with pytest.raises(FilterInvalid, match=f"field '{condition.field}' is a "):
        _ids(condition)


@pytest.mark.parametrize("text", ["", "genres", ":Comedy", "genres:", "year>1990", "year=1990", ">=3"])
def test_a_filter_of_another_form_is_refused(text):
    with pytest.raises(FilterInvalid, match="cannot be read; expected FIELD:VALUE"):
        parse_condition(text)
