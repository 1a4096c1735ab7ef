"""The standard normal prior."""

import torch
from torch import Tensor
from torch.distributions import Independent

from zoo.distributions import diagonal_normal
from zoo.networks import Shape
from zoo.priors.base import Encode, Prior


class StandardNormal(Prior):
    """p(z) = N(0, I).

    Args:
        latent_dim: The number of latent dimensions.
        x_shape: The shape of one example.

    Example:
        >>> StandardNormal(3)().event_shape
        torch.Size([3])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, latent_dim: int, x_shape: Shape = ()) -> None:
        super().__init__(latent_dim, x_shape)
        self.register_buffer("mean", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("std", torch.ones(latent_dim), persistent=False)

    def forward(self, encode: Encode | None = None) -> Independent:
        """Returns p(z)."""
        return diagonal_normal(self.mean, self.std)
