"""What a retraining is told: every key, with its unit and its default. Closed to unknown ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from app.place import place_of
from training.config import RankerConfig, config_of
from training.data import FileOptions
from training.evaluation import Protocol
from training.registry import RECOMMENDERS, RankerSpec

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]

CF_NADE = "cf-nade"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class StoreSource(_Part):
    """Events of the service's store."""

    url: str | None = None
    """Such as `sqlite:///irgan.db`; by default IRGAN_STORE, which is the place for an address with a password."""
    types: dict[str, float | Literal["value", "like"]] = Field(min_length=1)
    """What an event of each type is worth: a rating, `value` for the event's own value as a rating, or `like` where nothing has ratings.
    Events of other types do not count."""
    values: tuple[float, float] | None = None
    """The lowest and the highest value that is a rating; an event with another does not count, whoever sent it."""
    after: Count = 0
    """Only events with a greater number."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        likes = [name for name, worth in self.types.items() if worth == "like"]
        if likes and len(likes) != len(self.types):
            raise ValueError("either every type is worth `like`, or every one a rating (a number, or `value`)")
        if self.values is not None and not self.values[0] < self.values[1]:
            raise ValueError("values: expected the lowest rating, and then a higher one, such as [1.0, 5.0]")
        return self

    @property
    def has_ratings(self) -> bool:
        """Whether its events are ratings."""
        return "like" not in self.types.values()


class Data(_Part):
    """Where the training data come from; what follows `sources` is as of `irgan train`."""

    name: str = "events"
    """What bundles and reports call the data."""
    sources: list[str] = []
    """Paths of files, or names of `irgan data list`; read one after the other, their events counted together."""
    store: StoreSource | None = None
    """Events of the service's store, read after the files."""
    user_column: str | None = None
    item_column: str | None = None
    rating_column: str | None = None
    time_column: str | None = None
    format: Literal["csv", "tsv", "parquet", "lists"] | None = None
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    header: bool = True
    encoding: str = "utf-8"
    items: Path | None = None
    """A table of items."""
    item_id_column: str | None = None
    positive_threshold: float | None = None
    """The rating from which an item counts as liked."""
    duplicates: Literal["error", "first", "last", "max"] = "last"
    """What becomes of a pair of user and item that stands there twice; of `irgan train` the default is `error`."""
    min_interactions: int = Field(default=1, ge=1)
    """Users with fewer events are left out."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.sources and self.store is None:
            raise ValueError("nothing to learn from; name files or data sets in `sources`, or a `[data.store]`")
        if self.items is None and self.item_id_column is not None:
            raise ValueError("`item_id_column` names a column of a table of items; give that too, as `items`")
        return self

    def file_options(self) -> FileOptions:
        """How each file is read."""
        return FileOptions(
            user_column=self.user_column,
            item_column=self.item_column,
            rating_column=self.rating_column,
            time_column=self.time_column,
            form=self.format,
            separator=self.separator,
            header=self.header,
            encoding=self.encoding,
        )


class Validation(_Part):
    """Limits that stop a run before anything is trained."""

    least_events: Count = 100
    """In the snapshot."""
    least_users: Count = 10
    least_items: Count = 10
    """With an event."""
    most_unknown_items: Share = 0.1
    """Share of events on items that the table of items lacks, where one is given."""
    most_change_events: float | None = Field(default=0.5, ge=0)
    """Largest change of the number of events against the last run whose data were accepted, as a part of that number: 0.5 allows half to
    one and a half as many. `most_change_users` and `most_change_items` likewise."""
    most_change_users: float | None = Field(default=0.5, ge=0)
    most_change_items: float | None = Field(default=0.5, ge=0)
    most_change_mean_rating: float | None = Field(default=0.3, ge=0)
    """Likewise of the mean rating, in the ratings' own unit."""
    most_drift: Share | None = 0.2
    """Largest Jensen–Shannon divergence of the items' shares of all events, in bits: 0 where they are the same, 1 where no item is in both."""


