"""What convolutional networks are made of: sizes that halve, weights to begin with, residual blocks."""

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.networks.base import Shape

_SMALLEST = 8
_Convolution = TypeVar("_Convolution", nn.Conv2d, nn.ConvTranspose2d)


class ResidualBlock(nn.Module):
    r"""Two 3×3 convolutions beside the identity, each with the activation before it; the size stays.

    .. math:: h + C_2(a(C_1(a(h))))

    He et al. 2016, https://arxiv.org/abs/1603.05027. There is no batch normalisation, under which the numbers of an
    example would depend on its batch. C₂ begins at zero, and the block as the identity, as in Zhang et al. 2019,
    https://arxiv.org/abs/1901.09321.

    Args:
        channels: The number of channels.
        activation: The class of the activation.
    """

    def __init__(self, channels: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        first, second = (he_weights(nn.Conv2d(channels, channels, 3, padding=1), 9 * channels) for _ in range(2))
        nn.init.zeros_(second.weight)
        self.branch = nn.Sequential(activation(), first, activation(), second)

    def forward(self, h: Tensor) -> Tensor:
        """Maps (B, channels, H, W) to the same shape."""
        return h + self.branch(h)


def halved_sizes(image: Shape, channels: Sequence[int], residual_blocks: int) -> list[tuple[int, int]]:
    """The sizes (H, W) of an image and after each stage, which halves them and rounds up.

    Args:
        image: The shape of an image, (C, H, W).
        channels: The channels of each stage.
        residual_blocks: The number of residual blocks of each stage.

    Raises:
        ZooError: It is no image, one too small, or the stages are none, too many or without channels.

    Example:
        >>> halved_sizes((3, 28, 9), [32, 64], residual_blocks=0)
        [(28, 9), (14, 5), (7, 3)]
    """
    _check_image(image)
    if not channels or min(channels) < 1 or residual_blocks < 0:
        raise ZooError(
            f"channels is {list(channels)} and residual_blocks is {residual_blocks}: at least one stage of at least "
            "1 channel, and 0 or more blocks, were expected."
        )
    longest = (max(image[1:]) - 1).bit_length()  # after so many halvings the image is one pixel
    if len(channels) > longest:
        raise ZooError(
            f"channels has {len(channels)} stages, where an image of {image[1]} × {image[2]} is down to one pixel "
            f"after {longest}: give at most so many."
        )
    return [(math.ceil(image[1] / 2**i), math.ceil(image[2] / 2**i)) for i in range(len(channels) + 1)]


def he_weights(convolution: _Convolution, fan_in: int) -> _Convolution:
    """Draws weights from N(0, 2 / fan_in), where each output number is a sum of fan_in products; its bias is zero.

    He et al. 2015, https://arxiv.org/abs/1502.01852.
    """
    nn.init.normal_(convolution.weight, std=math.sqrt(2 / fan_in))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def _check_image(image: Shape) -> None:
    if len(image) != 3:
        raise ZooError(
            f"a convolutional network takes images (C, H, W) and was given the shape {tuple(image)}: take MLP or "
            "GatedMLP."
        )
    if min(image[1:]) < _SMALLEST:
        raise ZooError(
            f"a convolutional network takes images from {_SMALLEST} × {_SMALLEST} and was given {image[1]} × "
            f"{image[2]}: take MLP or GatedMLP."
        )
