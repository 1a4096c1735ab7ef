"""The multilayer perceptron."""

from collections.abc import Callable, Sequence

from torch import nn

from zoo.networks.base import Shape
from zoo.networks.dense import Dense


class MLP(Dense):
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
        >>> import torch
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
        super().__init__(in_shape, out_shape, hidden, activation, nn.init.xavier_uniform_)
