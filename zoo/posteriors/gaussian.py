"""Gaussian posteriors."""

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal

from zoo.distributions import diagonal_normal
from zoo.posteriors.base import Posterior


class DiagonalGaussian(Posterior):
    """q(z|x) = N(μ(x), diag σ²(x)): the encoder emits μ and log σ.

    Kingma and Welling 2013, https://arxiv.org/abs/1312.6114.

    Args:
        latent_dim: The number of latent dimensions.

    Example:
        >>> DiagonalGaussian(3)(torch.zeros(7, 2, 3)).batch_shape
        torch.Size([7])
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        self.h_shape = (2, latent_dim)

    def forward(self, h: Tensor) -> Independent:
        """Turns (B, 2, latent_dim) into q(z|x)."""
        mean, log_std = h.unbind(-2)
        return diagonal_normal(mean, log_std.exp())


class FullGaussian(Posterior):
    r"""q(z|x) = N(μ(x), L(x) L(x)'): the encoder emits μ and the lower triangle L, its diagonal as logarithms.

    Where the true posterior's dimensions depend on each other, a diagonal one cannot meet it; this one can, at
    D (D + 1) / 2 numbers an example. Its KL term to a Gaussian prior has a closed form. Kingma and Welling 2019,
    section 2.5.1, https://arxiv.org/abs/1906.02691.

    Args:
        latent_dim: The number of latent dimensions, D.

    Example:
        >>> FullGaussian(3)(torch.zeros(7, 9)).covariance_matrix.shape
        torch.Size([7, 3, 3])
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__(latent_dim)
        rows, columns = torch.tril_indices(latent_dim, latent_dim)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.h_shape = (latent_dim + len(rows),)

    def forward(self, h: Tensor) -> MultivariateNormal:
        """Turns (B, D + D (D + 1) / 2) into q(z|x)."""
        mean, triangle = h.tensor_split([self.latent_dim], dim=-1)
        raw = h.new_zeros(*mean.shape, self.latent_dim)
        raw[..., self.rows, self.columns] = triangle
        log_diagonal = raw.diagonal(dim1=-2, dim2=-1)
        scale_tril = raw.tril(-1) + torch.diag_embed(log_diagonal.exp())
        return MultivariateNormal(mean, scale_tril=scale_tril, validate_args=False)
