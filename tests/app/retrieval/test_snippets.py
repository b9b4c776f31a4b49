"""Snippets: the right stretch, whole words, nothing but marks as HTML."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bundle import Analyzer
from app.retrieval.snippets import snippet

ENGLISH = Analyzer("english")
FILLER = "lorem ipsum dolor sit amet consectetur "


def told(text: str, query: str, weights: dict[str, float] | None = None, width: int = 240) -> str:
    of_terms = {term: (weights or {}).get(term, 1.0) for term in ENGLISH.terms(query)}
    return snippet(text, of_terms, ENGLISH, width=width)


def test_the_words_of_the_query_are_marked_by_their_terms():
    assert told("Cells, tracked: the CELL tracks.", "cell tracking") == (
        "<mark>Cells</mark>, <mark>tracked</mark>: the <mark>CELL</mark> <mark>tracks</mark>."
    )


def test_a_text_is_escaped_and_the_query_says_nothing():
    assert told("<b>ice</b> & <script>", "<script> ice") == (
        "&lt;b&gt;<mark>ice</mark>&lt;/b&gt; &amp; &lt;<mark>script</mark>&gt;"
    )
    assert told("plain", "<img onerror=alert(1)>") == "plain"


def test_a_short_text_is_whole_and_a_long_one_is_cut_between_words():
    assert told("ice", "water") == "ice"
    assert told("", "water") == ""
    cut = told(FILLER * 50, "ice")
    assert cut.endswith(" …") and not cut.startswith("…")
    assert set(cut.removesuffix(" …").split()) <= set(FILLER.split()) and 200 < len(cut) < 243


def test_blanks_of_every_kind_are_one_blank():
    assert told("ice \n\n\t cave\u00a0 wind", "cave") == "ice <mark>cave</mark> wind"


@pytest.mark.parametrize(("rare", "marked"), [("glacier", "glacier"), ("cave", "cave")])
def test_the_stretch_holds_what_weighs_most(rare, marked):
    """Two of the query's words, far apart; the rarer one is shown though it comes later or earlier."""
    text = FILLER * 20 + "glacier " + FILLER * 20 + "cave " + FILLER * 20
    shown = told(text, "glacier cave", {rare: 5.0})
    assert shown.startswith("… ") and shown.endswith(" …")
    assert re.findall("<mark>(.*?)</mark>", shown) == [marked]


def test_all_of_the_best_matches_are_shown():
    """They span nearly the whole width, so there is no room before them."""
    text = FILLER * 10 + "glacier " + FILLER * 6 + "cave " + FILLER * 10
    span = len("glacier " + FILLER * 6 + "cave")
    for width in (span, span + 1, span + 40, span + 300):
        assert re.findall("<mark>(.*?)</mark>", told(text, "glacier cave", width=width)) == ["glacier", "cave"]


def test_distinct_words_count_and_not_how_often_they_come():
    text = "ice ice ice ice " + FILLER * 20 + "ice water " + FILLER * 20
    assert "<mark>ice</mark> <mark>water</mark>" in told(text, "ice water")


def test_near_the_end_a_snippet_is_as_long_as_elsewhere():
    shown = told(FILLER * 20 + "ice", "ice")
    assert shown.startswith("… ") and shown.endswith(" <mark>ice</mark>") and len(shown) > 200


def test_a_text_without_blanks_is_cut_somewhere():
    text = "x" * 5000
    assert told(text, "ice") == "x" * 240 + " …"
    assert "<mark>" not in told(text, text)
    assert told("東京都庁" * 500, "京都").count("<mark>") > 10


def test_what_overlaps_is_one_mark():
    """Han is matched by pairs: 東京 and 京都 share a character."""
    assert told("これは東京都です", "東京都") == "これは<mark>東京都</mark>です"


def test_right_to_left_text_and_emoji_are_text():
    assert told("שלום 🎉 עולם", "עולם") == "שלום 🎉 <mark>עולם</mark>"


def test_the_far_end_of_a_huge_text_is_not_looked_at():
    assert "<mark>" not in told(FILLER * 3000 + "glacier", "glacier")


@given(
    text=st.text(alphabet="abc <>&東京都é\u0301🎉\n", max_size=400),
    query=st.text(alphabet="abc 東京都", max_size=12),
    width=st.integers(5, 80),
)
def test_a_snippet_is_a_part_of_the_text(text, query, width):
    """Without its marks it stands in the text as it is, no longer than wanted; marks neither nest nor overlap, and mark what was asked."""
    shown = told(text, query, width=width)
    without = unescape(re.sub("</?mark>", "", shown))
    core = without.removeprefix("… ").removesuffix(" …")
    whole = " ".join(text.split())
    assert core in whole and len(core) <= width
    assert re.fullmatch(r"(?:[^<]|<mark>[^<]+</mark>)*", shown)
    wanted = set(ENGLISH.terms(query))
    for marked in re.findall("<mark>(.*?)</mark>", shown):
        assert set(ENGLISH.terms(unescape(marked))) & wanted
    if any(term in wanted and end - start <= width for start, end, term in ENGLISH.places(whole)):
        assert "<mark>" in shown
