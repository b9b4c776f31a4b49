"""What searches, rerankings and changes of items may hold and do answer, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from app.api.schemas import NOT_BLANK, AskedBy, FieldFilter, Id, RankedItem, StoredId, Strict, limited, some_of
from app.bundle import FusionMethod, Mode
from app.numbers import Whole, whole


class FusionChoice(Strict):
    """How the lexical and the dense ranking become one; the lexical one weighs 1."""

    method: FusionMethod = "standardised"
    """`standardised`: scores minus their mean over the collection, by their standard deviation; `reciprocal-ranks`: 1 / (60 + rank)."""
    dense_weight: float = Field(default=2.0, ge=0, le=1000, allow_inf_nan=False)
    """What the dense ranking weighs."""


class SearchBody(AskedBy):
    """A search. Without `user`, the one it is personalised for counts as who asks."""

    query: str = Field(json_schema_extra={"pattern": NOT_BLANK, **limited(maxLength="max_query")})
    """What is looked for, in words."""
    mode: Mode | None = None
    """By words (`lexical`), by vectors (`dense`) or both (`hybrid`); by default what the release was found to do best."""
    fusion: FusionChoice | None = None
    """Of the hybrid; by default what the release was found to do best."""
    k: Whole = Field(default=10, ge=1, json_schema_extra=limited(maximum="max_k"))
    """How many documents."""
    after: str | None = Field(default=None, max_length=32_768)
    """`next` of the page before, everything else being the same. Documents that are added or deleted meanwhile neither repeat others nor hide them."""
    filters: dict[str, FieldFilter] = Field(default={}, max_length=50)
    """By field: a value, a list of values of which any will do, or a range `{"gte": …, "lte": …}`. All must hold."""
    facets: list[str] = Field(default=[], max_length=20)
    """Fields whose most frequent values among the first 1,000 answers are counted."""
    candidates: list[Id] | None = Field(default=None, min_length=1, json_schema_extra=limited(maxItems="max_candidates"))
    """The only documents that compete; unknown ones do no harm."""
    personalise: Id | None = None
    """A known user whose taste has a say, where the release knows users."""
    user_weight: float = Field(default=1.0, ge=0, le=1000, allow_inf_nan=False)
    """How much of one, beside the text's 1; both are standardised over the collection."""

    @field_validator("query")
    @classmethod
    def _says_something(cls, query: str) -> str:
        if not query.strip():
            raise ValueError("the query is empty; say what is looked for")
        return query


class FoundItem(RankedItem):
    """A document at its place."""

    snippet: str
    """The part of the text that says most about why, as HTML: escaped, with the query's words between `<mark>` and `</mark>`."""


class FacetValue(BaseModel):
    """How often a value stands there."""

    value: str | float | bool
    count: int


class SearchAnswer(BaseModel):
    """Documents for a search, and who ranked them."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "request_id": "8f14e45fceea167a5a36dedd4bea2543",
                    "ranker": "irgan-text",
                    "release": "irgan-text/2026-11-25",
                    "experiment": None,
                    "variant": None,
                    "fallback": None,
                    "mode": "hybrid",
                    "personalised": False,
                    "total": 5183,
                    "items": [
                        {
                            "rank": 1,
                            "score": 9.41,
                            "id": "31715818",
                            "title": "New opportunities: the use of nanotechnologies to manipulate and track stem cells.",
                            "metadata": {},
                            "snippet": "Nanotechnologies are emerging platforms that could be useful in measuring … stem <mark>cells</mark>",
                        }
                    ],
                    "facets": {},
                    "next": "WyJpcmdhbi10ZXh0…",
                }
            ]
        },
    )

    request_id: str
    """Unique to this answer; send it back with events, so that they can be credited."""
    ranker: str
    release: str
    """`NAME/VERSION` of the bundle that answered."""
    experiment: str | None = None
    """The experiment that this answer is part of, if any."""
    variant: str | None = None
    """Of the experiment, what the user or session is assigned to; `interleaved` where the answer mixes all variants."""
    fallback: Literal["champion"] | None = None
    """`champion` where it ranked in the place of the variant's release, which failed."""
    mode: Mode
    """What ranked."""
    personalised: bool
    """Whether a user's taste had a say."""
    total: int
    """Documents that were ranked: with `lexical` those that share a word with the query, else all that the filters leave."""
    items: list[FoundItem]
    facets: dict[str, list[FacetValue]]
    """By field, its most frequent values among the first 1,000 answers."""
    next: str | None
    """What to send as `after` for the next page; null where this is the last. Rankings that an experiment mixes end after 1,000 pages."""


class Candidate(Strict):
    """Something to be put in order: by its features, or by its text."""

    id: Id
    features: list[Annotated[float, Field(allow_inf_nan=False)]] | None = Field(default=None, max_length=100_000)
    """As many numbers as the ranker learned from, in the same order."""
    title: str | None = None
    text: str | None = None


def _all_with(**properties: Any) -> dict[str, Any]:
    return {"properties": {"candidates": {"items": {"required": [*properties][:1], "properties": properties}}}}


