"""A published bundle, ready to answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.bundle import Bundle, ContentInvalid, read_bundle
from app.retrieval import ItemCards, Query, Recommender, SimilarItems


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """Everything that answers for one bundle; nothing in it changes, so any thread may ask.

    Attributes:
        name: NAME/VERSION.
        ranker: what kind of ranker it is.
        bundle: the verified bundle.
        recommender: for users and histories.
        similar: for items.
        cards: the items as JSON.
    """

    name: str
    ranker: str
    bundle: Bundle
    recommender: Recommender
    similar: SimilarItems
    cards: ItemCards

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """What answers for a bundle."""
        manifest, recommender = bundle.manifest, Recommender(bundle)
        return cls(
            name=f"{manifest.name}/{manifest.version}",
            ranker=manifest.ranker,
            bundle=bundle,
            recommender=recommender,
            similar=SimilarItems(bundle, recommender),
            cards=ItemCards(bundle.item_table),
        )


def load_release(path: Path) -> Release:
    """Verify a bundle, make what answers for it, and ask it one question of each kind.

    Raises:
        BundleError: it cannot be served.
    """
    bundle = read_bundle(path)
    if not len(bundle.items):
        raise ContentInvalid(f"{path}: the bundle holds no items; a release needs at least one")
    release = Release.of(bundle)
    # The first answers cost more than the rest, and what cannot answer must not go live.
    first = bundle.items.ids[0]
    try:
        for query in (Query(), Query(history=[(first, float("nan"))]), *(Query(user=user) for user in bundle.users.ids[:1])):
            release.recommender.recommend(query)
        release.similar.similar(first, k=10)
    except Exception as error:
        raise ContentInvalid(f"{path}: the ranker cannot answer: {error}") from error
    return release
