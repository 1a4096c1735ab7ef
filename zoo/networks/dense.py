"""Dense layers: what the perceptrons have in common."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from zoo.checks import check_widths
from zoo.networks.base import Network, Shape, start_bias


class Dense(Network):
    """Affine maps of the flattened input, each but the last with a nonlinearity after it; all biases begin at zero.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
        hidden: The widths of the hidden layers, after their nonlinearity.
        nonlinearity: Makes what follows a hidden layer's map.
        start_weight: Draws the weights that a map begins with, in place.
        maps: How many maps of each hidden layer the nonlinearity makes one of.

    Raises:
        ZooError: A width is not positive.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        hidden: Sequence[int],
        nonlinearity: Callable[[], nn.Module],
        start_weight: Callable[[Tensor], Tensor],
        maps: int = 1,
    ) -> None:
        super().__init__(in_shape, out_shape)
        check_widths(hidden)
        widths = [math.prod(in_shape), *hidden]
        layers: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            layers += [_linear(n_in, maps * n_out, start_weight), nonlinearity()]
        self.layers = nn.Sequential(*layers, _linear(widths[-1], math.prod(out_shape), start_weight))
        self.width = max([self.width, *(maps * width for width in hidden)])

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., *in_shape) to (..., *out_shape)."""
        leading = x.shape[: x.ndim - len(self.in_shape)]
        return self.layers(x.reshape(*leading, -1)).view(*leading, *self.out_shape)

    def start_at(self, output: Tensor) -> None:
        """Sets the output bias, where training has not moved it from zero."""
        bias = self.layers[-1].bias
        assert isinstance(bias, Tensor)
        start_bias(bias, output)


def _linear(n_in: int, n_out: int, start_weight: Callable[[Tensor], Tensor]) -> nn.Linear:
    layer = nn.Linear(n_in, n_out)
    start_weight(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
