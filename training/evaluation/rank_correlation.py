"""Kendall's τ of two rankers' orders, many users at once.

Shapes: B users (or queries), I items, M blocks of S items, K the length of lists.
"""

from __future__ import annotations

import numpy as np

_CELLS = 2**18
"""Items looked at together; so many fit a processor's cache."""
_SMALLEST_BLOCK, _LARGEST_BLOCK = 64, 255
"""Of S; a byte counts the pairs of an item within its block."""


def score_levels(scores_BI: np.ndarray, order_BI: np.ndarray) -> np.ndarray:
    """How many different scores of the user are higher than the item's, int32 [B, I]; items of equal score share a level.

    Args:
        scores_BI: the greater, the better.
        order_BI: item rows from best to worst.
    """
    sorted_BI = np.take_along_axis(scores_BI, order_BI, axis=1)
    ranked_BI = np.zeros(order_BI.shape, dtype=np.int32)
    np.cumsum(sorted_BI[:, 1:] != sorted_BI[:, :-1], axis=1, out=ranked_BI[:, 1:])
    levels_BI = np.empty_like(ranked_BI)
    np.put_along_axis(levels_BI, order_BI, ranked_BI, axis=1)
    return levels_BI


def kendall_tau(levels_BI: np.ndarray, others_BI: np.ndarray, excluded_BI: np.ndarray | None = None) -> np.ndarray:
    """τ_b of each user's two orders of the same items, float64 [B] (Kendall 1945).

    τ_b = (C − D) / √((n₀ − n₁)(n₀ − n₂)), where of all n₀ pairs of candidates C are ordered alike by both, D are ordered the other way
    round, and n₁ and n₂ are tied in the one and in the other. NaN where one of the two ties everything.

    Args:
        levels_BI: int32, lower is better, equal is tied.
        others_BI: the same of the other ranker.
        excluded_BI: items that are no candidates, in neither order.
    """
    num_users, num_items = levels_BI.shape
    width = max(1, _CELLS // max(1, num_items))
    parts = [np.zeros(0)]
    for start in range(0, num_users, width):
        batch = slice(start, start + width)
        excluded = np.zeros_like(levels_BI[batch], dtype=bool) if excluded_BI is None else excluded_BI[batch]
        parts.append(_tau(levels_BI[batch], others_BI[batch], excluded))
    return np.concatenate(parts)


def list_tau(first_BK: np.ndarray, second_BK: np.ndarray) -> np.ndarray:
    """τ of the items that stand in both of each user's lists, float64 [B]; NaN where they are fewer than two. Lists have no ties.

    Args:
        first_BK: item rows, best first; −1 where there are no more.
        second_BK: the same of the other ranker, of as many users; perhaps longer or shorter.
    """
    num_users, depth = first_BK.shape
    rows = int(max(first_BK.max(initial=-1), second_BK.max(initial=-1))) + 1
    (users_N, places_N), (users_M, places_M) = np.nonzero(first_BK >= 0), np.nonzero(second_BK >= 0)
    keys_N = users_N * rows + first_BK[users_N, places_N]
    keys_M = users_M * rows + second_BK[users_M, places_M]
    _, mine, others = np.intersect1d(keys_N, keys_M, assume_unique=True, return_indices=True)
    others_BK = np.full((num_users, depth), -1, dtype=np.int32)
    others_BK[users_N[mine], places_N[mine]] = places_M[others]
    # Levels are those of the shared items alone: how many of them stand higher in the other list.
    order_BK = np.argsort(np.where(others_BK < 0, second_BK.shape[1], others_BK), axis=1, kind="stable")
    levels_BK = np.empty_like(others_BK)
    np.put_along_axis(levels_BK, order_BK, np.arange(depth, dtype=np.int32)[None, :], axis=1)
    own_BK = np.broadcast_to(np.arange(depth, dtype=np.int32), first_BK.shape)
    return kendall_tau(own_BK, levels_BK, others_BK < 0)


def _tau(levels_BI: np.ndarray, others_BI: np.ndarray, excluded_BI: np.ndarray) -> np.ndarray:
    num_items = levels_BI.shape[1]
    bits = num_items.bit_length()  # a level, and the level after the last, fit into so many
    kind = np.int32 if 2 * bits < 31 else np.int64
    last = (1 << bits) - 1
    keys_BI = np.where(excluded_BI, (last << bits) | last, (levels_BI.astype(kind) << bits) | others_BI)
    keys_BI.sort(axis=1)  # by the first order, its ties by the second; what is excluded comes last
    num_B = num_items - np.count_nonzero(excluded_BI, axis=1)
    tied_first_B, tied_both_B = _tied_pairs(keys_BI >> bits, num_B), _tied_pairs(keys_BI, num_B)
    keys_BI = ((keys_BI & last) << bits) | np.arange(num_items, dtype=kind)
    keys_BI.sort(axis=1)  # by the second order; the lower bits tell the place in the first
    tied_second_B = _tied_pairs(keys_BI >> bits, num_B)
    discordant_B = inversions(keys_BI & last)
    pairs_B = num_B * (num_B - 1) // 2
    concordant_B = pairs_B - tied_first_B - tied_second_B + tied_both_B - discordant_B
    # The root of the product, not the product of roots: of equal orders τ is then 1 to the last bit.
    untied_B = np.sqrt((pairs_B - tied_first_B).astype(np.float64) * (pairs_B - tied_second_B))
    tau_B = np.full(len(untied_B), np.nan)
    np.divide(concordant_B - discordant_B, untied_B, out=tau_B, where=untied_B > 0)
    return tau_B


def _tied_pairs(sorted_BI: np.ndarray, num_B: np.ndarray) -> np.ndarray:
    """Pairs of equal values among the first `num_B` of each sorted row, int64 [B]."""
    places_I = np.arange(sorted_BI.shape[1], dtype=np.int32)
    starts_BI = np.zeros(sorted_BI.shape, dtype=np.int32)  # where the run of equal values began
    np.multiply(sorted_BI[:, 1:] != sorted_BI[:, :-1], places_I[1:], out=starts_BI[:, 1:])
    np.maximum.accumulate(starts_BI, axis=1, out=starts_BI)
    found_B: np.ndarray = ((places_I - starts_BI) * (places_I < num_B[:, None])).sum(axis=1, dtype=np.int64)
    return found_B


def inversions(places_BI: np.ndarray) -> np.ndarray:
    """How many pairs of each row stand in falling order, int64 [B]; every row holds 0 … I − 1, each once."""
    num_users, num_items = places_BI.shape
    # Pairs within a block are compared one by one, I·S in all, and pairs of blocks by their sizes, (I / S)² in all: S goes with I^⅓.
    block = min(_LARGEST_BLOCK, max(_SMALLEST_BLOCK, round(4 * num_items ** (1 / 3))))
    num_blocks = max(1, -(-num_items // block))
    kind = np.int16 if num_blocks * block < 2**15 else np.int32
    filled_BI = np.empty((num_users, num_blocks * block), dtype=kind)
    filled_BI[:, :num_items] = places_BI
    filled_BI[:, num_items:] = np.arange(num_items, num_blocks * block)
    inverse_BI = np.empty_like(filled_BI)
    np.put_along_axis(inverse_BI, filled_BI.astype(np.int64), np.arange(filled_BI.shape[1], dtype=kind)[None, :], axis=1)
    columns_BI = filled_BI // block
    # A pair stands in one block of places; else its values are in one block; else it is told by the blocks alone.
    within_B = _falling_within_blocks(filled_BI, block) + _falling_within_blocks(inverse_BI // block, block)
    rows_BI = np.arange(num_users * num_blocks).repeat(block).reshape(columns_BI.shape)
    cells = (rows_BI * num_blocks + columns_BI).ravel()
    sizes_BMM = np.bincount(cells, minlength=num_users * num_blocks**2).reshape(num_users, num_blocks, num_blocks)
    earlier_BMM = np.cumsum(sizes_BMM, axis=1) - sizes_BMM
    earlier_and_higher_BMM = earlier_BMM.sum(axis=2, keepdims=True) - np.cumsum(earlier_BMM, axis=2)
    inversions_B: np.ndarray = within_B + np.einsum("bij,bij->b", sizes_BMM, earlier_and_higher_BMM)
    return inversions_B


def _falling_within_blocks(values_BI: np.ndarray, block: int) -> np.ndarray:
    """Pairs of a block of S neighbours whose first value is the higher one, int64 [B]."""
    values_SX = np.ascontiguousarray(values_BI.reshape(-1, block).T)
    falling_SX = np.zeros(values_SX.shape, dtype=np.uint8)  # at most S − 1 for each
    for step in range(1, block):
        falling_SX[step:] += values_SX[:-step] > values_SX[step:]
    found_B: np.ndarray = falling_SX.sum(axis=0, dtype=np.int64).reshape(len(values_BI), -1).sum(axis=1)
    return found_B
