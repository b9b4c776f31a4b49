"""How an energy model learns from samples of itself: contrastive divergence, and what is watched meanwhile.

For p(v) = exp(−F(v)) / Z the gradient of the mean log-likelihood is −E_data[∇F] + E_model[∇F]. Contrastive divergence (Hinton 2002)
takes the second expectation over chains that start at the data and run for k steps; the persistent form (Tieleman 2008) over chains
that go on from where they were before the last update.

Shapes: B rows in the batch, N chains, D visible units.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Step = Callable[[Tensor], Tensor]
"""One step of a Markov chain, for many chains at once."""
FreeEnergy = Callable[[Tensor], Tensor]
"""F of each row [B]."""


def run_chains(step: Step, start: Tensor, num_steps: int) -> Tensor:
    """Where chains are after k steps; no gradient flows through them."""
    state = start
    with torch.no_grad():
        for _ in range(num_steps):
            state = step(state)
    return state


def contrastive_loss(data_energies_B: Tensor, chain_energies_N: Tensor) -> Tensor:
    """A surrogate, mean F(data) − mean F(chains), whose gradient is the estimate of −∇ log-likelihood; its value means nothing.

    With chains of k steps from the data it is CD-k, which leaves out the (small) dependence of the chains' distribution on the
    parameters; with persistent chains PCD; with exact draws it is unbiased.

    Args:
        data_energies_B: F of the data.
        chain_energies_N: F of the chains' states, which are constants.
    """
    return data_energies_B.mean() - chain_energies_N.mean()


def pseudo_log_likelihood(free_energy: FreeEnergy, visible_BD: Tensor, units_B: Tensor | None = None) -> Tensor:
    """Σ_i log p(v_i | all other units), nats [B] (Besag 1975): Z cancels, log p(v_i | v_−i) = log σ(F(v with i flipped) − F(v)).

    Args:
        free_energy: of binary rows.
        visible_BD: zeros and ones.
        units_B: one unit of each row, drawn uniformly, whose term times D stands for the sum; None computes all D terms.
    """
    num_visible = visible_BD.shape[1]
    here_B = free_energy(visible_BD)
    if units_B is None:
        units = torch.arange(num_visible, device=visible_BD.device)
        total_B = torch.zeros_like(here_B)
        for unit in units:
            total_B = total_B + functional.logsigmoid(free_energy(_flipped(visible_BD, unit.expand(len(here_B)))) - here_B)
        return total_B
    return num_visible * functional.logsigmoid(free_energy(_flipped(visible_BD, units_B)) - here_B)


def reconstruction_error(visible_BD: Tensor, reconstructed_BD: Tensor) -> Tensor:
    """Σ_i (v_i − v̂_i)², a row's squared distance to its reconstruction by one step through the hidden units, [B].

    It falls while CD learns, but it is no likelihood: a chain that hardly moves reconstructs well (Hinton 2010, section 5).
    """
    return (visible_BD - reconstructed_BD).square().sum(1)


def _flipped(visible_BD: Tensor, units_B: Tensor) -> Tensor:
    rows_B = torch.arange(len(visible_BD), device=visible_BD.device)
    return visible_BD.index_put((rows_B, units_B), 1.0 - visible_BD[rows_B, units_B])
