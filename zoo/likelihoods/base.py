"""What a likelihood is: what the decoder's numbers mean as p(x|z), a normalised density with its constants kept."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from zoo.errors import ZooError
from zoo.networks import Shape


class Likelihood(nn.Module, ABC):
    """From what the decoder emits to p(x|z).

    Args:
        x_shape: The shape of one example.
    """

    n_params: int = 1
    """How many numbers the decoder emits for each element of x."""

    levels: int | None = None
    """How many values a pixel can have, where p(x|z) is a probability of pixels and no density."""

    pairs: bool = False
    """Whether log p(x|z) of draws shared by a batch holds the pixels of every pair, being no matrix product."""

    elbo_only: bool = False
    """Whether p(x|z) is fitted to all draws of a batch, which only an average of log p(x|z) can be trained on."""

    varies: bool = False
    """Whether `describe` has anything to say."""

    def __init__(self, x_shape: Shape) -> None:
        super().__init__()
        self.x_shape = tuple(x_shape)

    @abstractmethod
    def forward(self, h: Tensor) -> Distribution:
        """Turns the decoder's output (..., n_params, *x_shape) into p(x|z): batch (...), event x_shape."""

    @abstractmethod
    def start_at(self, mean: Tensor, variance: Tensor | None = None) -> Tensor:
        """Begins at the training data: an untrained part of its own, and the decoder's output.

        Args:
            mean: The mean of the data, (*x_shape).
            variance: Their variance, (*x_shape), where it is known.

        Returns:
            What the decoder emits, (n_params, *x_shape), for p(x|z) to have this mean.
        """

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

    def describe(self, p: Distribution) -> dict[str, Tensor]:
        """What it would have logged of p(x|z), where that varies with z: each of the batch of p."""
        return {}

    def split(self, h: Tensor, *sizes: int) -> tuple[Tensor, ...]:
        """Splits the decoder's output (..., n_params, *x_shape) into groups of so many numbers for each element."""
        return h.split(sizes, -1 - len(self.x_shape))

    def squeeze(self, h: Tensor) -> Tensor:
        """One number for each element, (..., 1, *x_shape) -> (..., *x_shape)."""
        return h.squeeze(-1 - len(self.x_shape))
