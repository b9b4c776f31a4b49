"""Warm starts: a training that begins with the weights an earlier one left, on data with other items and users.

A network says which axis of which parameter counts items or users, in `item_axes` and `user_axes`. Along such an axis, values are carried over
by id, and new ids keep their fresh start; other parameters are carried over whole. Buffers are not: they tell of the data, and those are others.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from app.bundle import Vocabulary, sha256_of
from training.checkpoint import load_checkpoint, save_checkpoint
from training.data import Interactions
from training.errors import TrainingError

_log = logging.getLogger(__name__)

Parameters = dict[str, Tensor]


class DoesNotFit(TrainingError):
    """A network cannot begin with the weights; it has not been changed."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What a training left.

    Attributes:
        items: ids of its items in the order of its rows, None for those that nobody had in its data, of which it knows nothing.
        users: likewise.
        until: the time of the latest event that it, or what it began with, learned from; seconds since 1970.
        networks: phase/name → parameters; the phase is the first one that a network took part in.
    """

    items: list[str | None]
    users: list[str | None]
    until: int
    networks: dict[str, Parameters] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Replace what is at `folder`.

        Raises:
            OSError: it cannot be written.
        """
        save_checkpoint({name: getattr(self, name) for name in self.__dataclass_fields__}, folder)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What was saved at `folder`, or None where nothing was.

        Raises:
            DataError: it is damaged.
        """
        state = load_checkpoint(folder)
        return None if state is None else cls(**state)


class WarmStart:
    """The networks of one training: each begins with its weights of an earlier training, if there is one, and leaves its own.

    Args:
        data: what is learned from now.
        source: what an earlier training left.

    Attributes:
        left: what this one leaves; of a training without networks, nothing.
    """

    def __init__(self, data: Interactions, source: Weights | None = None) -> None:
        assert data.times is not None
        until = int(data.times.max())
        if source is not None:
            until = max(until, source.until)
        self.left = Weights(_with_events(data.items, data.item_rows), _with_events(data.users, data.user_rows), until)
        self._source = source
        self._rows = {
            kind: _Rows.common([] if source is None else getattr(source, kind), vocabulary.ids)
            for kind, vocabulary in (("items", data.items), ("users", data.users))
        }
        self._names: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()

    def begin(self, phase: str, stateful: Mapping[str, Any]) -> None:
        """Give weights to the networks of a phase that have not been in one before.

        Raises:
            DoesNotFit: the source has none of this shape, or no item in common.
        """
        for name, network in _networks(stateful).items():
            if network in self._names:
                continue
            key = self._names[network] = f"{phase}/{name}"
            if self._source is not None:
                self._fill(network, key, self._source.networks.get(key))

    def end(self, stateful: Mapping[str, Any]) -> None:
        """Keep the weights of a phase's networks as they are now."""
        for network in _networks(stateful).values():
            self.left.networks[self._names[network]] = {
                name: parameter.detach().cpu().clone() for name, parameter in network.named_parameters()
            }

    @property
    def carried(self) -> str:
        """How many ids were known, in words."""
        return ", ".join(f"{len(rows.old):,} of {rows.num_new:,} {kind}" for kind, rows in self._rows.items())

    @torch.no_grad()
    def _fill(self, network: nn.Module, key: str, values: Parameters | None) -> None:
        if not len(self._rows["items"].old):
            raise DoesNotFit("none of its items is in these data")
        axes, fresh = axes_of(network), dict(network.named_parameters())
        if values is None or values.keys() != fresh.keys():
            raise DoesNotFit(f"it left other networks than {key}")
        filled = {}
        for name, parameter in fresh.items():
            axis, kind = axes.get(name, (0, None))
            value = values[name] if kind is None else self._rows[kind].carried(values[name], parameter.detach().cpu(), axis)
            if value is None or value.shape != parameter.shape:
                shapes = " and ".join(str(tuple(one.shape)) for one in (values[name], parameter))
                raise DoesNotFit(f"{name} of {key} has another shape: {shapes}")
            filled[name] = value
        for name, value in filled.items():
            fresh[name].copy_(value)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows of the ids that both trainings have, in either, int64.

    Attributes:
        old, new: as many of the earlier training as of this one, in pairs.
        num_old, num_new: all rows of either.
    """

    old: Tensor
    new: Tensor
    num_old: int
    num_new: int

    @classmethod
    def common(cls, old: Sequence[str | None], new: Sequence[str]) -> Self:
        places = {one: row for row, one in enumerate(old)}
        pairs = [(places[one], row) for row, one in enumerate(new) if one in places]
        both = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
        return cls(both[:, 0], both[:, 1], len(old), len(new))

    def carried(self, value: Tensor, fresh: Tensor, axis: int) -> Tensor | None:
        """What is fresh, with the values of common ids along an axis; None where the axis counts something else.

        Channels of a history lie one behind the other along it.
        """
        num_channels, rest = divmod(fresh.shape[axis], self.num_new)
        shape = list(fresh.shape)
        shape[axis] = num_channels * self.num_old
        if rest or list(value.shape) != shape:
            return None
        old, new = (
            torch.cat([rows + channel * count for channel in range(num_channels)])
            for rows, count in ((self.old, self.num_old), (self.new, self.num_new))
        )
        return fresh.index_copy(axis, new, value.index_select(axis, old))


def fingerprint_of(folder: Path) -> str | None:
    """What saved weights are told by; None where there are none."""
    sums = folder / "sha256.json"
    return sha256_of(sums) if sums.is_file() else None


def _networks(stateful: Mapping[str, Any]) -> dict[str, nn.Module]:
    """Those with something to carry over, each once, by the first of its names."""
    found: dict[nn.Module, str] = {}
    for name, thing in stateful.items():
        if isinstance(thing, nn.Module) and any(True for _ in thing.parameters()):
            found.setdefault(thing, name)
    return {name: network for network, name in found.items()}


def _with_events(vocabulary: Vocabulary, rows: np.ndarray) -> list[str | None]:
    has_event = np.bincount(rows, minlength=len(vocabulary)) > 0
    return [one if has else None for one, has in zip(vocabulary.ids, has_event.tolist(), strict=True)]


def axes_of(network: nn.Module) -> dict[str, tuple[int, str | None]]:
    """Parameter → its axis of items or users, and of which."""
    found: dict[str, tuple[int, str | None]] = {}
    for prefix, part in network.named_modules():
        for kind in ("item", "user"):
            declared: Mapping[str, int] = getattr(part, f"{kind}_axes", {})
            found |= {f"{prefix}.{name}" if prefix else name: (axis, f"{kind}s") for name, axis in declared.items()}
    return found