class Ranker(_Part):
    """One ranker to train."""

    name: Name
    """What its bundles are called."""
    ranker: str | None = None
    """As in `irgan rankers`; by default the name."""
    seed: Count = 0
    settings: dict[str, Any] = {}
    """Its hyper-parameters."""
    warm_start: dict[str, Any] | None = None
    """Where given, it begins with the weights of the live release, if that is one of its own, and then with these settings over the others:
    fewer epochs, say. Nothing is held out then: the weights have learned from what would be."""

    @property
    def kind(self) -> str:
        """Which ranker it is."""
        return self.ranker or self.name

    @property
    def spec(self) -> RankerSpec:
        """Its entry in the registry."""
        return RECOMMENDERS[self.kind]

    def config(self) -> RankerConfig:
        """Its hyper-parameters, checked.

        Raises:
            ConfigError: unknown ones, or impossible values.
        """
        return config_of(self.spec.config(), self.settings)

    def warm_config(self) -> RankerConfig:
        """Its hyper-parameters where it begins with the weights of the live release.

        Raises:
            ConfigError: unknown ones, or impossible values.
        """
        kind = self.spec.config()
        held_out = {"validation_fraction": 0.0} if "validation_fraction" in kind.model_fields else {}
        return config_of(kind, {**self.settings, **held_out, **(self.warm_start or {})})


class Split(_Part):
    """How the rankers are judged: trained on what came before a moment, tested on what came after."""

    test_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of all events, the last ones, in the test part."""


class Gate(_Part):
    """What a ranker must be to be published."""

    against: Name = "champion"
    """The slot whose release it is compared with; where nothing is published there, nothing is compared."""
    live: Literal["as-served", "retrained", "retrained-if-seen"] = "as-served"
    """Whether the live release itself is judged, or what its recipe, settings and seed make of this run's training part: always, or where the
    release has seen the test part, or may have."""
    metric: str = "nDCG@10"
    """What decides; see `irgan compare`."""
    protocol: Protocol = "standard"
    margin: float = Field(default=0.01, ge=0)
    """How much worse on `metric`, in its own unit, is tolerable: the interval of the difference must lie above −margin."""
    level: float = Field(default=0.95, ge=0.5, lt=1)
    """Of the interval, for all rankers together."""
    resamples: int = Field(default=10_000, ge=100)
    """Of the bootstrap over users."""
    seed: Count = 0
    """Of the bootstrap."""
    least_coverage: float | None = Field(default=0.8, ge=0)
    """Guardrail: share of the catalogue in somebody's first ten, as a part of the live release's."""
    least_novelty: float | None = Field(default=0.9, ge=0)
    """Guardrail: mean self-information of the first ten, as a part of the live release's."""
    most_popular: float | None = Field(default=0.15, ge=0)
    """Guardrail: how much more of all first tens than of the live release's may be items that are the most popular; see docs/retraining.md."""
    most_latency: float | None = Field(default=2.0, gt=0)
    """Guardrail: median time of an answer, as a multiple of the live release's."""
    quick_enough_ms: float = Field(default=5.0, ge=0)
    """A median below this is never too slow."""
    questions: int = Field(default=200, ge=10)
    """Answers that are timed."""


class Publish(_Part):
    """Where a ranker goes that passed."""

    releases: Annotated[Path | str, BeforeValidator(place_of)] | None = None
    """The folder of releases, or an object store's address; by default IRGAN_RELEASES, or else `releases`."""
    slot: Name = "challenger"
    champion: Literal["never", "if-better", "always"] = "never"
    """Whether the slot `champion` follows as well: where the whole interval of the difference is above 0, or whenever the gate is passed."""
    refit: bool = False
    """Whether what is published has learned from the test part too, under the settings that were judged."""


class Run(_Part):
    """Where and how it runs."""

    folder: Path = Path("retraining")
    """Snapshots, checkpoints, candidates and records go here."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    keep: int = Field(default=3, ge=1)
    """Finished runs whose snapshots and candidates are kept; records are kept for ever."""
    checkpoint_every: int = Field(default=10, ge=1)
    """Epochs."""
    give_up_hours: float = Field(default=24.0, gt=0)
    """A run that was begun longer ago and did not come to publishing is not gone on with: its snapshot is old."""
    cf_nade: bool = True
    """Whether CF-NADE is trained where there are ratings, also where `[[rankers]]` does not name it."""


class RetrainConfig(_Part):
    """The whole file."""

    data: Data
    validation: Validation = Validation()
    rankers: list[Ranker] = []
    split: Split = Split()
    gate: Gate = Gate()
    publish: Publish = Publish()
    run: Run = Run()

    def shown(self) -> dict[str, Any]:
        """All of it as JSON values, passwords left out."""
        found = self.model_dump(mode="json")
        if self.data.store is not None:
            found["data"]["store"]["url"] = shown_store(self.data.store.url)
        return found


def shown_store(address: str | None) -> str | None:
    """An address that may be shown: without its password."""
    try:
        return None if address is None else make_url(address).render_as_string(hide_password=True)
    except ArgumentError:
        return "?"
