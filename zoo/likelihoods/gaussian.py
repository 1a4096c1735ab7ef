"""Real-valued pixels."""

import math
from collections.abc import Callable

from torch import Tensor
from torch.distributions import Independent, Normal

from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.shared_draws import shared, square_distance
from zoo.likelihoods.variances import LearnedVariance, Variance
from zoo.networks import Shape


class Gaussian(Likelihood):
    """p(x|z) = N(x; μ(z), σ²).

    Args:
        x_shape: The shape of one example.
        variance: Makes the part that holds σ².
    """

    def __init__(self, x_shape: Shape, variance: Callable[[], Variance] = LearnedVariance) -> None:
        super().__init__(x_shape)
        self.variance = variance()

    def forward(self, h: Tensor) -> "GaussianPixels":
        """Turns means into p(x|z)."""
        return GaussianPixels(h.squeeze(-1 - len(self.x_shape)), self.variance(), len(self.x_shape))

    def start_at(self, mean: Tensor) -> Tensor:
        """The mean itself."""
        return mean.unsqueeze(0)

    def report(self) -> dict[str, Tensor]:
        """The variance σ²."""
        return {"variance": self.variance().mean()}


class GaussianPixels(Independent):
    """Independent Gaussian pixels. Draws shared by a batch cost a matrix product, not a tensor (k, B, pixels)."""

    def __init__(self, mean: Tensor, variance: Tensor, event_dims: int) -> None:
        super().__init__(Normal(mean, variance.sqrt(), validate_args=False), event_dims, validate_args=False)
        self._mean, self._variance = mean, variance

    def log_prob(self, value: Tensor) -> Tensor:
        r""":math:`-\frac{1}{2} \|x - \mu\|^2 / \sigma^2 - \frac{1}{2} \sum \log 2\pi\sigma^2`."""
        n = self.reinterpreted_batch_ndims
        std = self._variance.sqrt()
        x, mean = (value / std).flatten(-n), (self._mean / std).flatten(-n)
        log_norm = (2 * math.pi * self._variance).log().expand(self.event_shape).sum()
        distance = square_distance(mean.squeeze(-2), x) if shared(mean, x) else (x - mean).square().sum(-1)
        return -0.5 * (distance + log_norm)
