"""What the pixels are: grey, or made binary by a threshold, by one draw, or by a draw anew at every access.

Likelihoods on pixels made in different ways are different quantities, so the way is a part with a name, and
the name travels with every number.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Generator, Tensor

from datamodules.errors import DataError


def intensity(images: Tensor) -> Tensor:
    """Returns stored pixels as numbers: uint8 0..255 becomes float32 in [0, 1], floats stay as they are."""
    return images.to(torch.float32) / 255 if images.dtype == torch.uint8 else images


class Pixels(ABC):
    """How stored intensities become the pixels a model sees.

    Attributes:
        name: One word for logs and tables. binary: Whether every pixel is 0 or 1, as a Bernoulli likelihood
        needs it. anew: Whether training draws its pixels anew at every access; validation and test are
        drawn once in any case.
    """

    name: ClassVar[str]
    binary: ClassVar[bool]
    anew: ClassVar[bool] = False

    @abstractmethod
    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Makes the pixels.

        Args:
            images: Stored intensities, uint8 0..255 or floats in [0, 1], of any shape.
            generator: Where randomness comes from; it lives on the device of `images`.

        Returns:
            The pixels to store, of the same shape; binary ones as uint8 0 or 255.
        """


class Grey(Pixels):
    """The intensities themselves."""

    name = "grey"
    binary = False

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns `images`."""
        return images


class Threshold(Pixels):
    """1 where the intensity exceeds a level, else 0.

    Args:
        level: The greatest intensity that becomes 0; in [0, 1).
    """

    name = "threshold"
    binary = True

    def __init__(self, level: float = 0.5) -> None:
        if not 0 <= level < 1:
            raise DataError(f"Threshold got level={level}; intensities lie in [0, 1], so give a level in [0, 1).")
        self.level = level

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns 255 where the intensity exceeds the level."""
        return _stored(intensity(images) > self.level)


class Static(Pixels):
    """1 with probability equal to the intensity, drawn once for each split: the same in every run."""

    name = "static"
    binary = True

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns 255 with probability equal to the intensity."""
        return _bernoulli(images, generator)


class Dynamic(Pixels):
    """The same draw as `Static`, but anew at every access in training; validation and test are drawn once."""

    name = "dynamic"
    binary = True
    anew = True

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns 255 with probability equal to the intensity."""
        return _bernoulli(images, generator)


def _bernoulli(images: Tensor, generator: Generator) -> Tensor:
    # In float32 always: the pixels must not depend on the default dtype a program happens to run in.
    uniform = torch.rand(images.shape, generator=generator, device=images.device, dtype=torch.float32)
    return _stored(uniform < intensity(images))


def _stored(ink: Tensor) -> Tensor:
    return ink.to(torch.uint8) * 255
