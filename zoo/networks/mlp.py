"""The multilayer perceptron."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.networks.base import Network, Shape


class MLP(Network):
    """A multilayer perceptron with Glorot weights and zero biases.

    Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
        hidden: The widths of the hidden layers; none of them makes it an affine map.
        activation: The class of the activation between the layers.

    Raises:
        ZooError: A width is not positive.

    Example:
        >>> MLP((1, 28, 28), (2, 50), hidden=[200, 200])(torch.zeros(7, 1, 28, 28)).shape
        torch.Size([7, 2, 50])
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        hidden: Sequence[int] = (200, 200),
        activation: Callable[[], nn.Module] = nn.Tanh,
    ) -> None:
        super().__init__(in_shape, out_shape)
        if any(width < 1 for width in hidden):
            raise ZooError(f"hidden is {list(hidden)}, where widths of at least 1 were expected.")
        widths = [math.prod(in_shape), *hidden, math.prod(out_shape)]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [_linear(n_in, n_out), activation()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., *in_shape) to (..., *out_shape)."""
        leading = x.shape[: x.ndim - len(self.in_shape)]
        return self.layers(x.reshape(*leading, -1)).view(*leading, *self.out_shape)

    @torch.no_grad()
    def start_at(self, output: Tensor) -> None:
        """Sets the output bias, where training has not moved it from zero."""
        bias = self.layers[-1].bias
        assert isinstance(bias, Tensor)
        if not bias.any():
            bias.copy_(output.reshape(-1))


def _linear(n_in: int, n_out: int) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
