"""The partition function: enumeration against all pairs of states, annealed importance sampling against enumeration.

Shapes: D visible units, H hidden units, V and S all states of either.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training.objectives.annealed_importance import annealed_log_partition, exact_log_partition


def parameters(num_visible: int, num_hidden: int, *, scale: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        scale * torch.randn(num_hidden, num_visible, generator=generator),
        scale * torch.randn(num_visible, generator=generator),
        scale * torch.randn(num_hidden, generator=generator),
    )


def states(num_units: int) -> Tensor:
    return ((torch.arange(2**num_units)[:, None] >> torch.arange(num_units)) & 1).double()


@pytest.mark.parametrize(("num_visible", "num_hidden"), [(7, 3), (3, 7), (5, 5), (8, 1)])
def test_enumeration_is_the_sum_over_all_pairs_of_states(num_visible: int, num_hidden: int) -> None:
    """Z = Σ_v Σ_h exp(hᵀWv + bᵀv + cᵀh), whichever side is the smaller."""
    weights_HD, b, c = parameters(num_visible, num_hidden, scale=1.5, seed=0)
    visible_VD, hidden_SH = states(num_visible), states(num_hidden)
    exponents_VS = (
        visible_VD @ weights_HD.T.double() @ hidden_SH.T + (visible_VD @ b.double())[:, None] + hidden_SH @ c.double()
    )
    found = exact_log_partition(weights_HD, b, c)
    assert found.value == pytest.approx(float(torch.logsumexp(exponents_VS.flatten(), 0)))
    assert found.low == found.value == found.high


def test_enumeration_goes_on_past_one_block_of_states() -> None:
    """Independent units have Z = 2^H Π (1 + exp b_i); 16 units make several blocks."""
    b = torch.linspace(-2.0, 2.0, 18)
    found = exact_log_partition(torch.zeros(16, 18), b, torch.zeros(16))
    assert found.value == pytest.approx(16 * 0.6931471805599453 + float(functional.softplus(b.double()).sum()))


@pytest.mark.parametrize("scale", [0.2, 0.6, 1.2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_interval_holds_the_exact_value(scale: float, seed: int) -> None:
    """Nine RBMs, from nearly independent units to strong weights; the interval is a narrow one."""
    weights_HD, b, c = parameters(20, 8, scale=scale, seed=seed)
    exact = exact_log_partition(weights_HD, b, c).value
    found = annealed_log_partition(
        weights_HD,
        b,
        c,
        base_bias_D=0.5 * b,
        betas=torch.linspace(0, 1, 300),
        num_chains=400,
        generator=torch.Generator().manual_seed(10 + seed),
    )
    assert found.low < exact < found.high
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.2


def test_without_weights_every_chain_has_the_exact_answer() -> None:
    """The base is the model, so all weights are 1 and the interval is a point."""
    b = torch.tensor([-1.0, 0.5, 2.0])
    found = annealed_log_partition(
        torch.zeros(4, 3),
        b,
        torch.zeros(4),
        base_bias_D=b,
        betas=torch.linspace(0, 1, 5),
        num_chains=10,
        generator=torch.Generator().manual_seed(0),
    )
    exact = exact_log_partition(torch.zeros(4, 3), b, torch.zeros(4)).value
    assert found.value == pytest.approx(exact)
    assert found.high - found.low < 1e-9


def test_few_temperatures_are_unbiased_but_unsure() -> None:
    """With three temperatures the weights scatter, the interval says so, and Z averaged over many estimates is still Z."""
    weights_HD, b, c = parameters(8, 4, scale=0.5, seed=3)
    exact = exact_log_partition(weights_HD, b, c).value
    random = torch.Generator().manual_seed(4)

    def estimate(num_betas: int, num_chains: int) -> tuple[float, float]:
        found = annealed_log_partition(
            weights_HD,
            b,
            c,
            base_bias_D=torch.zeros(8),
            betas=torch.linspace(0, 1, num_betas),
            num_chains=num_chains,
            generator=random,
        )
        return found.value, found.high - found.low

    assert estimate(3, 20_000)[0] == pytest.approx(exact, abs=0.05)
    assert estimate(3, 200)[1] > 2 * estimate(100, 200)[1]
