"""The convolutional encoder."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from zoo.networks.base import Network, Shape
from zoo.networks.convolution import ResidualBlock, halved_sizes, he_weights
from zoo.networks.mlp import MLP


class ConvEncoder(Network):
    """Stages that halve an image, then dense layers; for images of any size from 8 × 8, odd ones too.

    A stage is a 3×3 convolution of stride 2, residual blocks and the activation. The convolutions begin with He's
    weights, the dense layers as those of an `MLP`.

    Args:
        in_shape: The shape of one image, (C, H, W).
        out_shape: The shape of one output.
        channels: The channels of each stage, from the image on.
        hidden: The widths of the dense hidden layers after the stages.
        residual_blocks: The number of residual blocks of each stage.
        activation: The class of the activation.

    Raises:
        ZooError: It is given no images, ones that are too small, or stages or widths that are out of range.

    Example:
        >>> import torch
        >>> ConvEncoder((3, 33, 28), (2, 50), channels=[16, 32])(torch.zeros(7, 3, 33, 28)).shape
        torch.Size([7, 2, 50])
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        channels: Sequence[int] = (32, 64),
        hidden: Sequence[int] = (256,),
        residual_blocks: int = 0,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__(in_shape, out_shape)
        sizes = halved_sizes(in_shape, channels, residual_blocks)[1:]
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise([in_shape[0], *channels]):
            blocks = [ResidualBlock(c_out, activation) for _ in range(residual_blocks)]
            layers += [he_weights(nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), 9 * c_in), *blocks, activation()]
        self.stages = nn.Sequential(*layers)
        self.head = MLP((channels[-1], *sizes[-1]), out_shape, hidden, activation)
        held = (c * math.prod(size) for c, size in zip(channels, sizes, strict=True))
        self.width = max(self.width, self.head.width, *held)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., C, H, W) to (..., *out_shape)."""
        h = self.head(self.stages(x.reshape(-1, *self.in_shape)))
        return h.view(*x.shape[:-3], *self.out_shape)

    def start_at(self, output: Tensor) -> None:
        """Sets the output bias, where training has not moved it from zero."""
        self.head.start_at(output)
