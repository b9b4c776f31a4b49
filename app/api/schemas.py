"""What requests may hold and answers do hold, as the OpenAPI document describes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic.config import JsonDict

from app.numbers import Whole, whole
from app.retrieval import Condition, Query, parse_condition

_LARGEST = 2**63


def id_text(value: Any) -> Any:
    """Ids are text; a number in JSON means the text of its digits, as it does in files."""
    value = whole(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if abs(value) > _LARGEST or (isinstance(value, float) and value.is_integer()):
        raise ValueError("the number has more than 64 bits, which few programs keep exactly; send the id as text")
    return str(value) if isinstance(value, int) else value


def said_of_id(most: int, **more: Any) -> WithJsonSchema:
    """How an id of so many characters at most is described."""
    text = {"type": "string", "minLength": 1, "maxLength": most, **more}
    return WithJsonSchema({"anyOf": [text, {"type": "integer", "minimum": -_LARGEST, "maximum": _LARGEST}]})


def some_of(*names: str, **schemas: Any) -> JsonDict:
    """What is described of an object of whose fields one at least has to be there, and not to be null."""
    given: JsonDict = {name: {"not": {"type": "null"}} for name in names} | schemas
    return {"anyOf": [{"required": [name], "properties": {name: schema}} for name, schema in given.items()]}


def limited(**limits: str) -> JsonDict:
    """A limit that the service's settings have: by the word of JSON Schema, the setting. The description tells the number."""
    return {LIMITS: dict(limits)}


LIMITS = "x-limits"
"""Where `limited` notes it until then."""
NOT_BLANK = r"[^\s\x1c-\x1f\x85]"
"""Something in a text is no space."""


def storable(text: str) -> str:
    """What databases take; one of them takes no NUL."""
    if "\x00" in text:
        raise ValueError("a NUL character cannot be stored; leave it out")
    return text


ID_LENGTH = 512
STORABLE = r"^[^\u0000]*$"
"""What `storable` takes."""
Id = Annotated[str, BeforeValidator(id_text), Field(min_length=1, max_length=ID_LENGTH), said_of_id(ID_LENGTH)]
StoredId = Annotated[Id, AfterValidator(storable), said_of_id(ID_LENGTH, pattern=STORABLE)]

_Scalar = str | bool | int | float


class Strict(BaseModel):
    """Refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Range(Strict):
    """A range of numbers or ISO 8601 dates, both ends included; one end may be left open."""

    model_config = ConfigDict(json_schema_extra=some_of("gte", "lte"))

    gte: float | str | None = None
    """At least."""
    lte: float | str | None = None
    """At most."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Range:
        if self.gte is None and self.lte is None:
            raise ValueError("a range needs gte, lte or both")
        return self


def _filter_kind(value: Any) -> str:
    if isinstance(value, dict | Range):
        return "range"
    return "any" if isinstance(value, list | tuple) else "value"


FieldFilter = Annotated[
    Annotated[_Scalar, Tag("value")]
    | Annotated[list[_Scalar], Field(min_length=1, max_length=1000), Tag("any")]
    | Annotated[Range, Tag("range")],
    Discriminator(_filter_kind),
]
"""A value, any of some values, or a range."""


class _Ranking(Strict):
    k: Whole = Field(default=10, ge=1, json_schema_extra=limited(maximum="max_k"))
    """How many items to answer with; fewer come where the filters leave fewer."""
    diversity: float = Field(default=0.0, ge=0.0, le=1.0, allow_inf_nan=False)
    """0 gives the plain ranking; up to 1, each item is chosen for being unlike those before it (maximal marginal relevance)."""


class _TextFilters(Strict):
    filter: list[str] = Field(
        default=[],
        max_length=50,
        examples=[["genres:Comedy|Drama", "year>=1990"]],
        json_schema_extra={"items": {"type": "string", "pattern": r"^[^:<>=]+(:|>=|<=)[\s\S]+$"}},
    )
    """Conditions on the items' metadata that must all hold: `FIELD:VALUE`, any of several `FIELD:VALUE|VALUE`, `FIELD>=VALUE`, `FIELD<=VALUE`. Repeat the parameter for more."""

    def conditions(self) -> tuple[Condition, ...]:
        """The filters, parsed."""
        return tuple(map(parse_condition, self.filter))


class _InSession(Strict):
    session: Id | None = None
    """The visit that this is part of; it says which variant of an experiment on sessions answers, and stands in the log."""


class AskedBy(_InSession):
    """Who asks, where that plays no part in the ranking."""

    user: Id | None = None
    """It says which variant of an experiment on users answers, and stands in the log; it has no other part in the ranking."""


class RecommendationParameters(_Ranking, _TextFilters, _InSession):
    """What a URL can ask of recommendations."""

    exclude_seen: bool = True
    """Whether what the user has had is left out."""


class SimilarParameters(_Ranking, _TextFilters, AskedBy):
    """What a URL can ask of similar items."""


