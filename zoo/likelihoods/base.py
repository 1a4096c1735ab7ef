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
