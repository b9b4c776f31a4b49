"""The restricted Boltzmann machine with binary units (Hinton 2002; Hinton 2010, A practical guide to training RBMs).

p(v, h) = exp(−E(v, h)) / Z with E(v, h) = −hᵀWv − bᵀv − cᵀh.

Shapes: B rows in the batch, N chains, D visible units, H hidden units.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional


class BernoulliRBM(nn.Module):
    """An energy over binary vectors v [D] and h [H]; given one side, the units of the other are independent.

    Args:
        num_visible: D.
        num_hidden: H.
        init_std: standard deviation of the first weights.
        visible_bias_D: where b starts; the log-odds of each unit make an RBM without weights fit the data's means.
        generator: of the first weights.
    """

    item_axes: ClassVar[dict[str, int]] = {"weights_HD": 1, "visible_bias_D": 0}

    def __init__(
        self, *, num_visible: int, num_hidden: int, init_std: float, visible_bias_D: Tensor, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.weights_HD = nn.Parameter(init_std * torch.randn(num_hidden, num_visible, generator=generator))
        self.visible_bias_D = nn.Parameter(visible_bias_D.detach().clone())
        self.hidden_bias_H = nn.Parameter(torch.zeros(num_hidden))

    def energy(self, visible_BD: Tensor, hidden_BH: Tensor) -> Tensor:
        """E(v, h) [B]."""
        return (
            -((hidden_BH @ self.weights_HD) * visible_BD).sum(1)
            - visible_BD @ self.visible_bias_D
            - hidden_BH @ self.hidden_bias_H
        )

    def free_energy(self, visible_BD: Tensor) -> Tensor:
        """F(v) = −log Σ_h exp(−E(v, h)) = −bᵀv − Σ_j log(1 + exp(c_j + W_j v)), [B], so that p(v) = exp(−F(v)) / Z."""
        return -visible_BD @ self.visible_bias_D - functional.softplus(self.hidden_logits(visible_BD)).sum(1)

    def hidden_logits(self, visible_BD: Tensor) -> Tensor:
        """The logits c + W v of p(h_j = 1 | v), [B, H]."""
        return functional.linear(visible_BD, self.weights_HD, self.hidden_bias_H)

    def visible_logits(self, hidden_BH: Tensor) -> Tensor:
        """The logits b + Wᵀh of p(v_i = 1 | h), [B, D]."""
        return hidden_BH @ self.weights_HD + self.visible_bias_D

    def sample_hidden(self, visible_BD: Tensor, generator: torch.Generator) -> Tensor:
        """A draw h ~ p(h | v), zeros and ones, [B, H]."""
        return bernoulli(torch.sigmoid(self.hidden_logits(visible_BD)), generator)

    def sample_visible(self, hidden_BH: Tensor, generator: torch.Generator) -> Tensor:
        """A draw v ~ p(v | h), zeros and ones, [B, D]."""
        return bernoulli(torch.sigmoid(self.visible_logits(hidden_BH)), generator)

    def gibbs_step(self, visible_BD: Tensor, generator: torch.Generator) -> Tensor:
        """One step of block Gibbs sampling, v → h → v, which leaves p(v) as it is; [B, D], without a gradient."""
        with torch.no_grad():
            return self.sample_visible(self.sample_hidden(visible_BD, generator), generator)


class PersistentChains(nn.Module):
    """N Markov chains that go on from where they were before the last update of the model (Tieleman 2008); no parameters.

    Args:
        start_ND: where they begin.
    """

    state_ND: Tensor

    def __init__(self, start_ND: Tensor) -> None:
        super().__init__()
        self.register_buffer("state_ND", start_ND.detach().clone())

    def advance(self, model: BernoulliRBM, num_steps: int, generator: torch.Generator) -> Tensor:
        """Run all chains for some steps; where they are then, [N, D]."""
        for _ in range(num_steps):
            self.state_ND = model.gibbs_step(self.state_ND, generator)
        return self.state_ND


def bernoulli(probs: Tensor, generator: torch.Generator) -> Tensor:
    """1 with the given probability, else 0; the random numbers come from the CPU, so a seed means the same on every device."""
    return (torch.rand(probs.shape, generator=generator).to(probs.device) < probs).to(probs.dtype)
