"""One answer out of several rankers' lists, and from its clicks, which ranker is better. See `docs/interleaving.md`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b

import numpy as np

from app.experiments.interleaving.crediting import credit
from app.experiments.interleaving.drafts import balanced, team_draft
from app.experiments.interleaving.interleaved import METHODS, Interleaved, Method, first_unlike
from app.experiments.interleaving.optimisation import optimised

__all__ = ["METHODS", "Interleaved", "Method", "credit", "interleave", "mixed"]

_METHODS = {"team-draft": team_draft, "balanced": balanced, "optimised": optimised}


def interleave(
    rankings: Sequence[Sequence[Hashable]], k: int, rng: np.random.Generator, method: Method = "team-draft"
) -> Interleaved:
    """Mix rankings to one list in which each item stands once.

    It has k items, or, if all rankings together have fewer, all of them: where one has no more, the others go on.

    Args:
        rankings: item ids, best first, of V rankers; methods other than `team-draft` take two.
        k: how many items to answer, 1 or more.
        rng: the same state gives the same list.
        method: how.
    """
    assert k >= 1 and len(rankings) >= 2
    assert method == "team-draft" or len(rankings) == 2, f"{method} mixes two rankers"
    return _METHODS[method]([first_unlike(ranking, k) for ranking in rankings], k, rng)


def mixed(method: Method, rankings: Sequence[Sequence[Hashable]], k: int, seed: str) -> Interleaved:
    """Several rankings as one.

    Args:
        method: how.
        rankings: ids, best first, of each variant.
        k: how many items to answer.
        seed: what chance depends on, the request's id, so that it can be told again.
    """
    number = int.from_bytes(blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return interleave(rankings, k, np.random.default_rng(number), method)
