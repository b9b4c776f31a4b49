"""Embeddings of tokens from which tokens stand near which, without any judgement.

Shapes: T tokens in the vocabulary, E dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

_SMOOTHING = 0.75
"""Exponent of the contexts' frequencies, which holds back associations with rare ones (Levy, Goldberg, Dagan 2015, section 3.2)."""


def cooccurrence_embeddings(
    texts: Sequence[Sequence[int]], *, num_tokens: int, embedding_size: int, window: int = 5
) -> np.ndarray:
    """The leading singular vectors of positive pointwise mutual information, each token's embedding scaled to length 1.

    PPMI = max(0, log p(t, c) − log p(t) p(c)^0.75), cut to U √Σ (Levy, Goldberg, Dagan 2015). A context at distance k counts
    (window + 1 − k) / window.

    Args:
        texts: tokens, 0 being padding.
        num_tokens: T.
        embedding_size: E, if the vocabulary has so many; missing dimensions are zero.
        window: how far a context stands at most.

    Returns:
        float32 [T, E]; a token without context is zero.
    """
    gap = [0] * window
    stream = np.array([token for text in texts for token in (*text, *gap)], dtype=np.int64)
    counts_TT = sp.csr_matrix((num_tokens, num_tokens))
    for distance in range(1, window + 1):
        left, right = stream[:-distance], stream[distance:]
        both = (left > 0) & (right > 0)
        weights = np.full(int(both.sum()), (window + 1 - distance) / window)
        counts_TT = counts_TT + sp.csr_matrix((weights, (left[both], right[both])), shape=counts_TT.shape)
    counts = (counts_TT + counts_TT.T).tocoo()
    embeddings_TE = np.zeros((num_tokens, embedding_size))
    rank = min(embedding_size, num_tokens - 1)
    if not counts.nnz:
        return embeddings_TE.astype(np.float32)
    sums_T = np.asarray(counts.sum(axis=1)).ravel()
    contexts_T = sums_T**_SMOOTHING / (sums_T**_SMOOTHING).sum()
    information = np.log(counts.data / sums_T[counts.row] / contexts_T[counts.col])
    ppmi_TT = sp.csr_matrix((np.maximum(information, 0.0), (counts.row, counts.col)), shape=counts.shape)
    # The start is given, for the solver's own comes from the global state; signs are arbitrary and are fixed.
    left_TE, values_E, _ = svds(ppmi_TT, k=rank, v0=np.ones(num_tokens))
    left_TE = left_TE * np.sign(left_TE[np.abs(left_TE).argmax(axis=0), np.arange(rank)])
    embeddings_TE[:, :rank] = (left_TE * np.sqrt(values_E))[:, ::-1]
    embeddings_TE[sums_T == 0] = 0.0  # but for rounding they are
    lengths_T1 = np.linalg.norm(embeddings_TE, axis=1, keepdims=True)
    np.divide(embeddings_TE, lengths_T1, out=embeddings_TE, where=lengths_T1 > 1e-9)
    return embeddings_TE.astype(np.float32)
