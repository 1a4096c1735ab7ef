"""8-bit pixels as the cells of a logistic distribution."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Size, Tensor

from zoo.likelihoods.grid import Grid
from zoo.likelihoods.learned_variances import LearnedVariance
from zoo.likelihoods.location_scale import LocationScale, ScaledElements
from zoo.likelihoods.variances import FreeVariance
from zoo.networks import Shape


class DiscretisedLogistic(LocationScale):
    r"""The probability of pixels of 8 bits: that of the cell around each, under a logistic distribution.

    .. math:: P(x|z) = \prod_d \sigma\!\left(\frac{x_d + h - \mu_d(z)}{s}\right)
        - \sigma\!\left(\frac{x_d - h - \mu_d(z)}{s}\right), \quad h = \frac{1}{2 (L - 1)}

    The cells of 0 and of 1 reach to infinity, so that the L probabilities of an element sum to 1.

    Kingma et al. 2016, https://arxiv.org/abs/1606.04934; Salimans et al. 2017, https://arxiv.org/abs/1701.05517.

    Args:
        x_shape: The shape of one example.
        scale: Makes the part that holds the squared scale s². The variance of the logistic is s² π²/3.
        levels: The number L of values of a pixel, i / (L - 1).

    Raises:
        ZooError: There are fewer than 2 levels, or the scale is one for Gaussian errors alone.

    Example:
        >>> p = DiscretisedLogistic((1, 5, 4))(torch.zeros(7, 1, 1, 5, 4))
        >>> p.log_prob(torch.zeros(1, 5, 4)).shape
        torch.Size([7])
    """

    unit_variance = math.pi**2 / 3

    def __init__(
        self, x_shape: Shape, scale: Callable[[Shape], FreeVariance] = LearnedVariance, levels: int = 256
    ) -> None:
        super().__init__(x_shape, scale)
        self.grid, self.levels = Grid(levels), levels

    def forward(self, h: Tensor) -> "DiscretisedLogisticPixels":
        """Turns locations, and what there is of the scale, into p(x|z)."""
        location, raw = self.split(h, 1, self.scale.n_params)
        return DiscretisedLogisticPixels(self.squeeze(location), self.scale(raw), self.grid, len(self.x_shape))

    def check(self, x: Tensor) -> None:
        """Refuses data off the grid.

        Raises:
            ZooError: x holds another value than i / (levels - 1).
        """
        super().check(x)
        self.grid.check(x)


class DiscretisedLogisticPixels(ScaledElements):
    """Independent pixels on a grid, each the nearest to a logistic number.

    Args:
        location: μ, (..., *x_shape).
        squared_scale: s², of a shape that broadcasts to that.
        grid: The values of a pixel.
        event_dims: The number of axes of x.
    """

    def __init__(self, location: Tensor, squared_scale: Tensor, grid: Grid, event_dims: int) -> None:
        super().__init__(location, squared_scale, event_dims)
        self.grid = grid

    def log_elements(self, x: Tensor) -> Tensor:
        r"""Of a cell from b to a :math:`\log \sigma(a) + \log \sigma(-b) + \log(1 - e^{b - a})`, which never cancels.

        The width a - b is known, and not taken from the difference of two numbers that may both be large.
        """
        step = self.grid.step
        index = self.grid.index(x)
        upper = F.logsigmoid(((index + 0.5) * step - self.location) / self.scale)
        lower = F.logsigmoid((self.location - (index - 0.5) * step) / self.scale)
        width = (-torch.expm1(-step / self.scale)).log()
        last = self.grid.levels - 1
        return torch.where(index <= 0, upper, torch.where(index >= last, lower, upper + lower + width))

    @property
    def mean(self) -> Tensor:
        r""":math:`\sum_{i \ge 1} P(x \ge i / (L - 1)) / (L - 1)`, one i after the other to spare memory."""
        total = torch.zeros_like(self.location)
        for index in range(1, self.grid.levels):
            total = total + ((self.location - (index - 0.5) * self.grid.step) / self.scale).sigmoid()
        return total * self.grid.step

    @torch.no_grad()
    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Logistic numbers, each moved to the nearest value of a pixel."""
        like = {"dtype": self.location.dtype, "device": self.location.device}
        logistic = torch.rand(self._extended_shape(Size(sample_shape)), **like).logit()
        index = self.grid.index(self.location + self.scale * logistic)
        return index.clamp(0, self.grid.levels - 1) * self.grid.step
