"""8-bit pixels as a free choice between their values."""

from collections.abc import Sequence

import torch
from torch import Size, Tensor
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution

from zoo.distances import shared
from zoo.likelihoods.base import Likelihood
from zoo.likelihoods.grid import Grid
from zoo.likelihoods.roots import invert
from zoo.networks import Shape

UNIFORM = 1e-3
"""The share of an untrained p(x|z) that is uniform, so that no value begins as good as impossible."""


class Categorical(Likelihood):
    r"""The probability of pixels of 8 bits, a softmax over their L values for each.

    .. math:: P(x|z) = \prod_d \mathrm{softmax}(h_d(z))_{i_d}, \quad x_d = \frac{i_d}{L - 1}

    It can be any distribution, and knows of no order of the values. The decoder emits L numbers for each element of
    x, which is what it costs. With L = 2 it is the Bernoulli likelihood.

    van den Oord, Kalchbrenner and Kavukcuoglu 2016, https://arxiv.org/abs/1601.06759.

    Args:
        x_shape: The shape of one example.
        levels: The number L of values of a pixel, i / (L - 1).

    Raises:
        ZooError: There are fewer than 2 levels.

    Example:
        >>> Categorical((2,), levels=4)(torch.zeros(7, 4, 2)).log_prob(torch.tensor([0.0, 1.0]))[0].exp()
        tensor(0.0625)
    """

    def __init__(self, x_shape: Shape, levels: int = 256) -> None:
        super().__init__(x_shape)
        self.grid, self.levels, self.n_params = Grid(levels), levels, levels

    def forward(self, h: Tensor) -> "CategoricalPixels":
        """Turns logits into p(x|z)."""
        return CategoricalPixels(h, self.grid, len(self.x_shape))

    def start_at(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        r"""Log-probabilities of this mean, clipped to [0.001, 0.999], a Gaussian in shape and a thousandth uniform.

        .. math:: P(x) \propto e^{\theta x - x^2 / 2 \sigma^2}, with the θ that has the mean

        Where the variance is not known there is no square, and P has the most entropy of all with this mean.
        """
        x = self.grid.values(mean.double()).view(-1, *(1 for _ in self.x_shape))  # (levels, 1, ..., 1)
        curvature = torch.zeros_like(x[0]) if variance is None else 0.5 / variance.double().clamp(min=self.grid.step**2)

        def gaussian(tilt: Tensor) -> Tensor:
            return (tilt * x - curvature * x.square()).softmax(0)

        target = (mean.double().clamp(0.001, 0.999) - 0.5 * UNIFORM) / (1 - UNIFORM)
        beyond = 10 / self.grid.step  # that each value is e^10 times as probable as the next
        tilt = invert(lambda t: (gaussian(t) * x).sum(0), target, -beyond, beyond + 2 * curvature.max().item())
        return ((1 - UNIFORM) * gaussian(tilt) + UNIFORM / len(x)).log().to(mean)

    def check(self, x: Tensor) -> None:
        """Refuses data off the grid.

        Raises:
            ZooError: x holds another value than i / (levels - 1).
        """
        super().check(x)
        self.grid.check(x)


class CategoricalPixels(Distribution):
    """Independent pixels on a grid. Draws shared by a batch cost a matrix product, not a tensor (k, B, L, pixels).

    Args:
        logits: The logits, (..., L, *x_shape).
        grid: The values of a pixel.
        event_dims: The number of axes of x.
    """

    arg_constraints = {}  # noqa: RUF012  # pyright: ignore  # nothing is validated

    def __init__(self, logits: Tensor, grid: Grid, event_dims: int) -> None:
        self.axis, self.grid = -1 - event_dims, grid
        n = logits.ndim + self.axis
        super().__init__(logits.shape[:n], logits.shape[n + 1 :], validate_args=False)
        self.log_probs = logits.log_softmax(self.axis)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-probability of the nearest values on the grid."""
        n = len(self.event_shape)
        index = self.grid.index(value).long().flatten(-n)  # (..., pixels)
        log_probs = self.log_probs.flatten(-n)  # (..., L, pixels)
        if shared(log_probs[..., 0, :], index):
            return self._of_all_pairs(log_probs.squeeze(1), index)
        batch = torch.broadcast_shapes(self.batch_shape, index.shape[:-1])
        index = index.unsqueeze(-2).expand(*batch, 1, -1)
        return log_probs.expand(*batch, -1, -1).gather(-2, index).sum((-2, -1))

    @property
    def mean(self) -> Tensor:
        """The mean."""
        values = self.grid.values(self.log_probs).view(-1, *(1 for _ in self.event_shape))
        return (self.log_probs.exp() * values).sum(self.axis)

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Values drawn by their probabilities."""
        choice = TorchCategorical(logits=self.log_probs.movedim(self.axis, -1), validate_args=False)
        return choice.sample(Size(sample_shape)).to(self.log_probs) * self.grid.step

    def _of_all_pairs(self, log_probs: Tensor, index: Tensor) -> Tensor:
        """(k, B) of (k, L, pixels) and (B, pixels)."""
        chosen = torch.zeros(len(index), *log_probs.shape[1:], dtype=log_probs.dtype, device=log_probs.device)
        chosen.scatter_(1, index.unsqueeze(1), 1.0)  # (B, L, pixels)
        with torch.autocast(log_probs.device.type, enabled=False):
            return log_probs.flatten(1) @ chosen.flatten(1).mT
