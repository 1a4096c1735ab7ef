"""Grey pixels between 0 and 1."""

import math
from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Independent

from zoo.errors import ZooError
from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.bernoulli import BernoulliPixels
from zoo.likelihoods.roots import invert

NEAR = 0.1
"""Logits below which a series takes the place of a quotient of two numbers near 0."""


class ContinuousBernoulli(Likelihood):
    r"""p(x|z) = Π C(π) π^x (1 - π)^(1 - x), from the logits l of π, a density of grey data in [0, 1].

    .. math:: \log p(x|z) = \sum_d x_d l_d - \log(1 + e^{l_d}) + \log C(l_d), \quad C(l) = \frac{l}{\tanh(l / 2)}

    Without C this is no density: it does not integrate to 1. Loaiza-Ganem and Cunningham 2019,
    https://arxiv.org/abs/1907.06845.

    Args:
        x_shape: The shape of one example.

    Example:
        >>> ContinuousBernoulli((2,))(torch.zeros(1, 2)).log_prob(torch.tensor([0.3, 0.9]))
        tensor(0.)
    """

    def forward(self, h: Tensor) -> "ContinuousBernoulliPixels":
        """Turns logits into p(x|z)."""
        return ContinuousBernoulliPixels(self.squeeze(h), len(self.x_shape))

    def start_at(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """The logits that have this mean, which π itself is not; clipped to [0.001, 0.999]."""
        return invert(mean_of, mean.clamp(0.001, 0.999), -2000, 2000).to(mean).unsqueeze(0)

    def check(self, x: Tensor) -> None:
        """Refuses data outside [0, 1].

        Raises:
            ZooError: x holds a value below 0 or above 1.
        """
        super().check(x)
        if ((x < 0) | (x > 1)).any():
            raise ZooError(
                f"a continuous Bernoulli likelihood takes values in [0, 1] and these go from {x.min():g} to "
                f"{x.max():g}: scale the data, or take a Gaussian likelihood."
            )


class ContinuousBernoulliPixels(Independent):
    """Independent continuous Bernoulli pixels. Draws shared by a batch cost a matrix product.

    Args:
        logits: The logits of π, (..., *x_shape).
        event_dims: The number of axes of x.
    """

    def __init__(self, logits: Tensor, event_dims: int) -> None:
        super().__init__(TorchContinuousBernoulli(logits=logits, validate_args=False), event_dims, validate_args=False)
        self.logits = logits

    def log_prob(self, value: Tensor) -> Tensor:
        """That of Bernoulli pixels, normalised on [0, 1]."""
        n = self.reinterpreted_batch_ndims
        return BernoulliPixels(self.logits, n).log_prob(value) + log_normaliser(self.logits).flatten(-n).sum(-1)

    @property
    def mean(self) -> Tensor:
        r""":math:`1 / (1 - e^{-l}) - 1 / l`."""
        return mean_of(self.logits)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """The inverse of the distribution function at uniform numbers."""
        like = {"dtype": self.logits.dtype, "device": self.logits.device}
        return quantile(torch.rand(self._extended_shape(Size(sample_shape)), **like), self.logits)


def log_normaliser(logits: Tensor) -> Tensor:
    r""":math:`\log C = \log(l / \tanh(l / 2))`, even in l and log 2 at 0.

    Example:
        >>> log_normaliser(torch.tensor([0.0, -800.0])).exp()
        tensor([  2.0000, 800.0001])
    """
    c = logits.clamp(-NEAR, NEAR).square()
    near = math.log(2) + c * (1 / 12 - c * (7 / 1440 - c * (31 / 90720 - c * 127 / 4838400)))
    far = _far(logits)
    return torch.where(logits.abs() < NEAR, near, (far / (far / 2).tanh()).log())


def mean_of(logits: Tensor) -> Tensor:
    r""":math:`1 / (1 - e^{-l}) - 1 / l`, which is 1/2 at 0."""
    near = logits.clamp(-NEAR, NEAR)
    c = near.square()
    far = _far(logits)
    series = 0.5 + near * (1 / 12 - c * (1 / 720 - c * (1 / 30240 - c / 1209600)))
    return torch.where(logits.abs() < NEAR, series, 0.5 + 0.5 / (far / 2).tanh() - 1 / far)


def quantile(u: Tensor, logits: Tensor) -> Tensor:
    r""":math:`\log(1 + u (e^l - 1)) / l`, for l > 0 as :math:`1 - F^{-1}(1 - u; -l)`, which cannot overflow."""
    v = torch.where(logits > 0, 1 - u, u)
    slope = -logits.abs().clamp(min=1e-6)  # where x and u differ by less than that
    x = (torch.log1p(v * torch.expm1(slope)) / slope).clamp(0, 1)
    return torch.where(logits > 0, 1 - x, x)


def _far(logits: Tensor) -> Tensor:
    """The logits, and 1 where they are so near 0 that a series takes over: a quotient there has no gradient."""
    return torch.where(logits.abs() < NEAR, 1.0, logits)
