"""Retrieval: from a question to ranked items, by a bundle's encoder and index."""

from app.retrieval.cards import ItemCards, as_ranked
from app.retrieval.catalogue import Catalogue, Document
from app.retrieval.diversity import marginal_relevance
from app.retrieval.filters import Condition, ItemFilters, Scalar, parse_condition
from app.retrieval.index import ExactIndex, FaissIndex, VectorIndex
from app.retrieval.questions import Found, Place, SearchQuestion
from app.retrieval.recommend import Fallback, Query, Ranking, Recommender
from app.retrieval.search import FACET_DEPTH, SearchEngine
from app.retrieval.similar import Likeness, SimilarItems

__all__ = [
    "FACET_DEPTH",
    "Catalogue",
    "Condition",
    "Document",
    "ExactIndex",
    "FaissIndex",
    "Fallback",
    "Found",
    "ItemCards",
    "ItemFilters",
    "Likeness",
    "Place",
    "Query",
    "Ranking",
    "Recommender",
    "Scalar",
    "SearchEngine",
    "SearchQuestion",
    "SimilarItems",
    "VectorIndex",
    "as_ranked",
    "marginal_relevance",
    "parse_condition",
]
