"""Search: documents for a text, by words, by vectors, or by both; page by page, with filters, facets and snippets.

Shapes: I items of the bundle, J additions, D dimensions, K answers.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.bundle import Bundle, Fusion, LexicalIndex, Mode, Moments, SearchBundle, fused_scores, moments_of
from app.errors import QueryInvalid
from app.retrieval.additions import Additions, inner_products, lexical_scores, read_documents, vectors_of
from app.retrieval.catalogue import Catalogue, Document, most_frequent
from app.retrieval.dense import DenseSearch, EncodedText, MatchedText
from app.retrieval.filters import Condition, Scalar, no_such_field
from app.retrieval.fusing import Ranked, Signals, Taste, by_ranks, by_scores, by_taste, by_vectors, by_words
from app.retrieval.index import FaissIndex
from app.retrieval.questions import Found, Place, SearchQuestion
from app.retrieval.recommend import Recommender
from app.retrieval.similar import SimilarItems
from app.retrieval.snippets import snippet
from app.telemetry import span

FACET_DEPTH = 1000
"""Answers that facets count."""


class SearchEngine:
    """Answers for one bundle and what came after it; nothing in it changes, so any thread may ask.

    Args:
        catalogue: the bundle's items.
        lexical: over them.
        dense: over them too; None where there is lexical search alone.
        fusion: the bundle's own.
        mode: the bundle's own.
        tastes: the query vector of a user and what it is multiplied with, for personal answers; None where no users are known.
        additions: documents that came later, or have changed.
        deleted: ids of what is there no more.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        lexical: LexicalIndex,
        dense: DenseSearch | None,
        *,
        fusion: Fusion,
        mode: Mode,
        tastes: Tastes | None = None,
        additions: Additions | None = None,
        deleted: frozenset[str] = frozenset(),
    ) -> None:
        self.catalogue = catalogue
        self.mode: Mode = mode
        self.fusion = fusion
        self.deleted = deleted
        self._lexical = lexical
        self._dense = dense
        self._tastes = tastes
        self._additions = Additions((), catalogue, lexical) if additions is None else additions
        self._stays_I: np.ndarray | None = None
        changed = (*deleted, *self._additions.catalogue.items.ids)
        gone = [row for item in changed if (row := catalogue.items.find(item)) is not None]
        if gone:
            self._stays_I = np.ones(len(catalogue), dtype=bool)
            self._stays_I[gone] = False
            self._stays_I.flags.writeable = False

    @classmethod
    def of_documents(cls, bundle: SearchBundle, catalogue: Catalogue) -> SearchEngine:
        """Of a search ranker's bundle."""
        model, dense = bundle.model, None
        if model.encoder is not None and model.document_vectors_ID is not None and model.moments is not None:
            index = FaissIndex(bundle.index, model.document_vectors_ID)
            dense = EncodedText(model.encoder, model.document_vectors_ID, index, model.moments)
        return cls(catalogue, model.lexical, dense, fusion=model.fusion, mode=model.mode)

    @classmethod
    def of_recommender(
        cls, bundle: Bundle, recommender: Recommender, similar: SimilarItems, catalogue: Catalogue
    ) -> SearchEngine:
        """Of a recommender's bundle: its items by their metadata, and by what it learned of them."""
        dense = MatchedText(bundle.lexical, recommender.unit_vectors_ID, similar.index)
        tastes = Tastes(recommender.user_query, bundle.model.item_vectors_ID, Moments.of(bundle.model.item_vectors_ID))
        return cls(catalogue, bundle.lexical, dense, fusion=Fusion(), mode="lexical", tastes=tastes)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What it can do."""
        return ("lexical",) if self._dense is None else ("lexical", "dense", "hybrid")

    def with_changes(self, changes: Mapping[str, Document | None]) -> SearchEngine:
        """The same bundle, and all that has changed since it was made: by id the document as it is now, or None for a deleted one."""
        read = {id(addition.document): addition for addition in self._additions.additions}
        documents = [document for document in changes.values() if document is not None]
        new = [document for document in documents if id(document) not in read]
        for addition in read_documents(new, self.catalogue, self._lexical, self._dense):
            read[id(addition.document)] = addition
        additions = [read[id(document)] for document in documents]
        return SearchEngine(
            self.catalogue,
            self._lexical,
            self._dense,
            fusion=self.fusion,
            mode=self.mode,
            tastes=self._tastes,
            additions=Additions(additions, self.catalogue, self._lexical, self._additions),
            deleted=frozenset(item for item, document in changes.items() if document is None),
        )

    def search(self, question: SearchQuestion) -> Found:
        """The best documents for a text.

        Raises:
            FilterInvalid: a filter or a facet names no field, or a filter's value is of the wrong type.
            QueryInvalid: the release has no such mode.
        """
        mode = self._checked(question.mode)
        self._check_fields(question.facets, "facets")
        self._check_fields([condition.field for condition in question.filters], "filters")
        signals, taste = self._signals(question, mode), self._taste(question)
        start = 0 if question.after is None else question.after.rank
        wanted = start + question.k
        while True:
            depth = max(wanted, FACET_DEPTH if question.facets else 0)
            with span("retrieve", mode=mode, depth=depth):
                ranked = _ranked(signals, question.fusion or self.fusion, taste, depth)
            first = 0 if question.after is None else self._behind(question.after, ranked)
            rows, scores = ranked.rows_K[first : first + question.k], ranked.scores_K[first : first + question.k]
            if len(rows) == question.k or len(ranked.rows_K) >= ranked.total or len(ranked.rows_K) < wanted:
                break
            wanted *= 2  # documents that came before the page's beginning since the one before it
        is_last = first + len(rows) >= ranked.total or not len(rows)
        return Found(
            rows=rows.tolist(),
            scores=scores.tolist(),
            first_rank=start + 1,
            total=ranked.total,
            mode=mode,
            personalised=taste is not None,
            facets={name: most_frequent(self._counted(name, ranked.rows_K[:FACET_DEPTH])) for name in question.facets},
            end=None if is_last else Place(float(scores[-1]), self.id(int(rows[-1])), int(rows[-1]), start + len(rows)),
        )

    def rerank(self, text: str, documents: Sequence[Document], mode: Mode | None = None) -> np.ndarray:
        """Scores of documents that the release need not hold, as a search would score them, float64 [J].

        Raises:
            QueryInvalid: the release has no such mode.
        """
        mode = self._checked(mode)
        read = read_documents(documents, self.catalogue, self._lexical, self._dense if mode != "lexical" else None)
        words_J, query_D = lexical_scores(read, text, self._lexical), None
        if self._dense is not None and mode != "lexical":
            query_D = self._dense.query(text)
        if self._dense is None or query_D is None:
            return words_J
        vectors_J = inner_products(vectors_of(read), query_D)
        if mode == "dense":
            return vectors_J
        of_words, of_vectors = moments_of(self._lexical.scores(text)), self._dense.moments.of_scores(query_D)
        return fused_scores(words_J, of_words, vectors_J, of_vectors, self.fusion)

    def id(self, row: int) -> str:
        """The id of an answer."""
        catalogue, own = self._at(row)
        return catalogue.items.id(own)

    def card(self, row: int) -> bytes:
        """What people see of an answer, see `ItemCards`."""
        catalogue, own = self._at(row)
        return catalogue.cards.fragment(own)

    def snippets(self, rows: Iterable[int], query: str) -> list[str]:
        """The part of each answer's text that says why it was found, as HTML."""
        analyzer = self._lexical.analyzer
        weights = {term: self._lexical.inverse_frequency(term) for term in analyzer.terms(query)}
        return [snippet(catalogue.text(own), weights, analyzer) for catalogue, own in map(self._at, rows)]

    def holds(self, item: str) -> bool:
        """Whether an item is there now."""
        return item in self._additions.catalogue.items or (item in self.catalogue.items and item not in self.deleted)

    def check(self, documents: Sequence[Document]) -> None:
        """Whether documents' metadata fit those of the items that are there, and each other's.

        Raises:
            QueryInvalid: a field that is known has a value of another type.
        """
        together = self.catalogue.beside(documents)
        for document in documents:
            self._check_one(document, together)

    def _check_one(self, document: Document, together: Catalogue) -> None:
        """Each field is compared with the bundle's own items where they have it, else with those that came later, else with the others."""
        kinds: dict[str, str] = {}
        known: set[str] = set()
        for catalogue in (self.catalogue, self._additions.catalogue, together):
            kinds |= {name: kind for name, kind in catalogue.misfits(document).items() if name not in known}
            known |= set(catalogue.filters.fields)
        wrong = [
            (
                f"body.metadata.{name}",
                f"{reprlib.repr(document.metadata[name])} does not fit; the other items have a {kind} there",
            )
            for name, kind in kinds.items()
        ]
        if wrong:
            raise QueryInvalid("; ".join(f"{place}: {message}" for place, message in wrong), wrong)

    def _check_fields(self, names: Iterable[str], place: str) -> None:
        """Refuse fields that no item has.

        Raises:
            FilterInvalid: the message lists the fields there are.
        """
        own, later = self.catalogue.filters, self._additions.catalogue.filters
        for name in names:
            if name not in own.fields and name not in later.fields:
                raise no_such_field(name, later.fields | own.fields, place)

    def _checked(self, mode: Mode | None) -> Mode:
        mode = mode or self.mode
        if mode not in self.modes:
            message = f"this release has no mode {mode!r}; expected {' or '.join(self.modes)}"
            raise QueryInvalid(f"body.mode: {message}", [("body.mode", message)])
        return mode

    def _at(self, row: int) -> tuple[Catalogue, int]:
        own = len(self.catalogue)
        return (self.catalogue, row) if row < own else (self._additions.catalogue, row - own)

    def _behind(self, place: Place, ranked: Ranked) -> int:
        """How many of the first answers stand before the next page."""
        last = place.row
        if last >= len(self.catalogue):  # additions move up when one before them is deleted
            row = self._additions.catalogue.items.find(place.id)
            last = place.row - 1 if row is None else row + len(self.catalogue)
        before = (ranked.scores_K > place.score) | ((ranked.scores_K == place.score) & (ranked.rows_K <= last))
        return int(np.count_nonzero(before))

    def _counted(self, name: str, rows_K: np.ndarray) -> Counter[Scalar]:
        own = len(self.catalogue)
        counted = self.catalogue.counts(name, rows_K[rows_K < own].tolist())
        return counted + self._additions.catalogue.counts(name, (rows_K[rows_K >= own] - own).tolist())

    def _competing(self, question: SearchQuestion) -> tuple[np.ndarray | None, np.ndarray | None]:
        """What a question leaves of the items, also of those that were deleted since, and of the additions: bool, None for all."""
        competing = []
        for catalogue in (self.catalogue, self._additions.catalogue):
            allowed = _filtered(catalogue, question.filters)
            if question.among is not None:
                among = np.zeros(len(catalogue), dtype=bool)
                among[[row for item in question.among if (row := catalogue.items.find(item)) is not None]] = True
                allowed = _both(allowed, among)
            competing.append(allowed)
        return competing[0], competing[1]

    def _signals(self, question: SearchQuestion, mode: Mode) -> Signals:
        competing_I, competing_J = self._competing(question)
        signals = Signals(
            num_items=len(self.catalogue),
            allowed_I=_both(competing_I, self._stays_I),
            allowed_J=np.ones(len(self._additions), dtype=bool) if competing_J is None else competing_J,
            competing_I=competing_I,
        )
        if mode != "dense":
            with span("score words"):
                words_J = self._additions.lexical_scores(question.text)
                signals = replace(signals, words_I=self._lexical.scores(question.text), words_J=words_J)
        query_D = None
        if self._dense is not None and mode != "lexical":
            with span("encode query"):
                query_D = self._dense.query(question.text)
        if query_D is None:
            return signals
        return replace(signals, dense=self._dense, query_D=query_D, vectors_J=self._additions.dense_scores(query_D))

    def _taste(self, question: SearchQuestion) -> Taste | None:
        if self._tastes is None or question.user is None:
            return None
        query_D = self._tastes.of(question.user)
        return None if query_D is None else Taste(query_D, self._tastes.vectors_ID, self._tastes.moments, question.user_weight)


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """What is known of users.

    Attributes:
        of: a user's query vector, float32 [D]; None for one who is not known.
        vectors_ID: what it is multiplied with.
        moments: of them.
    """

    of: Callable[[str], np.ndarray | None]
    vectors_ID: np.ndarray
    moments: Moments


def _filtered(catalogue: Catalogue, conditions: tuple[Condition, ...]) -> np.ndarray | None:
    """The items that meet all conditions, bool; None for all. An item without a field meets no condition on it."""
    if any(condition.field not in catalogue.filters.fields for condition in conditions):
        return np.zeros(len(catalogue), dtype=bool)
    return catalogue.filters.allowed(conditions)


def _both(some: np.ndarray | None, others: np.ndarray | None) -> np.ndarray | None:
    """What two conditions leave; None stands for all."""
    if some is None or others is None:
        return others if some is None else some
    both: np.ndarray = some & others
    return both


def _ranked(signals: Signals, fusion: Fusion, taste: Taste | None, k: int) -> Ranked:
    """By whatever there is to rank by."""
    if signals.words_I is None and signals.query_D is None:
        return Ranked(np.zeros(0, dtype=np.int64), np.zeros(0), 0)
    if taste is not None:
        return by_taste(signals, fusion, taste, k)
    if signals.query_D is None:
        return by_words(signals, k)
    if signals.words_I is None:
        return by_vectors(signals, k)
    return by_ranks(signals, fusion, k) if fusion.method == "reciprocal-ranks" else by_scores(signals, fusion, k)
