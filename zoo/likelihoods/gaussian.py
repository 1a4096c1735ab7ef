"""Real-valued pixels."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.gaussian_pixels import GaussianPixels
from zoo.likelihoods.learned_variances import LearnedVariance
from zoo.likelihoods.variances import Variance
from zoo.networks import Shape


class Gaussian(Likelihood):
    """p(x|z) = N(x; μ(z), σ²).

    Args:
        x_shape: The shape of one example.
        variance: Makes the part that holds σ².
    """

    def __init__(self, x_shape: Shape, variance: Callable[[Shape], Variance] = LearnedVariance) -> None:
        super().__init__(x_shape)
        self.variance = variance(self.x_shape)
        self.n_params = 1 + self.variance.n_params
        self.elbo_only, self.varies = self.variance.elbo_only, self.variance.n_params > 0

    def forward(self, h: Tensor) -> GaussianPixels:
        """Turns means, and what there is of the variance, into p(x|z)."""
        mean, raw = self.split(h, 1, self.variance.n_params)
        return self.variance.around(self.squeeze(mean), raw)

    def start_at(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """The mean itself, and what the variance begins with."""
        return torch.cat([mean[None], self.variance.start_at(variance)])

    def report(self) -> dict[str, Tensor]:
        """The variance σ², and the share of the pixels where it stands at its floor."""
        return {} if self.varies else self.variance.report()

    def describe(self, p: Distribution) -> dict[str, Tensor]:
        """The same of a σ²(z)."""
        return self.variance.shares(p.variance)
