"""The variance σ² of a Gaussian decoder, as a part."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.likelihoods.gaussian_pixels import GaussianPixels
from zoo.networks import Shape

AT_FLOOR = 2.0
"""Below so many times its floor, where the soft clip takes over, a variance counts as standing there."""


class Variance(nn.Module, ABC):
    """The variance σ² of a Gaussian decoder.

    Args:
        x_shape: The shape of one example.
    """

    n_params: int = 0
    """How many numbers the decoder emits for the variance of each element of x."""

    floor: float = 0.0
    """ξ ≤ σ², so that log p(x) ≤ -(D/2) log 2πξ (Mattei and Frellsen 2018, https://arxiv.org/abs/1802.04826)."""

    elbo_only: bool = False
    """Whether σ² is fitted to a batch, which is the optimum for the ELBO alone."""

    def __init__(self, x_shape: Shape) -> None:
        super().__init__()
        self.x_shape = tuple(x_shape)

    @abstractmethod
    def around(self, mean: Tensor, raw: Tensor) -> GaussianPixels:
        """N(mean, σ²).

        Args:
            mean: The mean, (..., *x_shape).
            raw: What the decoder emits for the variance, (..., n_params, *x_shape).
        """

    @abstractmethod
    def start_at(self, variance: Tensor | None) -> Tensor:
        """Begins an untrained σ² at the variance of the training data, (*x_shape), where it is known.

        Returns:
            What the decoder emits for it, (n_params, *x_shape).
        """

    def report(self) -> dict[str, Tensor]:
        """What is logged of it, where it does not vary with z."""
        return {}

    def shares(self, variance: Tensor) -> dict[str, Tensor]:
        """The mean of a variance (..., *x_shape) over the pixels, and the share of them that stands at the floor."""
        variance = variance.detach().flatten(-len(self.x_shape))
        at_floor = variance < AT_FLOOR * self.floor
        return {"variance": variance.mean(-1), "variance_at_floor": at_floor.to(variance).mean(-1)}

    def _zeros(self, like: Tensor | None) -> Tensor:
        shape = (self.n_params, *self.x_shape)
        return torch.zeros(shape) if like is None else like.new_zeros(shape)


class FreeVariance(Variance):
    """A variance that does not depend on x, so that any likelihood can take it as its squared scale."""

    def around(self, mean: Tensor, raw: Tensor) -> GaussianPixels:
        """N(mean, σ²)."""
        return GaussianPixels(mean, self(raw), len(self.x_shape))

    @abstractmethod
    def forward(self, raw: Tensor) -> Tensor:
        """σ², of a shape that broadcasts to (..., *x_shape), from what the decoder emits for it."""


class FixedVariance(FreeVariance):
    """A fixed σ².

    Args:
        x_shape: The shape of one example.
        value: The variance σ².

    Raises:
        ZooError: The variance is not a positive number.
    """

    variance: Tensor

    def __init__(self, x_shape: Shape, value: float = 0.01) -> None:
        super().__init__(x_shape)
        if not 0 < value < math.inf:
            raise ZooError(f"the variance is {value}, where a positive number was expected.")
        self.floor = value
        self.register_buffer("variance", torch.tensor(float(value)), persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        """The value."""
        return self.variance

    def start_at(self, variance: Tensor | None) -> Tensor:
        """Stays where it is."""
        return self._zeros(variance)

    def report(self) -> dict[str, Tensor]:
        """σ²; that it stands at its floor says nothing."""
        return {"variance": self.variance}
