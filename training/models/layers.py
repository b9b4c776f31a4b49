"""Pieces that several networks are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def normal(*shape: int, scale: float, generator: torch.Generator) -> nn.Parameter:
    """First weights, Gaussian with the standard deviation `scale`."""
    return nn.Parameter(scale * torch.randn(*shape, generator=generator))


def with_dropout(hidden: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Hidden units with a random share switched off, the rest scaled up; all of them without a generator.

    The random numbers come from the CPU, so a seed means the same on every device.
    """
    if generator is None or share == 0.0:
        return hidden
    kept = torch.rand(hidden.shape, generator=generator).to(hidden.device) >= share
    return hidden * kept / (1.0 - share)


def by_length(bags: Tensor) -> Tensor:
    """Each bag divided by its length, so that long ones weigh as much as short ones; an empty one stays empty."""
    return bags / bags.sum(dim=-1, keepdim=True).clamp(min=1.0)


def by_norm(bags: Tensor) -> Tensor:
    """Each bag scaled to a Euclidean norm of 1; an empty one stays empty."""
    return bags / bags.square().sum(dim=-1, keepdim=True).sqrt().clamp(min=1e-12)
