"""Priors p(z): modules that return a distribution."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal


def diagonal_normal(mean: Tensor, std: Tensor) -> Independent:
    """N(mean, diag std²) over the last axis, not validated: validation would cost more than the step it guards."""
    return Independent(Normal(mean, std, validate_args=False), 1, validate_args=False)


class Prior(nn.Module, ABC):
    """p(z), a distribution with batch () and event (latent_dim,)."""

    @abstractmethod
    def forward(self) -> Distribution:
        """Returns p(z)."""


class StandardNormal(Prior):
    """p(z) = N(0, I).

    Args:
        latent_dim: The number of latent dimensions.

    Example:
        >>> StandardNormal(3)().event_shape
        torch.Size([3])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("std", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Independent:
        """Returns p(z)."""
        return diagonal_normal(self.mean, self.std)
