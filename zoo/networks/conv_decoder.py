"""The convolutional decoder."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from zoo.networks.base import Network, Shape, start_bias
from zoo.networks.convolution import ResidualBlock, halved_sizes, he_weights
from zoo.networks.mlp import MLP


class ConvDecoder(Network):
    """The mirror of `ConvEncoder`: dense layers, then stages that double an image, to any size from 8 × 8.

    A stage is residual blocks, the activation and a transposed convolution of stride 2, cropped where the size is
    odd. Its 4×4 kernel meets every pixel equally often, which leaves no checkerboard (Odena et al. 2016,
    https://distill.pub/2016/deconv-checkerboard). Each output number has a bias of its own.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output, (n_params, C, H, W).
        channels: The channels of each stage, towards the image: those of the mirrored encoder in reverse.
        hidden: The widths of the dense hidden layers before the stages.
        residual_blocks: The number of residual blocks of each stage.
        activation: The class of the activation.

    Raises:
        ZooError: It is to give no images, ones that are too small, or stages or widths are out of range.

    Example:
        >>> ConvDecoder((50,), (1, 3, 33, 28), channels=[32, 16])(torch.zeros(5, 7, 50)).shape
        torch.Size([5, 7, 1, 3, 33, 28])
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        channels: Sequence[int] = (64, 32),
        hidden: Sequence[int] = (256,),
        residual_blocks: int = 0,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__(in_shape, out_shape)
        sizes = halved_sizes(out_shape[1:], channels, residual_blocks)[::-1]
        emitted = [*channels[1:], out_shape[0] * out_shape[1]]
        self.foot = MLP(in_shape, (channels[0], *sizes[0]), hidden, activation)
        self.stages, self._sizes = nn.ModuleList(), sizes[1:]
        for i, (c_in, c_out) in enumerate(zip(channels, emitted, strict=True), 1):
            blocks = [ResidualBlock(c_in, activation) for _ in range(residual_blocks)]
            doubling = nn.ConvTranspose2d(c_in, c_out, 4, stride=2, padding=1, bias=i < len(channels))
            fan_in = 4 * c_in  # of the 4×4 weights each pixel meets 2×2
            self.stages.append(nn.Sequential(*blocks, activation(), he_weights(doubling, fan_in)))
        self.bias = nn.Parameter(torch.zeros(out_shape))
        uncropped = (4 * c * math.prod(size) for c, size in zip(emitted, sizes[:-1], strict=True))
        self.width = max(self.width, self.foot.width, *uncropped)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., *in_shape) to (..., n_params, C, H, W)."""
        h = self.foot(x.reshape(-1, *self.in_shape))
        for stage, (height, width) in zip(self.stages, self._sizes, strict=True):
            h = stage(h)[..., :height, :width]
        return h.reshape(*x.shape[: x.ndim - len(self.in_shape)], *self.out_shape) + self.bias

    def start_at(self, output: Tensor) -> None:
        """Sets the output bias, where training has not moved it from zero."""
        start_bias(self.bias, output)
