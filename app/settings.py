"""What a person can set about the service: by environment variables `IRGAN_…`, and some by options of `irgan serve`."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsInvalid
from app.place import place_of
from app.telemetry.logs import LogFormat, LogLevel

_OPTIONS = {"releases", "slot", "host", "port", "insecure", "access_log"}
"""What the command line knows too."""


class Settings(BaseSettings):
    """Every setting and its default."""

    model_config = SettingsConfigDict(env_prefix="IRGAN_", frozen=True, use_attribute_docstrings=True)

    releases: Annotated[Path | str, BeforeValidator(place_of)] = Path("releases")
    """The folder of releases, or the address of an object store such as `s3://bucket/prefix`."""
    releases_cache: Path | None = None
    """Of an object store, the folder of copies; by default one in the user's own cache."""
    releases_poll_seconds: float = Field(default=5.0, gt=0, le=3600)
    """How often to look into an object store for what the slots point to: each look is a request that is paid for."""
    slot: str = Field(default="champion", pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    """The slot whose release answers."""
    search_slot: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    """The slot whose release answers searches and whose items can be changed; by default the same."""
    rerank_slot: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    """The slot whose release reranks candidates; by default the same."""
    store: str = "sqlite:///irgan.db"
    """The database that keeps changed items, experiments and events, as SQLAlchemy addresses it."""
    impressions: Literal["experiments", "all", "none"] = "experiments"
    """Which answers are written down: those that are part of an experiment, all, or none."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    max_k: int = Field(default=1000, ge=1)
    """Most items in one answer."""
    max_batch: int = Field(default=100, ge=1)
    """Most questions in one request."""
    max_history: int = Field(default=5000, ge=1)
    """Most items in one history, and in one list of exclusions."""
    max_query: int = Field(default=10_000, ge=1)
    """Most characters of a search."""
    max_candidates: int = Field(default=1000, ge=1)
    """Most candidates in one request, to rerank or to search among."""
    max_events: int = Field(default=1000, ge=1)
    """Most events in one request."""
    max_body: int = Field(default=2**20, ge=1024)
    """Most bytes in one request's body."""
    insecure: bool = False
    """Whether to answer other machines without a key where no key was ever made, since something in front checks who asks."""
    open_metrics: bool = False
    """Whether `/metrics` needs no key."""
    rate_limit: float | None = Field(default=None, gt=0)
    """Requests a second of one key, or of one address without a key; by default any number."""
    rate_burst: float | None = Field(default=None, ge=1)
    """Requests at once after a rest; by default as many as the limit allows in one second."""
    cors_origins: str = Field(default="", pattern=r"^(\*|https?://[^\s,/]+(,https?://[^\s,/]+)*)?$")
    """Web pages that may ask from within browsers: origins such as `https://shop.example`, commas between, or `*`."""
    receive_seconds: float = Field(default=30.0, gt=0)
    """So long a request may take to arrive."""
    poll_seconds: float = Field(default=0.25, gt=0, le=0.5)
    """How often to look for a new release."""
    log_format: LogFormat = "text"
    """How the log is written to stderr: `text` for people, `json` for machines, one object a line."""
    log_level: LogLevel = "info"
    """What the log tells at least: `debug`, `info`, `warning` or `error`."""
    access_log: bool = False
    """Whether every request has a line in the log."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can ask at an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_settings(**given: Any) -> Settings:
    """Settings from what was given (None stands for not given), then the environment, then the defaults.

    Raises:
        SettingsInvalid: everything that is wrong, one line each.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except pydantic.ValidationError as error:
        lines = []
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"]))
            option = f"option --{name.replace('_', '-')} or " if name in _OPTIONS else ""
            lines.append(f"{name} = {problem['input']!r}: {problem['msg']} ({option}IRGAN_{name.upper()})")
        raise SettingsInvalid("\n".join(lines)) from error
