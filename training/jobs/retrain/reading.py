"""The configuration in a file: everything that is wrong with it is said at once, before anything is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
from pydantic import BaseModel

from training.data import SOURCES, FileOptions
from training.errors import ConfigError
from training.evaluation.study import METRICS
from training.jobs.retrain.config import Data, Gate, Publish, Ranker, RetrainConfig, Run, Split, StoreSource, Validation
from training.registry import RECOMMENDERS


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
            continue
        if ranker.warm_start is not None:
            yield from _warm_problems(ranker)
    if config.gate.metric not in METRICS:
        yield f"gate.metric = {config.gate.metric!r}: no metric that has a value for each user; there are {', '.join(METRICS)}"
    options = FileOptions()
    given = [key for key, value in _values(config.data.file_options()).items() if value != _values(options)[key]]
    if given and config.data.sources and all(source in SOURCES for source in config.data.sources):
        yield f"data: {', '.join(given)} say how a file is read, and no file is among the sources"
    if config.publish.champion != "never" and config.gate.against != "champion":
        yield "publish.champion: only what was compared with the champion can take its place; leave gate.against at champion"


def _warm_problems(ranker: Ranker) -> Iterator[str]:
    key = f"rankers.{ranker.name}.warm_start"
    try:
        config = ranker.warm_config()
    except ConfigError as error:
        yield from (f"{key}.{line}" for line in str(error).splitlines())
        return
    if getattr(config, "validation_fraction", 0.0):
        yield f"{key}.validation_fraction: leave it out; the weights have learned from what would be held out"


def _values(options: FileOptions) -> dict[str, Any]:
    """The options by name."""
    return {name: getattr(options, name) for name in FileOptions.__dataclass_fields__}
