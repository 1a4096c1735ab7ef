"""Independent Gaussian pixels."""

import math

from torch import Tensor
from torch.distributions import Independent, Normal

from zoo.distances import shared, square_distance


class GaussianPixels(Independent):
    """Independent Gaussian pixels. Draws shared by a batch cost a matrix product, not a tensor (k, B, pixels).

    Args:
        mean: The mean, (..., *x_shape).
        variance: σ², of a shape that broadcasts to that.
        event_dims: The number of axes of x.
    """

    def __init__(self, mean: Tensor, variance: Tensor, event_dims: int) -> None:
        variance = variance.to(mean.dtype)  # a learned one may be in 16 bits
        super().__init__(Normal(mean, variance.sqrt(), validate_args=False), event_dims, validate_args=False)
        self.location, self.squared_scale = mean, variance

    def log_prob(self, value: Tensor) -> Tensor:
        r""":math:`-\frac{1}{2} \sum (x - \mu)^2 / \sigma^2 + \log 2\pi\sigma^2`."""
        n = self.reinterpreted_batch_ndims
        variance = self.squared_scale.expand(self.squared_scale.shape[:-n] + self.event_shape)
        x, mean, variance = value.to(self.location.dtype).flatten(-n), self.location.flatten(-n), variance.flatten(-n)
        if shared(mean, x):
            distance = square_distance(mean.squeeze(-2), x, 1 / variance.reshape(-1, variance.shape[-1]))
        else:
            distance = ((x - mean).square() / variance).sum(-1)
        return -0.5 * (distance + (2 * math.pi * variance).log().sum(-1))
