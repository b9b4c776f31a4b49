"""Documents as bags of terms, and how much each term says of its document.

Shapes: I documents, T terms.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from app.bundle.analysis import Analyzer
from training.data.collection import Collection
from training.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """How often each term stands in each document.

    Attributes:
        terms: all T of them, sorted.
        counts_IT: float64, compressed rows.
    """

    terms: tuple[str, ...]
    counts_IT: sp.csr_matrix

    @classmethod
    def of(cls, collection: Collection, *, min_documents: int = 2) -> Self:
        """Every document's terms.

        Args:
            collection: its judgements play no part.
            min_documents: terms in fewer documents are left out; what stands in one alone relates it to no other.

        Raises:
            DataError: no term is left.
        """
        analyzer = Analyzer(collection.language)
        counted = [Counter(analyzer.terms(text)) for text in collection.texts()]
        frequencies = Counter(term for counts in counted for term in counts)
        terms = tuple(sorted(term for term, frequency in frequencies.items() if frequency >= min_documents))
        if not terms:
            raise DataError(
                f"{collection.name}: no term stands in {min_documents} of its {collection.num_documents} documents, so none is "
                "related to another; expected more documents, or another --language"
            )
        row_of = {term: row for row, term in enumerate(terms)}
        cells = [
            (document, row_of[term], count)
            for document, counts in enumerate(counted)
            for term, count in counts.items()
            if term in row_of
        ]
        documents, rows, counts = np.array(cells, dtype=np.int64).T
        shape = (collection.num_documents, len(terms))
        return cls(terms, sp.csr_matrix((counts.astype(np.float64), (documents, rows)), shape=shape))

    def tf_idf(self) -> sp.csr_matrix:
        """(1 + ln tf) · (1 + ln((1 + I) / (1 + df))) of each term in each document, float64 [I, T]."""
        num_documents = self.counts_IT.shape[0]
        weights_IT = self.counts_IT.copy()
        weights_IT.data = 1.0 + np.log(weights_IT.data)
        frequencies_T = np.bincount(self.counts_IT.indices, minlength=len(self.terms))
        weights_IT.data *= (1.0 + np.log((1.0 + num_documents) / (1.0 + frequencies_T)))[weights_IT.indices]
        return weights_IT
