"""What likelihoods share whose elements have a location and a scale."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.distributions import Distribution

from zoo.errors import ZooError
from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.variances import FreeVariance
from zoo.networks import Shape


class LocationScale(Likelihood):
    """A likelihood whose location the decoder emits, first of its numbers, and whose squared scale is a part.

    Args:
        x_shape: The shape of one example.
        scale: Makes the part that holds the squared scale s².

    Raises:
        ZooError: The part is fitted to Gaussian errors, and holds no scale of anything else.
    """

    pairs = True

    n_own: int = 1
    """How many numbers the decoder emits beside those of the scale: the location, and what a leaf adds."""

    unit_variance: float = 1.0
    """The variance of an element of squared scale 1."""

    def __init__(self, x_shape: Shape, scale: Callable[[Shape], FreeVariance]) -> None:
        super().__init__(x_shape)
        self.scale = scale(self.x_shape)
        if not isinstance(self.scale, FreeVariance):
            raise ZooError(
                f"{type(self.scale).__name__} is fitted to Gaussian errors, and the scale of {type(self).__name__} is "
                "none of these: take LearnedVariance, or another that does not depend on x."
            )
        self.n_params = self.n_own + self.scale.n_params
        self.varies = self.scale.n_params > 0

    def start_at(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """The mean as location, zeros for what a leaf adds, and the scale that has this variance."""
        squared_scale = None if variance is None else variance / self.unit_variance
        zeros = mean.new_zeros(self.n_own - 1, *self.x_shape)
        return torch.cat([mean[None], zeros, self.scale.start_at(squared_scale)])

    def report(self) -> dict[str, Tensor]:
        """The squared scale s², and the share of the elements where it stands at its floor."""
        return {} if self.scale.n_params else _named(self.scale.report())

    def describe(self, p: Distribution) -> dict[str, Tensor]:
        """The same of a s²(z)."""
        return _named(self.scale.shares(cast(ScaledElements, p).squared_scale)) if self.scale.n_params else {}


def _named(report: dict[str, Tensor]) -> dict[str, Tensor]:
    """The report of the part by other names: a squared scale is no variance."""
    return {name.replace("variance", "squared_scale"): value for name, value in report.items()}


class ScaledElements(Distribution, ABC):
    """Independent elements of x, each with a location and a scale of its own.

    Args:
        location: The location, (..., *x_shape).
        squared_scale: s², of a shape that broadcasts to that.
        event_dims: The number of axes of x.
    """

    arg_constraints = {}  # noqa: RUF012  # pyright: ignore  # nothing is validated

    def __init__(self, location: Tensor, squared_scale: Tensor, event_dims: int) -> None:
        n = location.ndim - event_dims
        super().__init__(location.shape[:n], location.shape[n:], validate_args=False)
        squared_scale = squared_scale.to(location.dtype)  # a learned one may be in 16 bits
        self.location, self.squared_scale, self.scale = location, squared_scale, squared_scale.sqrt()

    @abstractmethod
    def log_elements(self, x: Tensor) -> Tensor:
        """The logarithm of what each element contributes, (..., *x_shape)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Their sum over x."""
        return self.log_elements(value.to(self.location.dtype)).flatten(-len(self.event_shape)).sum(-1)