class HistoryItem(Strict):
    """Something that a person has had."""

    item: Id
    rating: float | None = Field(default=None, allow_inf_nan=False)
    """In the unit of the ranker's data; leave it out for a click, a purchase or anything else without one."""


class RecommendationRequest(_Ranking, _InSession):
    """A question: for a known user, or for anyone with the history given. With neither, popularity answers."""

    user: Id | None = None
    """Who asks. Where a history is given too, that alone is ranked by, and the user only says which variant of an experiment answers."""
    history: list[HistoryItem] | None = Field(default=None, json_schema_extra=limited(maxItems="max_history"))
    """What the person has had; of an item that stands there twice the later entry counts. Unknown items are ignored and named in the answer."""
    exclude: list[Id] = Field(default=[], json_schema_extra=limited(maxItems="max_history"))
    """Items that must not be answered; unknown ones do no harm."""
    exclude_seen: bool = True
    """Whether the history, or what the known user has had, is left out."""
    filters: dict[str, FieldFilter] = Field(default={}, max_length=50)
    """By field: a value, a list of values of which any will do, or a range `{"gte": …, "lte": …}`. All must hold."""

    def query(self) -> Query:
        """The question in the terms of retrieval."""
        return Query(
            user=self.user if self.history is None else None,
            history=[(event.item, float("nan") if event.rating is None else event.rating) for event in self.history or ()],
            k=self.k,
            exclude=self.exclude,
            exclude_seen=self.exclude_seen,
            filters=tuple(condition_on(field, wanted) for field, wanted in self.filters.items()),
            diversity=self.diversity,
        )


class RecommendationBatch(Strict):
    """Several questions; each gets an answer of its own, in the same order."""

    requests: list[RecommendationRequest] = Field(min_length=1, json_schema_extra=limited(maxItems="max_batch"))


def _body_kind(value: Any) -> str:
    return "batch" if isinstance(value, RecommendationBatch) or (isinstance(value, dict) and "requests" in value) else "one"


RecommendationBody = Annotated[
    Annotated[RecommendationRequest, Tag("one")] | Annotated[RecommendationBatch, Tag("batch")], Discriminator(_body_kind)
]


def condition_on(field: str, wanted: Any) -> Condition:
    """A filter of a body in the terms of retrieval."""
    match wanted:
        case Range():
            return Condition(field, gte=wanted.gte, lte=wanted.lte)
        case list():
            return Condition(field, any_of=tuple(wanted))
        case _:
            return Condition(field, any_of=(wanted,))


class RankedItem(BaseModel):
    """An item at its place."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rank: int
    """From 1."""
    score: float
    """What the ranking is sorted by (before diversity): comparable within an answer, not between rankers."""
    id: str
    title: str | None
    metadata: dict[str, Any]
    """The other columns of the item table."""


class RankingAnswer(BaseModel):
    """Ranked items, and who ranked them."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "request_id": "8f14e45fceea167a5a36dedd4bea2543",
                    "ranker": "irgan-history",
                    "release": "irgan-history/2026-11-24",
                    "experiment": "history-or-popular",
                    "variant": "treatment",
                    "fallback": None,
                    "unknown_items": [],
                    "items": [
                        {
                            "rank": 1,
                            "score": 7.31,
                            "id": "50",
                            "title": "Star Wars",
                            "metadata": {"year": 1977, "genres": ["Action", "Sci-Fi"]},
                        },
                        {
                            "rank": 2,
                            "score": 6.87,
                            "id": "172",
                            "title": "The Empire Strikes Back",
                            "metadata": {"year": 1980, "genres": ["Action", "Sci-Fi"]},
                        },
                    ],
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
    fallback: Literal["popularity", "champion"] | None = None
    """What ranked in the ranker's place: `popularity` because nothing was known to rank by (an unknown user, or a history of unknown items), `champion` because the variant's release failed."""
    unknown_items: list[str]
    """Items of the history that the catalogue does not hold."""
    items: list[RankedItem]


class BatchAnswer(BaseModel):
    """The answers to a batch, in the order of its questions."""

    answers: list[RankingAnswer]


class SlotState(BaseModel):
    """What a slot points to."""

    slot: str
    release: str
    live: bool
    """Whether this process answers from it."""
    since: datetime | None
    """When it was let point there; null where nobody knows."""
    by: str | None
    """By whom; null where nobody knows."""


class BundleState(BaseModel):
    """A published bundle."""

    release: str
    ranker: str
    created: str
    size: int
    """Bytes."""
    metrics: dict[str, Any]


class Releases(BaseModel):
    """Everything published, and what is live."""

    live: str | None
    slots: list[SlotState]
    bundles: list[BundleState]


class Alive(BaseModel):
    """The process runs."""

    status: Literal["live"] = "live"


class Ready(BaseModel):
    """The service can answer."""

    status: Literal["ready"] = "ready"
    release: str
    ranker: str
