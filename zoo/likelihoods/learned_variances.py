"""Variances that are learned, above a floor."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.likelihoods.variances import AT_FLOOR, FreeVariance
from zoo.networks import Shape


class SoftFloor(FreeVariance):
    r"""A variance above a floor ξ that it approaches softly.

    .. math:: \log \sigma^2 = \log \xi + \log(1 + e^{\lambda})

    Rybkin, Daniilidis and Levine 2021, https://arxiv.org/abs/2006.13202.

    Args:
        x_shape: The shape of one example.
        start: The variance before training; by default that of the training data, or 0.1 where no data say one.
        floor: The floor ξ.

    Raises:
        ZooError: Not 0 < floor < start.
    """

    def __init__(self, x_shape: Shape, start: float | None = None, floor: float = 1e-4) -> None:
        super().__init__(x_shape)
        first = 0.1 if start is None else start
        if not 0 < floor < first < math.inf:
            raise ZooError(f"floor is {floor} and start is {first}, where 0 < floor < start was expected.")
        self.start, self.floor = start, floor
        self.first = self.excess_of(torch.tensor(first)).item()

    def soften(self, excess: Tensor) -> Tensor:
        """σ² of λ."""
        return self.floor * F.softplus(excess).exp()

    def excess_of(self, variance: Tensor) -> Tensor:
        """λ of σ²; a variance of the data counts as no less than four floors, since at one it could not leave."""
        least = 2 * AT_FLOOR * self.floor if self.start is None else 0.0
        log_ratio = (variance.clamp(min=least) / self.floor).log()
        return log_ratio + (-torch.expm1(-log_ratio)).log()  # softplus inverted


class LearnedVariance(SoftFloor):
    r"""One learned σ² for all pixels, above a floor ξ: :math:`\log \sigma^2 = \log \xi + \log(1 + e^{\lambda})`.

    Rybkin, Daniilidis and Levine 2021, https://arxiv.org/abs/2006.13202.

    Args:
        x_shape: The shape of one example.
        start: The variance before training; by default that of the training data, or 0.1 where no data say one.
        floor: The floor ξ.

    Raises:
        ZooError: Not 0 < floor < start.
    """

    def __init__(self, x_shape: Shape, start: float | None = None, floor: float = 1e-4) -> None:
        super().__init__(x_shape, start, floor)
        self.excess = nn.Parameter(torch.full(self.shape_of(self.x_shape), self.first))

    @staticmethod
    def shape_of(x_shape: Shape) -> Shape:
        """The shape of λ, which broadcasts to that of x."""
        return ()

    def forward(self, raw: Tensor) -> Tensor:
        """σ²."""
        return self.soften(self.excess)

    @torch.no_grad()
    def start_at(self, variance: Tensor | None) -> Tensor:
        """Begins at the mean variance of the pixels that share a σ² or a channel, where no start was given."""
        untrained = bool((self.excess == self.first).all())
        if self.start is None and variance is not None and untrained:
            mean = channel_means(variance) if self.excess.ndim else variance.mean()
            self.excess.copy_(self.excess_of(mean))
        return self._zeros(variance)

    def report(self) -> dict[str, Tensor]:
        """The mean of σ², and the share of the pixels where it stands at its floor."""
        return self.shares(self.soften(self.excess).expand(self.x_shape))


class ChannelVariance(LearnedVariance):
    """A learned σ² for each channel, the first axis of x; otherwise as `LearnedVariance`.

    Args:
        x_shape: The shape of one example.
        start: The variance before training; by default that of the training data, or 0.1 where no data say one.
        floor: The floor ξ.
    """

    @staticmethod
    def shape_of(x_shape: Shape) -> Shape:
        """One for each channel."""
        return (x_shape[0], *(1 for _ in x_shape[1:]))


class PixelVariance(LearnedVariance):
    """A learned σ² for each element of x; otherwise as `LearnedVariance`.

    Args:
        x_shape: The shape of one example.
        start: The variance before training; by default that of the training data, or 0.1 where no data say one.
        floor: The floor ξ.
    """

    @staticmethod
    def shape_of(x_shape: Shape) -> Shape:
        """One for each element."""
        return tuple(x_shape)


class DecodedVariance(SoftFloor):
    """σ²(z) for each element of x, the decoder's second output: the article's general case.

    With so much freedom the likelihood has no upper bound but the floor's: `variance_at_floor` says how many pixels
    stand there (Mattei and Frellsen 2018, https://arxiv.org/abs/1802.04826).

    Args:
        x_shape: The shape of one example.
        start: The variance before training; by default that of the training data, or 0.1 where no data say one.
        floor: The floor ξ.

    Raises:
        ZooError: Not 0 < floor < start.
    """

    n_params = 1

    def forward(self, raw: Tensor) -> Tensor:
        """σ²(z), (..., *x_shape), of (..., 1, *x_shape)."""
        return self.soften(raw.squeeze(-1 - len(self.x_shape)) + self.first)

    def start_at(self, variance: Tensor | None) -> Tensor:
        """What the decoder emits for the mean variance of each channel."""
        if self.start is not None or variance is None:
            return self._zeros(variance)
        return (self.excess_of(channel_means(variance)).expand(self.x_shape) - self.first)[None]


def channel_means(variance: Tensor) -> Tensor:
    """The mean over all axes but the first, (C, 1, ..., 1).

    Example:
        >>> channel_means(torch.tensor([[1.0, 3.0], [5.0, 7.0]]))
        tensor([[2.],
                [6.]])
    """
    return variance.flatten(1).mean(1).view(-1, *(1 for _ in variance.shape[1:])) if variance.ndim > 1 else variance
