"""From text to terms: in every language, whatever people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bundle import LANGUAGES, Analyzer

ENGLISH = Analyzer("english")


@pytest.mark.parametrize(
    ("language", "text", "terms"),
    [
        ("english", "The cells that are tracked", ["cell", "track"]),
        ("none", "The cells tracked", ["the", "cells", "tracked"]),
        ("german", "die Häuser", ["haus"]),
        ("french", "les chevaux", ["cheval"]),
        ("spanish", "las bibliotecas", ["bibliotec"]),
        ("russian", "и книги", ["книг"]),
    ],
)
def test_stop_words_go_and_stems_stay(language, text, terms):
    """Stems as Snowball gives them."""
    assert Analyzer(language).terms(text) == terms


def test_every_language_can_be_used():
    assert len(LANGUAGES) == 13
    for language in LANGUAGES:
        assert Analyzer(language).terms("irgan 2017")[-1] == "2017"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        (" \n\t", []),
        ("a I x", []),  # letters are no words
        ("🎉🎉 🚀", []),
        ("rocket🚀launch", ["rocket", "launch"]),
        ("x_z C3PO 3d", ["x_z", "c3po", "3d"]),
        ("שלום עולם", ["שלום", "עולם"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("東京都", ["東京", "京都"]),
        ("東", ["東"]),
        ("カメラ", ["カメ", "メラ"]),
        ("서울", ["서울"]),
        ("Tokyo東京2020", ["tokyo", "東京", "2020"]),
        ("ﬁne ＡＢＣ", ["fine", "abc"]),  # compatibility forms
        ("हिन्दी", ["हिन्दी"]),  # vowel signs are marks of their own
        ("cafe\u0301", ["café"]),  # an accent of its own is the same letter
    ],
)
def test_what_counts_as_a_term(text, terms):
    assert ENGLISH.terms(text) == terms


def test_a_word_that_never_ends_is_cut_off():
    assert [len(term) for term in Analyzer("none").terms("z" * 100_000)] == [64]


@given(st.text(alphabet="ab 東京カ🎉é\u0301शि_.<", max_size=60))
def test_places_say_where_the_terms_stand(text):
    """Each place's part of the text has the place's term alone; `places_of` is the same by another way."""
    places = list(ENGLISH.places(text))
    assert [term for _, _, term in places] == ENGLISH.terms(text)
    for start, end, term in places:
        assert ENGLISH.terms(text[start:end]) == [term]
    some = {term for _, _, term in places[::2]}
    assert ENGLISH.places_of(some, text) == [place for place in places if place[2] in some]


def test_a_word_within_another_is_not_found():
    assert ENGLISH.places_of({"art"}, "smart art arty; art") == [(6, 9, "art"), (16, 19, "art")]
