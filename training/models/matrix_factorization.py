"""Matrix factorisation with an item bias: s(u, i) = ⟨p_u, q_i⟩ + b_i.

Shapes: B users in the batch, U users, I items, D embedding, N pairs, K items beside one user.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding


class MatrixFactorization(nn.Module):
    """User factors, item factors and item biases; both players of IRGAN are one each (Wang et al. 2017, section 4.2).

    Args:
        num_users: U.
        num_items: I.
        embedding_size: D.
        init_std: standard deviation of the factors' normal start.
        bias_I: where the item biases start; None for zero.
        generator: the source of the start.
    """

    item_axes: ClassVar[dict[str, int]] = {"items_ID": 0, "bias_I": 0}
    user_axes: ClassVar[dict[str, int]] = {"users_UD": 0}

    def __init__(
        self,
        *,
        num_users: int,
        num_items: int,
        embedding_size: int,
        init_std: float,
        generator: torch.Generator,
        bias_I: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.users_UD = nn.Parameter(torch.randn(num_users, embedding_size, generator=generator) * init_std)
        self.items_ID = nn.Parameter(torch.randn(num_items, embedding_size, generator=generator) * init_std)
        self.bias_I = nn.Parameter(torch.zeros(num_items) if bias_I is None else bias_I.clone())

    def forward(self, users_B: Tensor) -> Tensor:
        """Scores of all items, float32 [B, I]."""
        return torch.addmm(self.bias_I, self.users_UD[users_B], self.items_ID.T)

    def pair_scores(self, users_N: Tensor, items_NK: Tensor) -> Tensor:
        """Scores of K items for each of N users, float32 [N, K]; the cost does not depend on the size of the catalogue."""
        users_ND, items_NKD = embedding(users_N, self.users_UD), embedding(items_NK, self.items_ID)
        bias_NK = embedding(items_NK, self.bias_I[:, None]).squeeze(2)
        return torch.einsum("nd,nkd->nk", users_ND, items_NKD) + bias_NK

    def squared_norm(self, users_B: Tensor) -> Tensor:
        """‖p_B‖² + B/U · ‖q‖², a scalar: over the batches of a pass it adds up to the squared norm of all factors."""
        share = len(users_B) / len(self.users_UD)
        return self.users_UD[users_B].square().sum() + share * self.items_ID.square().sum()

    def vectors(self) -> tuple[Tensor, Tensor]:
        """Users [U, D + 1] and items [I, D + 1] whose inner product is the score: the bias stands in the last dimension."""
        users_UD, items_ID, bias_I = self.users_UD.detach(), self.items_ID.detach(), self.bias_I.detach()
        return torch.cat([users_UD, torch.ones_like(users_UD[:, :1])], dim=1), torch.cat([items_ID, bias_I[:, None]], dim=1)
