"""The perceptron of gated layers."""

from collections.abc import Sequence

from torch import nn

from zoo.networks.base import Shape
from zoo.networks.dense import Dense


class GatedMLP(Dense):
    r"""A perceptron whose hidden layers pass each unit through a learned gate; the last layer has none.

    .. math:: h = (W x + b) \odot \sigma(V x + c)

    Dauphin et al. 2017, https://arxiv.org/abs/1612.08083; as in the VampPrior's networks, Tomczak and Welling 2018,
    https://arxiv.org/abs/1705.07120. The weights begin as He's, N(0, 2 / inputs), and the biases at zero. The rows
    of W and then those of V are the weight of one linear layer.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
        hidden: The widths of the hidden layers; none of them makes it an affine map.

    Raises:
        ZooError: A width is not positive.

    Example:
        >>> import torch
        >>> GatedMLP((1, 28, 28), (2, 40))(torch.zeros(7, 1, 28, 28)).shape
        torch.Size([7, 2, 40])
    """

    def __init__(self, in_shape: Shape, out_shape: Shape, hidden: Sequence[int] = (300, 300)) -> None:
        super().__init__(in_shape, out_shape, hidden, nn.GLU, nn.init.kaiming_normal_, maps=2)
