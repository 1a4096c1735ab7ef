"""The variance of a Gaussian decoder in closed form (σ-VAE)."""

import math

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.errors import ZooError
from zoo.likelihoods.gaussian_pixels import GaussianPixels
from zoo.likelihoods.variances import Variance
from zoo.networks import Shape
from zoo.precision import refuse_16_bits


class OptimalVariance(Variance):
    r"""The σ² that is best for each training batch, one for all pixels (σ-VAE).

    .. math:: \sigma^2 = \frac{1}{k B D} \sum_{i, b, d} (x_{bd} - \mu_d(z_{ib}))^2

    Rybkin, Daniilidis and Levine 2021, https://arxiv.org/abs/2006.13202. It maximises an average of log p(x|z) and
    so the ELBO; for any other objective it is not the optimum, and is refused. Evaluation takes a running average,
    which is the same on every rank.

    Args:
        x_shape: The shape of one example.
        momentum: How much of the running average stays at each step; before 1 / (1 - momentum) steps it is their mean.
        floor: The least σ².

    Raises:
        ZooError: Not 0 ≤ momentum < 1, or the floor is not a positive number.
    """

    elbo_only = True
    running: Tensor
    steps: Tensor

    def __init__(self, x_shape: Shape, momentum: float = 0.99, floor: float = 1e-4) -> None:
        super().__init__(x_shape)
        if not (0 <= momentum < 1 and 0 < floor < math.inf):
            raise ZooError(
                f"momentum is {momentum} and floor is {floor}: 0 <= momentum < 1 and a positive floor were expected."
            )
        self.momentum, self.floor = momentum, floor
        self.register_buffer("running", torch.tensor(max(0.1, floor)))
        self.register_buffer("steps", torch.tensor(0))

    def around(self, mean: Tensor, raw: Tensor) -> GaussianPixels:
        """N(mean, σ²): in training with σ² to be fitted to the batch that it is asked the density of."""
        refuse_16_bits(self, self.running.dtype)  # a running average would stand still in them
        if self.training:
            return FittedPixels(mean, self)
        return GaussianPixels(mean, self.running, len(self.x_shape))

    def start_at(self, variance: Tensor | None) -> Tensor:
        """Begins the running average at the variance of the data."""
        if variance is not None and not self.steps:
            self.running.copy_(variance.mean().clamp(min=self.floor))
        return self._zeros(variance)

    def report(self) -> dict[str, Tensor]:
        """The running average, and whether it stands at its floor."""
        return self.shares(self.running.expand(self.x_shape))

    @torch.no_grad()
    def fit(self, square_error: Tensor) -> Tensor:
        """The optimum of a batch over all ranks, from the mean square error of this rank; moves the running average.

        No gradient goes through it: at an optimum there is none.
        """
        variance = square_error.clone()
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(variance)
            variance /= dist.get_world_size()
        variance.clamp_(min=self.floor)
        self.steps += 1
        self.running.lerp_(variance, (1 / self.steps).clamp(min=1 - self.momentum).to(variance))
        return variance


class FittedPixels(GaussianPixels):
    """Gaussian pixels whose variance is fitted to whatever they are asked the density of.

    Args:
        mean: The mean, (..., *x_shape).
        part: The part that fits the variance.
    """

    def __init__(self, mean: Tensor, part: OptimalVariance) -> None:
        super().__init__(mean, part.running, len(part.x_shape))
        self._part = part

    def log_prob(self, value: Tensor) -> Tensor:
        """The density at the best variance for ``value``."""
        self.squared_scale = self._part.fit((value - self.location.detach()).square().mean())
        return super().log_prob(value)
