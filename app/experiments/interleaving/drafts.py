"""Interleaving by turns: team-draft, for any number of rankers, and balanced.

Shapes: V rankers, K positions.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from app.experiments.interleaving.interleaved import Interleaved


def team_draft(rankings: Sequence[Sequence[Hashable]], k: int, rng: np.random.Generator) -> Interleaved:
    """Team-draft interleaving (Radlinski, Kurup, Joachims 2008); of more than two, team-draft multileaving (Schuth et al. 2014).

    In each round every ranker brings once, in random order, the best of its items that is not there yet. Who has nothing left
    sits out, so that the answer is as long as it can be.

    Args:
        rankings: V lists of different items, best first, each at least K long or complete.
        k: K.
        rng: whose turn it is.
    """
    draws = rng.random(k).tolist()
    depths = [0] * len(rankings)
    teams: dict[Hashable, int] = {}
    waiting: list[int] = []
    propensity = 1.0
    while len(teams) < k:
        waiting = _able(waiting, rankings, depths, teams) or _able(range(len(rankings)), rankings, depths, teams)
        if not waiting:
            break
        ranker = waiting.pop(int(draws[len(teams)] * len(waiting)))
        propensity /= len(waiting) + 1
        teams[rankings[ranker][depths[ranker]]] = ranker
    return Interleaved(
        method="team-draft", items=list(teams), teams=list(teams.values()), num_rankers=len(rankings), propensity=propensity
    )


def balanced(rankings: Sequence[Sequence[Hashable]], k: int, rng: np.random.Generator) -> Interleaved:
    """Balanced interleaving of two rankers (Joachims 2002, 2003).

    The answer's first items are, as far as can be, equally many of the first of both; a coin says who is one ahead.

    Args:
        rankings: two lists of different items, best first, each at least K long or complete.
        k: K.
        rng: the coin.
    """
    leader = int(rng.random() < 0.5)
    depths = [0, 0]
    teams: dict[Hashable, int] = {}
    left = [len(ranking) for ranking in rankings]
    while len(teams) < k and any(left):
        turn = leader if depths[leader] <= depths[1 - leader] else 1 - leader
        if not left[turn]:
            turn = 1 - turn
        teams.setdefault(rankings[turn][depths[turn]], turn)
        depths[turn] += 1
        left[turn] -= 1
    first, second = ({item: rank for rank, item in enumerate(ranking[:k], 1)} for ranking in rankings)
    return Interleaved(
        method="balanced",
        items=list(teams),
        teams=list(teams.values()),
        num_rankers=2,
        propensity=0.5 if all(rankings) else 1.0,
        ranks=([first.get(item, 0) for item in teams], [second.get(item, 0) for item in teams]),
    )


def _able(
    who: Sequence[int], rankings: Sequence[Sequence[Hashable]], depths: list[int], there: dict[Hashable, int]
) -> list[int]:
    """Those of the rankers that have an item which is not there yet; their depths move on to it."""
    found = []
    for ranker in who:
        ranking, depth = rankings[ranker], depths[ranker]
        while depth < len(ranking) and ranking[depth] in there:
            depth += 1
        depths[ranker] = depth
        if depth < len(ranking):
            found.append(ranker)
    return found
