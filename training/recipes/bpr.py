"""BPR: matrix factorisation that orders pairs (Rendle et al. 2009).

Shapes: N pairs of a batch, P positives, U users, I items.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import embedding

from app.bundle import HistoryPolicy, VectorModel
from training.config import RankerConfig
from training.data import Interactions
from training.data.batches import shuffled
from training.export import fit_fold_in
from training.loop import Run
from training.models.matrix_factorization import MatrixFactorization
from training.objectives.irgan import pairwise_loss
from training.ranker import TrainedRanker

_INIT_STD = 0.1


class Config(RankerConfig):
    """Hyper-parameters; the defaults are the best of a sweep on MovieLens 100K's training part."""

    embedding_size: int = Field(default=64, ge=1)
    """Dimensions of the factors, the bias not counted."""
    learning_rate: float = Field(default=0.005, gt=0)
    """Of Adam."""
    l2: float = Field(default=0.012, ge=0)
    """λ of the factors that take part in a pair; biases go free."""
    num_epochs: int = Field(default=40, ge=1)
    """Passes over the liked items."""
    batch_size: int = Field(default=1024, ge=1)
    """Pairs."""


def train(data: Interactions, config: Config, run: Run) -> TrainedRanker:
    """Each liked item against a random other one; a new person's vector comes from a ridge regression on the known ones."""
    random = run.generator()
    liked = data.positives()
    model = MatrixFactorization(
        num_users=data.num_users,
        num_items=data.num_items,
        embedding_size=config.embedding_size,
        init_std=_INIT_STD,
        generator=random,
    ).to(run.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate, fused=True)
    users_P, items_P = torch.from_numpy(liked.user_rows), torch.from_numpy(liked.item_rows)
    known = torch.from_numpy(np.sort(liked.user_rows * data.num_items + liked.item_rows))
    with run.phase("fit", config.num_epochs, model=model, optimizer=optimizer, random=random) as phase:
        for _ in phase:
            total = 0.0
            for chosen in shuffled(np.arange(len(liked)), config.batch_size, random):
                users_N, positives_N = users_P[chosen], items_P[chosen]
                negatives_N = torch.randint(data.num_items, users_N.shape, generator=random)
                keys_N = users_N * data.num_items + negatives_N
                # A draw that the user liked teaches nothing.
                is_known_N = known[torch.searchsorted(known, keys_N).clamp(max=len(known) - 1)] == keys_N
                pairs_N2 = torch.stack([positives_N, negatives_N], dim=1).to(run.device)
                users_N, weights_N = users_N.to(run.device), (~is_known_N).float().to(run.device)
                scores_N2 = model.pair_scores(users_N, pairs_N2)
                penalty = embedding(users_N, model.users_UD).square().sum() + embedding(pairs_N2, model.items_ID).square().sum()
                loss = pairwise_loss(scores_N2[:, 0], scores_N2[:, 1], weights_N) + config.l2 * penalty
                optimizer.zero_grad()
                (loss / len(chosen)).backward()
                optimizer.step()
                total += loss.item()
            phase.log(loss=total / len(liked))
    users_UD, items_ID = (vectors.cpu().numpy() for vectors in model.vectors())
    policy = HistoryPolicy(data.positive_threshold)
    histories = liked.histories()
    encoder = fit_fold_in(users_UD, items_ID, histories)
    # The factors of a user without a liked item have learned nothing; the encoder of an empty history has.
    unknown_U = histories.lengths == 0
    users_UD[unknown_U] = encoder.encode(histories.take(np.flatnonzero(unknown_U)))
    return TrainedRanker(VectorModel(items_ID, encoder, policy, users_UD), bias_folded=True)
