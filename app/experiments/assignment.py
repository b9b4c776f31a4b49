"""Which unit sees which variant: a hash gives every unit a position, and an allocation says whose position it is.

Anybody can recompute it. The position of a unit is the BLAKE2b hash, 8 bytes long and read as one big-endian number, of the UTF-8 text
`SPACE/UNIT`, modulo a million. There are two spaces: `layer/LAYER` decides which experiment of the layer a unit takes part in, if any, and
`experiment/SALT` which of its variants the unit sees. So the two have nothing to do with each other, and neither have experiments of
different salts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson

from app.experiments.spans import Owners, Spans, num_positions, parted, union

NUM_POSITIONS = 1_000_000


def layer_space(layer: str) -> str:
    """Where units meet the experiments of a layer."""
    return f"layer/{layer}"


def variant_space(salt: str) -> str:
    """Where units meet the variants of an experiment."""
    return f"experiment/{salt}"


def position(space: str, unit: str) -> int:
    """Where a unit is in a space, 0 to 999,999."""
    return int.from_bytes(blake2b(f"{space}/{unit}".encode(), digest_size=8).digest(), "big") % NUM_POSITIONS


def positions(space: str, units: Iterable[str]) -> np.ndarray:
    """Where each unit is, int64 [N]."""
    return np.fromiter((position(space, unit) for unit in units), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Allocation:
    """Whose the positions are.

    Attributes:
        layer: positions in the layer's space that the experiment holds.
        variants: positions in the experiment's own space, by variant; together they are all positions. Empty where every unit sees all
            variants at once.
        releases: NAME/VERSION, by variant.
    """

    layer: Spans
    variants: Mapping[str, Spans]
    releases: Mapping[str, str]

    @property
    def traffic(self) -> float:
        """The part of the layer's units that takes part."""
        return num_positions(self.layer) / NUM_POSITIONS

    @property
    def shares(self) -> dict[str, float]:
        """The part of the experiment's units that each variant gets: the propensity of who is assigned now."""
        return {variant: num_positions(spans) / NUM_POSITIONS for variant, spans in self.variants.items()}

    def with_weights(self, weights: Mapping[str, float]) -> Allocation:
        """The same for other weights; no more positions change hands than the shares differ by.

        Args:
            weights: of every variant, relative to each other.
        """
        return replace(self, variants=reallocated(self.variants, weights))

    def as_json(self) -> str:
        """As it is kept."""
        return orjson.dumps({"layer": self.layer, "variants": self.variants, "releases": self.releases}).decode()

    @classmethod
    def from_json(cls, kept: str) -> Allocation:
        """What `as_json` said."""
        found = orjson.loads(kept)
        return cls(
            _spans(found["layer"]), {name: _spans(pairs) for name, pairs in found["variants"].items()}, found["releases"]
        )

    def variant_of(self) -> Owners[str]:
        """Who has which position of the experiment's space."""
        return Owners((spans, variant) for variant, spans in self.variants.items())


def allocated(weights: Mapping[str, float]) -> dict[str, Spans]:
    """All positions, cut by the weights."""
    cuts = np.cumsum([0, *rounded(list(weights.values()))]).tolist()
    return {
        variant: ((start, end),) if end > start else ()
        for variant, start, end in zip(weights, cuts[:-1], cuts[1:], strict=True)
    }


def reallocated(variants: Mapping[str, Spans], weights: Mapping[str, float]) -> dict[str, Spans]:
    """The positions by other weights, made from the former ones by moving as few as possible.

    What a variant has too much goes to those that have too little, and nothing else moves: half the sum over variants of how much the
    number of their positions changes.
    """
    wanted = dict(zip(weights, rounded(list(weights.values())), strict=True))
    found: dict[str, Spans] = {}
    free: Spans = ()
    for variant, spans in variants.items():
        given, found[variant] = parted(spans, max(0, num_positions(spans) - wanted[variant]))
        free = union(free, given)
    for variant, spans in found.items():
        taken, free = parted(free, wanted[variant] - num_positions(spans))
        found[variant] = union(spans, taken)
    assert not free
    return found


def rounded(weights: Sequence[float]) -> list[int]:
    """How many positions each gets by its weight: all together, each to less than one exact (largest remainders, ties to the first)."""
    total = sum(weights)
    exact = [weight / total * NUM_POSITIONS for weight in weights]
    counts = [int(number) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    for place in by_remainder[: NUM_POSITIONS - sum(counts)]:
        counts[place] += 1
    return counts


def _spans(pairs: Sequence[Sequence[Any]]) -> Spans:
    return tuple((int(start), int(end)) for start, end in pairs)
