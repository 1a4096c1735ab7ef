"""Data from a linear Gaussian model, for which everything a VAE estimates is known in closed form."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from datamodules.base import ImageDataModule
from datamodules.checks import check_count
from datamodules.errors import DataError
from datamodules.records import Images, Splits
from zoo.noise import mix


class LinearGaussian(ImageDataModule):
    r"""Draws of x = W z + mu + eps, with z ~ N(0, I_d) and eps ~ N(0, s2 I_D): probabilistic PCA.

    With M = W'W + s2 I and r = x - mu:

        log p(x) = -1/2 [D log 2 pi + (D - d) log s2 + log |M| + (r'r - r'W M^-1 W'r) / s2]
        p(z | x) = N(M^-1 W'r, s2 M^-1)

    The best posterior with independent latents has the same mean, and variances s2 / M_ii; its gap,
    1/2 (sum_i log M_ii - log |M|), is the same for every x. W and mu are drawn in float64.

    Args:
        latent_dim: The number of latents, d.
        x_dim: The number of observed dimensions, D.
        variance: The noise variance, s2.
        n_train: The number of training examples.
        n_val: The number of validation examples, which may be 0.
        n_test: The number of test examples.
        data_seed: The seed of W, mu and all examples.
        batch_size: The number of examples in a training batch, on each rank.
        eval_batch_size: The same for validation, test and prediction; by default `batch_size`.

    Attributes:
        W: The loadings, (D, d).
        mu: The mean, (D,).
        noise_variance: s2.

    References:
        Probabilistic Principal Component Analysis (Tipping & Bishop, 1999) https://www.di.ens.fr/~fbach/cou
        rses/fall2005/Bishop_Tipping_1999_Probabilistic_Principal_Component_Analysis.pdf

    Example:
        >>> data = LinearGaussian(latent_dim=2, x_dim=5)
        >>> data.log_prob(data.splits.test.images).shape
        torch.Size([203])
    """

    def __init__(
        self,
        latent_dim: int = 2,
        x_dim: int = 5,
        variance: float = 0.1,
        n_train: int = 1000,
        n_val: int = 201,
        n_test: int = 203,
        data_seed: int = 0,
        batch_size: int = 100,
        eval_batch_size: int | None = None,
    ) -> None:
        super().__init__(batch_size=batch_size, eval_batch_size=eval_batch_size)
        for name, value in {
            "latent_dim": latent_dim,
            "x_dim": x_dim,
            "n_train": n_train,
            "n_test": n_test,
        }.items():
            check_count(name, value)
        check_count("n_val", n_val, least=0)
        if not (variance > 0 and math.isfinite(variance)):
            raise DataError(f"variance is {variance}; the closed forms need noise, so give a positive number.")
        self.noise_variance = variance
        self.sizes = (n_train, n_val, n_test)
        self.x_shape = (x_dim,)
        self.data_seed = data_seed
        normal = _standard_normals(mix(data_seed, 0))
        self.W = normal(x_dim, latent_dim)
        self.mu = normal(x_dim)

    @property
    def pixels_name(self) -> str:
        """What the examples hold, which are no images."""
        return "real"

    def load(self) -> Splits:
        """Draws the examples."""
        (x_dim, latent_dim), noise = self.W.shape, math.sqrt(self.noise_variance)
        normal = _standard_normals(mix(self.data_seed, 1))
        draws = (normal(size, latent_dim) @ self.W.T + self.mu + noise * normal(size, x_dim) for size in self.sizes)
        return Splits(*map(Images, draws))

    def log_prob(self, x: Tensor) -> Tensor:
        """Returns log p(x), (B,), in float64, for x of shape (B, D)."""
        (x_dim, latent_dim), r = self.W.shape, self._centred(x)
        explained = (r @ self.W * self._posterior_mean(x)).sum(-1)  # r'W M^-1 W'r, (B,)
        log_det = (x_dim - latent_dim) * math.log(self.noise_variance) + self._M.logdet()
        return -0.5 * (x_dim * math.log(2 * math.pi) + log_det + (r.square().sum(-1) - explained) / self.noise_variance)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Returns p(z | x), of batch shape (B,) and event shape (d,)."""
        return MultivariateNormal(self._posterior_mean(x), precision_matrix=self._M / self.noise_variance)

    def best_diagonal_posterior(self, x: Tensor) -> Independent:
        """Returns the independent q(z) nearest to p(z | x) in KL(q || p), of event shape (d,)."""
        mean = self._posterior_mean(x)
        return Independent(Normal(mean, (self.noise_variance / self._M.diagonal()).sqrt().expand_as(mean)), 1)

    @property
    def _M(self) -> Tensor:
        return self.W.T @ self.W + self.noise_variance * torch.eye(self.W.shape[1], dtype=self.W.dtype)  # (d, d)

    def _centred(self, x: Tensor) -> Tensor:
        return x.to(self.mu) - self.mu

    def _posterior_mean(self, x: Tensor) -> Tensor:
        return torch.linalg.solve(self._M, self._centred(x) @ self.W, left=False)  # (B, d); M is symmetric


def _standard_normals(seed: int) -> Callable[..., Tensor]:
    """Returns a function of sizes that draws standard normals, one after the other from one seed."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *sizes: torch.randn(sizes, generator=generator, dtype=torch.float64)