_BY_FEATURES = _all_with(features={"type": "array"})
_BY_TEXTS = _all_with(text={"type": "string"}, features={"type": "null"})
_BY_TEXTS["properties"]["query"] = {"type": "string", "pattern": NOT_BLANK}
_BY_TEXTS["required"] = ["query"]


class RerankBody(AskedBy):
    """Candidates of one query: all with features, or all with texts and a query."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_BY_FEATURES, _BY_TEXTS]})

    candidates: list[Candidate] = Field(min_length=1, json_schema_extra=limited(maxItems="max_candidates"))
    """No two by one id."""
    query: str | None = Field(default=None, json_schema_extra=limited(maxLength="max_query"))
    """What they are candidates for, in words; wanted where they have texts."""
    k: Annotated[int, Field(ge=1, json_schema_extra=limited(maximum="max_candidates")), BeforeValidator(whole)] | None = None
    """How many of the best to answer with; by default all."""

    @model_validator(mode="after")
    def _one_kind(self) -> RerankBody:
        with_features = [candidate.features is not None for candidate in self.candidates]
        if any(with_features) and not all(with_features):
            raise ValueError("some candidates have features and some have none; give them to all or to none")
        if not any(with_features) and (not (self.query or "").strip() or any(c.text is None for c in self.candidates)):
            raise ValueError("give each candidate its features, or give a query and each candidate its text")
        ids = [candidate.id for candidate in self.candidates]
        twice = next((one for one in ids if ids.count(one) > 1), None) if len(set(ids)) < len(ids) else None
        if twice is not None:
            raise ValueError(f"the candidate {twice!r} stands there twice")
        return self


class RerankedItem(BaseModel):
    """A candidate at its place."""

    rank: int
    score: float
    id: str


class RerankAnswer(BaseModel):
    """The candidates in the ranker's order."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    request_id: str
    ranker: str
    release: str
    experiment: str | None = None
    """The experiment that this answer is part of, if any."""
    variant: str | None = None
    """Of the experiment, what the user or session is assigned to; `interleaved` where the answer mixes all variants."""
    fallback: Literal["champion"] | None = None
    """`champion` where it ranked in the place of the variant's release, which failed."""
    items: list[RerankedItem]
    """Best first; of equal scores the one that came first."""


class Nothing(Strict):
    """A URL without parameters."""


def _type(value: str | int | float | bool) -> type:
    return float if type(value) is int else type(value)


def _or_list_of(kind: str) -> list[dict[str, Any]]:
    return [{"type": kind}, {"type": "array", "items": {"type": [kind, "null"]}}]


_METADATA: dict[str, Any] = {
    "propertyNames": {"not": {"enum": ["id", "title", "text"]}},
    "additionalProperties": {
        "anyOf": [{"type": "null"}, *(one for kind in ("string", "number", "boolean") for one in _or_list_of(kind))]
    },
}
_SOMETHING = {"type": "string", "pattern": NOT_BLANK}
_SAYS_SOMETHING = some_of(title=_SOMETHING, text=_SOMETHING, metadata={"minProperties": 1})
_ITEM: dict[str, Any] = {"title": "Of walruses", "text": "A walrus sat on the ice.", "metadata": {"year": 1999}}


class ItemBody(Strict):
    """An item as it is to be from now on, the whole of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ITEM], **_SAYS_SOMETHING})

    title: str | None = Field(default=None, max_length=10_000)
    text: str = ""
    """What is searched and quoted."""
    metadata: dict[str, Any] = Field(default={}, max_length=100, json_schema_extra=_METADATA)
    """Any other fields; those that the other items have must be of the same type."""

    @model_validator(mode="after")
    def _says_something(self) -> ItemBody:
        if not (self.title or "").strip() and not self.text.strip() and not self.metadata:
            raise ValueError("an item needs a title, a text or metadata; to remove it, delete it")
        return self

    @field_validator("metadata")
    @classmethod
    def _plain_values(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        for name, value in metadata.items():
            if name in {"id", "title", "text"}:
                raise ValueError(f"{name!r} has a place of its own beside the metadata")
            values = value if isinstance(value, list) else [value]
            if not all(one is None or isinstance(one, str | int | float | bool) for one in values):
                raise ValueError(f"{name!r} must be text, a number, true or false, or a list of them")
            if len({_type(one) for one in values if one is not None}) > 1:
                raise ValueError(f"{name!r} is a list of values of several types; expected one type")
        return metadata


class NamedItemBody(ItemBody):
    """An item with its id."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "w1", **_ITEM}], **_SAYS_SOMETHING})

    id: StoredId


class ItemsBody(Strict):
    """Items to add or to replace, all or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [{"id": "w1", **_ITEM}]}]})

    items: list[NamedItemBody] = Field(min_length=1, json_schema_extra=limited(maxItems="max_batch"))


class ItemIdsBody(Strict):
    """Items to delete, all or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["w1"]}]})

    ids: list[Id] = Field(min_length=1, json_schema_extra=limited(maxItems="max_batch"))


class ItemState(BaseModel):
    """What became of an item."""

    id: str
    state: Literal["added", "updated", "deleted"]


class ItemsAnswer(BaseModel):
    """What became of the items; it is durable, and searches know of it already."""

    items: list[ItemState]
