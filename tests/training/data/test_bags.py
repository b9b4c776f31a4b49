"""Documents as bags of terms."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from app.bundle import Vocabulary
from training.data import Collection
from training.data.bags import Bags
from training.errors import DataError


def collection(*texts: str) -> Collection:
    documents = Vocabulary("item", [f"d{row}" for row in range(len(texts))])
    table = pd.DataFrame({"title": [None] * len(texts), "text": list(texts)})
    return Collection(name="small", documents=documents, item_table=table, queries=Vocabulary("query", []), language="none")


def test_terms_are_counted_and_those_of_one_document_alone_left_out() -> None:
    """By hand; `gamma` stands in one document only."""
    bags = Bags.of(collection("beta alpha beta", "alpha gamma", "", "beta"))
    assert bags.terms == ("alpha", "beta")
    assert bags.counts_IT.toarray().tolist() == [[1, 2], [1, 0], [0, 0], [0, 1]]
    assert Bags.of(collection("gamma"), min_documents=1).terms == ("gamma",)


def test_tf_idf_is_as_its_formula() -> None:
    """(1 + ln 2)(1 + ln(5 / 3)) for a term that stands twice in the document, and in two of four documents."""
    bags = Bags.of(collection("beta alpha beta", "alpha gamma", "", "beta"))
    idf = 1 + math.log(5 / 3)
    expected = [[idf, (1 + math.log(2)) * idf], [idf, 0], [0, 0], [0, idf]]
    np.testing.assert_allclose(bags.tf_idf().toarray(), expected, rtol=1e-15)
    assert bags.counts_IT.toarray()[0].tolist() == [1, 2]  # the counts are as they were


def test_documents_that_share_no_term_are_refused() -> None:
    with pytest.raises(DataError, match="no term stands in 2 of its 2 documents"):
        Bags.of(collection("alpha", "beta"))
