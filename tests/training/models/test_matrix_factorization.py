"""The matrix factorisation: one score, however it is asked for."""

from __future__ import annotations

import pytest
import torch

from training.models.matrix_factorization import MatrixFactorization


@pytest.fixture
def model() -> MatrixFactorization:
    """4 users, 6 items, 3 dimensions, biases 0 to 5."""
    return MatrixFactorization(
        num_users=4,
        num_items=6,
        embedding_size=3,
        init_std=1.0,
        generator=torch.Generator().manual_seed(1),
        bias_I=torch.arange(6.0),
    )


def test_all_scores_pair_scores_and_exported_vectors_agree(model: MatrixFactorization) -> None:
    """Expected: ⟨p_u, q_i⟩ + b_i, written out; the exported form is an inner product with the bias as one more dimension."""
    users_B = torch.tensor([2, 0])
    expected_BI = model.users_UD[users_B] @ model.items_ID.T + model.bias_I
    items_NK = torch.tensor([[5, 1], [0, 3]])
    users_UD, items_ID = model.vectors()
    torch.testing.assert_close(model(users_B), expected_BI)
    torch.testing.assert_close(model.pair_scores(users_B, items_NK), expected_BI.gather(1, items_NK))
    torch.testing.assert_close(users_UD[users_B] @ items_ID.T, expected_BI.detach())


def test_squared_norms_of_batches_add_up_to_that_of_all_factors(model: MatrixFactorization) -> None:
    """A pass over the users applies the prior once, however they are cut into batches; biases are free."""
    whole = model.users_UD.square().sum() + model.items_ID.square().sum()
    parts = model.squared_norm(torch.tensor([3])) + model.squared_norm(torch.tensor([0, 2, 1]))
    torch.testing.assert_close(parts, whole)


def test_the_start_is_a_function_of_the_random_source() -> None:
    """Nothing is drawn from global state."""

    def start(seed: int) -> torch.Tensor:
        random = torch.Generator().manual_seed(seed)
        return MatrixFactorization(num_users=2, num_items=2, embedding_size=2, init_std=0.1, generator=random).users_UD

    assert torch.equal(start(3), start(3))
    assert not torch.equal(start(3), start(4))
