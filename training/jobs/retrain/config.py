"""What a retraining is told, from a TOML file: closed to unknown keys, and everything that is wrong is said at once, before anything is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from training.config import RankerConfig, config_of
from training.data import SOURCES, FileOptions
from training.errors import ConfigError
from training.evaluation import Protocol
from training.evaluation.study import METRICS
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
    after: Count = 0
    """Only events with a greater number."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        likes = [name for name, worth in self.types.items() if worth == "like"]
        if likes and len(likes) != len(self.types):
            raise ValueError("either every type is worth `like`, or every one a rating (a number, or `value`)")
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

    releases: Path | None = None
    """The folder of releases; by default IRGAN_RELEASES, or else `releases`."""
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


def read_retrain_config(file: Path) -> RetrainConfig:
    """The configuration in a TOML file.

    Raises:
        ConfigError: everything that is wrong with it, one line each.
    """
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{file}: no such file; expected a TOML file, see docs/retraining.md") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    try:
        config = RetrainConfig.model_validate(values)
    except pydantic.ValidationError as error:
        raise ConfigError(_told(file, list(_lines(error)))) from error
    problems = list(_problems(config))
    if problems:
        raise ConfigError(_told(file, problems))
    return config


def _told(file: Path, problems: list[str]) -> str:
    return "\n".join([f"{file} cannot be used:", *(f"  {problem}" for problem in problems)])


def _lines(error: pydantic.ValidationError) -> Iterator[str]:
    for problem in error.errors():
        key = ".".join(map(str, problem["loc"])) or "configuration"
        if problem["type"] == "extra_forbidden":
            yield f"{key}: unknown; known are {', '.join(_known(problem['loc'][:-1]))}"
        elif problem["type"] == "missing":
            yield f"{key}: missing"
        else:
            shown = "" if isinstance(problem["input"], dict) else f" = {problem['input']!r}"
            yield f"{key}{shown}: {problem['msg'].removeprefix('Value error, ')}"


def _known(location: tuple[int | str, ...]) -> list[str]:
    """The keys of the table at a place."""
    kinds: dict[tuple[str, ...], type[BaseModel]] = {
        (): RetrainConfig, ("data",): Data, ("data", "store"): StoreSource, ("validation",): Validation, ("rankers",): Ranker,
        ("split",): Split, ("gate",): Gate, ("publish",): Publish, ("run",): Run,
    }  # fmt: skip
    return list(kinds[tuple(part for part in location if isinstance(part, str))].model_fields)


def _problems(config: RetrainConfig) -> Iterator[str]:
    """What types alone do not say."""
    if not config.rankers and not config.run.cf_nade:
        yield "rankers: nothing to train; name at least one, or leave run.cf_nade on"
    names = [ranker.name for ranker in config.rankers]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"rankers: {name} is named {names.count(name)} times; give each another name, and say with ranker = … what it is"
    for ranker in config.rankers:
        if ranker.kind not in RECOMMENDERS:
            yield f"rankers.{ranker.name}: no ranker {ranker.kind!r} of items for people; there are {', '.join(RECOMMENDERS)}"
            continue
        try:
            ranker.config()
        except ConfigError as error:
            yield from (f"rankers.{ranker.name}.settings.{line}" for line in str(error).splitlines())
    if config.gate.metric not in METRICS:
        yield f"gate.metric = {config.gate.metric!r}: no metric that has a value for each user; there are {', '.join(METRICS)}"
    options = FileOptions()
    given = [key for key, value in vars_of(config.data.file_options()).items() if value != vars_of(options)[key]]
    if given and config.data.sources and all(source in SOURCES for source in config.data.sources):
        yield f"data: {', '.join(given)} say how a file is read, and no file is among the sources"
    if config.publish.champion != "never" and config.gate.against != "champion":
        yield "publish.champion: only what was compared with the champion can take its place; leave gate.against at champion"


def vars_of(options: FileOptions) -> dict[str, Any]:
    """The options by name."""
    return {name: getattr(options, name) for name in FileOptions.__dataclass_fields__}
