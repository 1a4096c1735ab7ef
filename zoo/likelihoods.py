"""Likelihoods: what the decoder's numbers mean as p(x|z), a normalised density with its constants kept."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent, Normal

from zoo.errors import ZooError
from zoo.networks import Shape


class Likelihood(nn.Module, ABC):
    """From what the decoder emits to p(x|z).

    Args:
        x_shape: The shape of one example.
    """

    n_params: int = 1
    """How many numbers the decoder emits for each element of x."""

    def __init__(self, x_shape: Shape) -> None:
        super().__init__()
        self.x_shape = tuple(x_shape)

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Turns the decoder's output (..., n_params, *x_shape) into p(x|z): batch (...), event x_shape."""

    @abstractmethod
    def start_at(self, mean: Tensor) -> Tensor:
        """What the decoder emits, (n_params, *x_shape), for p(x|z) to have this mean, (*x_shape)."""

    def check(self, x: Tensor) -> None:
        """Refuses data that this likelihood gives no density to.

        Raises:
            ZooError: x is not finite; a leaf adds what its own support asks.
        """
        if not torch.isfinite(x).all():
            raise ZooError("the data hold NaN or infinite values: remove or repair them before training.")

    def report(self) -> dict[str, Tensor]:
        """What this likelihood would have logged of itself."""
        return {}


class Bernoulli(Likelihood):
    """p(x|z) = Π π^x (1 - π)^(1 - x), from the logits of π, on binary data.

    Args:
        x_shape: The shape of one example.
    """

    def forward(self, h: Tensor) -> "BernoulliPixels":
        """Turns logits into p(x|z)."""
        return BernoulliPixels(h.squeeze(-1 - len(self.x_shape)), len(self.x_shape))

    def start_at(self, mean: Tensor) -> Tensor:
        """The logit of the mean, clipped as in Burda et al. 2015 (https://arxiv.org/abs/1509.00519)."""
        return mean.clamp(0.001, 0.999).logit().unsqueeze(0)

    def check(self, x: Tensor) -> None:
        """Refuses data that are not 0 or 1: a density of grey pixels this is not.

        Raises:
            ZooError: x holds other values than 0 and 1.
        """
        super().check(x)
        if ((x != 0) & (x != 1)).any():
            raise ZooError(
                "a Bernoulli likelihood takes pixels that are 0 or 1 and these are grey: make them binary with "
                "--data.pixels Dynamic, Static or Threshold, or take a likelihood for grey pixels, as GaussianVAE does."
            )


class BernoulliPixels(Independent):
    """Independent Bernoulli pixels. Draws shared by a batch cost a matrix product, not a tensor (k, B, pixels)."""

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        super().__init__(TorchBernoulli(logits=logits, validate_args=False), event_dims, validate_args=False)
        self.logits = logits

    def log_prob(self, value: Tensor) -> Tensor:
        r""":math:`x \cdot l - \sum \log(1 + e^l)` with logits l."""
        n = self.reinterpreted_batch_ndims
        x, logits = value.flatten(-n), self.logits.flatten(-n)
        if _shared(logits, x):
            with torch.autocast(x.device.type, enabled=False):
                return logits.squeeze(-2) @ x.mT.to(logits.dtype) - F.softplus(logits).sum(-1)
        return (x * logits - F.softplus(logits)).sum(-1)


class Variance(nn.Module, ABC):
    """The variance σ² of a Gaussian decoder."""

    floor: float = 0.0
    """ξ ≤ σ², so that log p(x) ≤ -(D/2) log 2πξ (Mattei and Frellsen 2018, https://arxiv.org/abs/1802.04826)."""

    @abstractmethod
    def forward(self) -> Tensor:
        """Returns σ²."""


class FixedVariance(Variance):
    """A fixed σ².

    Args:
        value: The variance σ².

    Raises:
        ZooError: The variance is not a positive number.
    """

    variance: Tensor

    def __init__(self, value: float = 0.01) -> None:
        super().__init__()
        if not 0 < value < math.inf:
            raise ZooError(f"the variance is {value}, where a positive number was expected.")
        self.floor = value
        self.register_buffer("variance", torch.tensor(float(value)), persistent=False)

    def forward(self) -> Tensor:
        """Returns σ²."""
        return self.variance


class LearnedVariance(Variance):
    r"""One learned σ² above a floor.

    .. math:: \log \sigma^2 = \log \xi + \log(1 + e^{\lambda})

    Rybkin, Daniilidis and Levine 2021, https://arxiv.org/abs/2006.13202.

    Args:
        start: The variance before training.
        floor: The floor ξ.

    Raises:
        ZooError: Not 0 < floor < start.
    """

    def __init__(self, start: float = 0.1, floor: float = 1e-4) -> None:
        super().__init__()
        if not 0 < floor < start < math.inf:
            raise ZooError(f"floor is {floor} and start is {start}, where 0 < floor < start was expected.")
        self.floor = floor
        excess = math.log(start / floor)
        self.excess = nn.Parameter(torch.tensor(excess + math.log(-math.expm1(-excess))))  # softplus inverted

    def forward(self) -> Tensor:
        """Returns σ²."""
        return self.floor * F.softplus(self.excess).exp()


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
        distance = _square_distance(mean.squeeze(-2), x) if _shared(mean, x) else (x - mean).square().sum(-1)
        return -0.5 * (distance + log_norm)


def _shared(h: Tensor, x: Tensor) -> bool:
    """Whether the examples share their draws: h is (k, 1, pixels) and x (B, pixels)."""
    return h.ndim == 3 and h.shape[1] == 1 and x.ndim == 2 and x.shape[0] > 1


def _square_distance(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i - b_j‖², (k, B), by expanding the square: in float64 where the terms cancel by over 0.01 nats."""
    error = 4 * torch.finfo(a.dtype).eps * max(a.square().sum(-1).max().item(), b.square().sum(-1).max().item())
    dtype, exact = a.dtype, torch.float64 if error > 0.01 else a.dtype
    a, b = a.to(exact), b.to(exact)
    with torch.autocast(a.device.type, enabled=False):
        return (a.square().sum(-1)[:, None] - 2 * a @ b.mT + b.square().sum(-1)).to(dtype)
