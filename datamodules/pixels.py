"""What the pixels are: grey, dequantised, or binary by a threshold, by one draw, or by a draw anew at every access.

Likelihoods on pixels made in different ways are different quantities, so the way is a part with a name, and
the name travels with every number.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Generator, Tensor

from datamodules.errors import DataError
from datamodules.records import Images


def intensity(images: Tensor) -> Tensor:
    """Returns stored pixels as numbers: uint8 0..255 and bool become float32 in [0, 1], floats stay as they are."""
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255
    return images.to(torch.float32) if images.dtype == torch.bool else images


class Pixels(ABC):
    """How stored intensities become the pixels a model sees.

    Attributes:
        name: One word for logs and tables.
        binary: Whether every pixel is 0 or 1, as a Bernoulli likelihood needs it.
        anew: Whether training draws its pixels anew at every access; validation and test are drawn once in any case.
        as_stored: Whether the pixels are the stored intensities themselves, so that nothing has to be made.
        levels: Where a pixel stands for an interval of intensities, how many of them [0, 1) is divided into.
    """

    name: ClassVar[str]
    binary: ClassVar[bool]
    anew: ClassVar[bool] = False
    as_stored: ClassVar[bool] = False
    levels: ClassVar[int | None] = None

    @abstractmethod
    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Makes the pixels.

        Args:
            images: Stored intensities, uint8 0..255, bool, or floats in [0, 1], of any shape.
            generator: Where randomness comes from; it lives on the device of `images`.

        Returns:
            The pixels to store, of the same shape; binary ones as uint8 0 or 255.
        """

    def refusal(self, part: Images) -> str | None:
        """Says why such pixels cannot be made of `part`, in words that follow on "the train split", or None."""
        return None

    def mean(self, mean: Tensor) -> Tensor:
        """Returns the mean of training pixels, given that of what is stored of them."""
        return mean

    def variance(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Returns the variance of training pixels, given the moments of what is stored of them."""
        return variance


class Grey(Pixels):
    """The intensities themselves."""

    name = "grey"
    binary = False
    as_stored = True

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns `images`."""
        return images


class Dequantised(Pixels):
    r"""Levels of 8 bits, each spread evenly over its interval, anew at every access in training.

    .. math:: x = (i + u) / 256, \quad u \sim U[0, 1)

    Validation and test are drawn once. A density p(x) of such pixels bounds the probability of the image as it is
    stored, log P(i) ≥ E_u[log p(x)] − D log 256, and so says something about the image, which a density of grey
    pixels does not: those lie on 256 points, where a density has no limit.

    References:
        A note on the evaluation of generative models (Theis et al., 2016) https://arxiv.org/abs/1511.01844
    """

    name = "dequantised"
    binary = False
    anew = True
    levels = 256

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns (i + u) / 256 in float32, for images of uint8."""
        # With u a multiple of 2^-16 the sum fits into the 24 bits of a float32: none is rounded up to the next level.
        u = torch.randint(2**16, images.shape, generator=generator, device=images.device, dtype=torch.float32)
        return (images.to(torch.float32) * 2**16 + u) / 2**24

    def refusal(self, part: Images) -> str | None:
        """Takes nothing but uint8."""
        if part.stored.dtype == torch.uint8:
            return None
        return (
            f"holds {part.stored.dtype} values, and only uint8 images (0..255) can be dequantised:"
            " give images of 8 bits, or choose Grey pixels."
        )

    def mean(self, mean: Tensor) -> Tensor:
        """Returns (E[i] + 1/2) / 256."""
        return (255 * mean + 0.5) / 256

    def variance(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Returns (Var(i) + 1/12) / 256²."""
        return (255**2 * variance + 1 / 12) / 256**2


class Binary(Pixels):
    """The pixels of data that are 0 or 1 already."""

    name = "binary"
    binary = True
    as_stored = True

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns `images`."""
        return images

    def refusal(self, part: Images) -> str | None:
        """Takes no intensities between 0 and 1."""
        white = 255 if part.stored.dtype == torch.uint8 else 1
        if all(((piece == 0) | (piece == white)).all() for piece in part.as_they_lie().pieces()):
            return None
        return (
            f"holds values beside 0 and {white}, so its pixels are not binary yet: choose Threshold, Static or"
            " Dynamic pixels, which make them so."
        )


class _MadeBinary(Pixels):
    """0 or 1, made of an intensity."""

    binary = True

    def refusal(self, part: Images) -> str | None:
        """Takes no floats outside [0, 1]."""
        if not part.stored.is_floating_point() or not part.size:
            return None
        least, greatest = map(torch.stack, zip(*(x.aminmax() for x in part.as_they_lie().pieces()), strict=True))
        if 0 <= least.min() and greatest.max() <= 1:
            return None
        return (
            f"holds values from {least.min():g} to {greatest.max():g}, which {self.name} pixels cannot be made of:"
            " scale them to [0, 1], or choose Grey pixels."
        )


class Threshold(_MadeBinary):
    """1 where the intensity exceeds a level, else 0.

    Args:
        level: The greatest intensity that becomes 0; in [0, 1).
    """

    name = "threshold"

    def __init__(self, level: float = 0.5) -> None:
        if not 0 <= level < 1:
            raise DataError(f"Threshold got level={level}; intensities lie in [0, 1], so give a level in [0, 1).")
        self.level = level

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns 255 where the intensity exceeds the level."""
        return _stored(intensity(images) > self.level)


class _Drawn(_MadeBinary):
    """1 with probability equal to the intensity."""

    def freeze(self, images: Tensor, generator: Generator) -> Tensor:
        """Returns 255 with probability equal to the intensity."""
        # In float32 always: the pixels must not depend on the default dtype a program happens to run in.
        uniform = torch.rand(images.shape, generator=generator, device=images.device, dtype=torch.float32)
        return _stored(uniform < intensity(images))


class Static(_Drawn):
    """1 with probability equal to the intensity, drawn once for each split: the same in every run."""

    name = "static"


class Dynamic(_Drawn):
    """The same draw as `Static`, but anew at every access in training; validation and test are drawn once."""

    name = "dynamic"
    anew = True

    def variance(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Returns m (1 - m), m the mean."""
        return mean * (1 - mean)


def _stored(ink: Tensor) -> Tensor:
    return ink.to(torch.uint8) * 255
