"""What pictures of any kind become: arrays of 8 bits, of one size and one number of channels."""

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from datamodules.errors import DataError

Shape = tuple[int, int, int]
"""Channels, height, width."""

GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "F")


class Form(NamedTuple):
    """What every image becomes.

    Args:
        size: Height and width, to which images are scaled and cropped in the middle; None for the size they
            have, which must then be the same for all.
        grey: Whether they become grey or RGB; None for what the first one is, and if it is grey, all must be.
    """

    size: tuple[int, int] | None
    grey: bool | None

    def shape_of(self, first: Image.Image, where: str) -> Shape:
        """Returns the shape of all images, given the first one; `where` it lies stands in messages."""
        image = _upright(first, where)
        grey = image.mode in GREY_MODES if self.grey is None else self.grey
        return (1 if grey else 3, *(self.size or (image.height, image.width)))

    def array(self, image: Image.Image, shape: tuple[int, ...], where: str) -> np.ndarray:
        """Returns an image as uint8 of the given shape, (C, H, W).

        Raises:
            DataError: It is of another size or kind, and converting it would lose what the caller has not given up.
        """
        channels, height, width = shape
        image = _upright(image, where)
        if self.grey is None and channels == 1 and image.mode not in GREY_MODES:
            raise DataError(f"{where} has colours and the first image is grey; say by grey what all are to become.")
        if self.size is None and (image.height, image.width) != (height, width):
            raise DataError(
                f"{where} has {image.height} x {image.width} pixels and the first image {height} x {width};"
                " give the size that all are to be scaled to."
            )
        image = _opaque(image, where).convert("L" if channels == 1 else "RGB")
        if self.size is not None:
            image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
        pixels = np.asarray(image).reshape(height, width, channels)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _upright(image: Image.Image, where: str) -> Image.Image:
    """Turns a photograph as its camera was held; refuses what is more than one picture of 8 bits."""
    if image.mode.startswith(DEEP_MODES):
        raise DataError(
            f"{where} has pixels of more than 8 bits (mode {image.mode}); convert it to 8 bits, or save the numbers"
            " as an array for ArrayImages."
        )
    # A camera's second picture in a file (MPO) is a preview; it makes no animation.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise DataError(f"{where} is animated or has several pages; save each picture as a file of its own.")
    return ImageOps.exif_transpose(image)


def _opaque(image: Image.Image, where: str) -> Image.Image:
    """Refuses an image one can see through: what lies behind it is not known."""
    if image.mode[-1] not in "Aa" and "transparency" not in image.info:
        return image
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema() != (255, 255):
        raise DataError(f"{where} is transparent in places; put it on a background first.")
    return image
