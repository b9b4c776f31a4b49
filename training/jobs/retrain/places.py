"""Where a retraining finds the releases and the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from app.place import Place, place_of
from training.jobs.retrain.config import RetrainConfig


@dataclass(frozen=True, slots=True)
class Places:
    """What the configuration names, or else the environment.

    Attributes:
        releases: the folder of releases, or an object store's address.
        store: the address of the store; None where none is named.
    """

    releases: Place
    store: str | None = None

    @classmethod
    def of(cls, config: RetrainConfig, environment: Mapping[str, str]) -> Self:
        """As the service finds them: IRGAN_RELEASES and IRGAN_STORE where the configuration says nothing."""
        store = None if config.data.store is None else config.data.store.url or environment.get("IRGAN_STORE")
        return cls(config.publish.releases or place_of(environment.get("IRGAN_RELEASES", "releases")), store)
