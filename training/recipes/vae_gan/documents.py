"""The game on documents: a bag holds terms and their weights, and what is wanted is not the reconstruction but where documents lie.

The encoder is given a bag scaled to norm 1, as is usual for texts. Nothing else differs from the ranker's game.

Shapes: I documents, T terms, M members, Z latent dimensions, H units of the discriminator's l-th layer, B documents of a batch.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from pydantic import Field
from torch import Tensor

from training.data.batches import log_shares
from training.loop import Run
from training.models.layers import by_norm
from training.recipes.vae_gan.config import GameConfig
from training.recipes.vae_gan.learn import learn_bags


class DocumentConfig(GameConfig):
    """The game's settings with defaults for documents; how they were chosen stands on the ranker's page."""

    num_members: int = Field(default=1, ge=1)
    """Games played at once, each with its own three networks; of their cosines the mean is taken. The paper has one."""
    hidden_size: int = Field(default=0, ge=0)
    """Tanh units of each encoder; 0 for none."""
    embedding_size: int = Field(default=400, ge=1)
    """Dimensions of the code z."""
    targets: Literal["hidden", "all"] = "all"
    """What the decoder makes: the terms hidden from the encoder, beside the visible ones, or `all` of the document, as in the paper."""
    similarity_layer: int = Field(default=1, ge=1)
    """l: the layer of the discriminator whose units are compared."""

    @property
    def without_game(self) -> DocumentConfig:
        """The same with no say for the discriminator: what is left is a plain variational autoencoder."""
        return self.model_copy(update={"encoder_similarity_weight": 0.0, "similarity_weight": 0.0, "gan_weight": 0.0})


class Places(NamedTuple):
    """Where the documents lie.

    Attributes:
        codes_MIZ: means of q(z|x), float32.
        features_MIH: Dis_l(x), the space in which the learned similarity measures, float32.
    """

    codes_MIZ: np.ndarray
    features_MIH: np.ndarray


def place_documents(weights_IT: sp.csr_matrix, config: DocumentConfig, run: Run, *, name: str = "fit") -> Places:
    """Play the game on documents, and say where each of them lies.

    Args:
        weights_IT: of each term in each document, at least 0.
        config: of the game.
        run: where and how.
        name: of the phase.
    """

    def bags(rows_B: np.ndarray) -> Tensor:
        return torch.from_numpy(weights_IT[rows_B].toarray()).float().to(run.device)

    totals_T = torch.from_numpy(np.asarray(weights_IT.sum(axis=0)).ravel()).float()
    rows = np.flatnonzero(np.diff(weights_IT.indptr))  # an empty document has nothing to tell
    vae, discriminator = learn_bags(
        bags,
        rows,
        config,
        run,
        initial_bias_I=log_shares(totals_T),
        name=name,
        num_members=config.num_members,
        num_epochs=config.num_epochs,
        inputs=by_norm,
    )
    codes, features = [], []
    with torch.no_grad():
        for rows_B in np.array_split(np.arange(weights_IT.shape[0]), -(-weights_IT.shape[0] // config.batch_size)):
            bags_BT = bags(rows_B)
            codes.append(vae.encoder(by_norm(bags_BT))[0].cpu().numpy())
            features.append(discriminator(bags_BT.expand(config.num_members, -1, -1)).features_MBH.cpu().numpy())
    return Places(np.concatenate(codes, axis=1), np.concatenate(features, axis=1))
