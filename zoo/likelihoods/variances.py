"""The variance σ² of a Gaussian decoder, as a part."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import ZooError


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
