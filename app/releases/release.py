"""A published bundle, ready to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from app import memory
from app.bundle import (
    AnyBundle,
    Bundle,
    ContentInvalid,
    FeatureRanker,
    Histories,
    Manifest,
    RerankBundle,
    SearchBundle,
    read_bundle,
)
from app.retrieval import Catalogue, ItemCards, Query, Recommender, SearchEngine, SearchQuestion, SimilarItems

_NUM_TRIED = 1000
"""Items that are scored before a release answers."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Release:
    """What answers for one bundle; nothing in it changes, so any thread may ask.

    Attributes:
        name: NAME/VERSION.
        ranker: what kind of ranker it is, as in `irgan rankers`.
        manifest: what the bundle says of itself.
        answers: the kinds of question, for messages.
        engine: for texts; None where the bundle holds nothing to search.
    """

    answers: ClassVar[str] = ""
    name: str
    ranker: str
    manifest: Manifest
    engine: SearchEngine | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RecommenderRelease(Release):
    """Answers people, histories and items, and searches the items by their metadata.

    Attributes:
        bundle: the verified bundle.
        recommender: for users and histories.
        similar: for items.
        cards: the items as JSON.
    """

    answers: ClassVar[str] = "recommendations, similar items and searches of their metadata"
    bundle: Bundle
    recommender: Recommender
    similar: SimilarItems
    cards: ItemCards

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """What answers for a bundle."""
        recommender = Recommender(bundle)
        similar = SimilarItems(bundle, recommender)
        catalogue = Catalogue(bundle.items, bundle.item_table)
        return cls(
            **_named(bundle),
            bundle=bundle,
            recommender=recommender,
            similar=similar,
            cards=catalogue.cards,
            engine=SearchEngine.of_recommender(bundle, recommender, similar, catalogue),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SearchRelease(Release):
    """Answers texts with documents.

    Attributes:
        bundle: the verified bundle.
    """

    answers: ClassVar[str] = "searches"
    bundle: SearchBundle


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RerankRelease(Release):
    """Orders candidates by their features.

    Attributes:
        bundle: the verified bundle.
        model: what scores.
    """

    answers: ClassVar[str] = "the order of candidates by their features"
    bundle: RerankBundle
    model: FeatureRanker


def load_release(path: Path) -> Release:
    """Verify a bundle, make what answers for it, and ask it one question of each kind.

    Raises:
        BundleError: it cannot be served.
    """
    bundle = read_bundle(path)
    if not isinstance(bundle, RerankBundle) and not len(bundle.items):
        raise ContentInvalid(f"{path}: the bundle holds no items; a release needs at least one")
    if not isinstance(bundle, RerankBundle):
        memory.expect(len(bundle.items))
    # The first answers cost more than the rest, and what cannot answer must not go live.
    try:
        return _asked(bundle)
    except Exception as error:
        raise ContentInvalid(f"{path}: the ranker cannot answer: {error}") from error


def _asked(bundle: AnyBundle) -> Release:
    text = "what is known of this"
    match bundle:
        case RerankBundle():
            _check_finite(bundle.model.scores(np.zeros((2, bundle.model.num_features), dtype=np.float32)))
            return RerankRelease(**_named(bundle), bundle=bundle, model=bundle.model)
        case SearchBundle():
            # Later a text or an item without a number is passed over; a model that has none for the first ones is no model.
            if bundle.model.encoder is not None:
                _check_finite(bundle.model.encoder.encode_queries([text]))
            engine = SearchEngine.of_documents(bundle, Catalogue(bundle.items, bundle.item_table))
            for mode in engine.modes:
                _check_finite(engine.search(SearchQuestion(text, mode=mode)).scores)
            return SearchRelease(**_named(bundle), bundle=bundle, engine=engine)
        case _:
            if bundle.model.rescorer is not None:
                queries_BD = bundle.model.queries(Histories.of([[0]]))
                _check_finite(bundle.model.rescorer.scores(queries_BD, np.arange(len(bundle.items))[:_NUM_TRIED]))
            release = RecommenderRelease.of(bundle)
            first = bundle.items.ids[0]
            for query in (
                Query(),
                Query(history=[(first, float("nan"))]),
                *(Query(user=user) for user in bundle.users.ids[:1]),
            ):
                _check_finite(release.recommender.recommend(query).scores)
            _check_finite(release.similar.similar(first, k=10).scores)
            assert release.engine is not None
            _check_finite(release.engine.search(SearchQuestion(text)).scores)
            return release


def _check_finite(scores: Sequence[float] | np.ndarray) -> None:
    if not np.isfinite(scores).all():
        raise ValueError("its scores are not finite")


def _named(bundle: AnyBundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {"name": manifest.release, "ranker": manifest.ranker, "manifest": manifest}
