"""MNIST with the binarisation that Hugo Larochelle fixed: 70,000 digits of 0 and 1."""

from functools import partial

import numpy as np
import torch

from datamodules.errors import DataError
from datamodules.pixels import Binary
from datamodules.published_file import PublishedFile, Readable
from datamodules.published_images import PublishedImages
from datamodules.records import Images, Splits

_D = 28 * 28


def parse_amat(content: bytes, name: str, n: int) -> torch.Tensor:
    """Reads a text file of n lines of 784 numbers, each 0 or 1.

    Args:
        content: The text.
        name: What it is called in messages.
        n: The number of lines.

    Returns:
        The images, uint8 0 or 255, (n, 1, 28, 28).

    Raises:
        DataError: Where the text holds anything else.
    """
    digit = np.frombuffer(content, np.uint8) >= ord("0")
    if content.translate(None, b"01 \t\r\n") or (digit[1:] & digit[:-1]).any():
        raise DataError(f"{name} holds more than the numbers 0 and 1 with blanks between them")
    lines = [line for line in content.translate(None, b" \t\r").split(b"\n") if line]
    if len(lines) != n or any(len(line) != _D for line in lines):
        raise DataError(f"{name} holds {len(lines)} lines, and not {n} of {_D} numbers each")
    pixels = (np.frombuffer(b"".join(lines), np.uint8) - ord("0")) * 255
    return torch.from_numpy(pixels).reshape(n, 1, 28, 28)


def amat_file(part: str, n: int) -> PublishedFile:
    """Returns the text file of n digits; as no digest has been published, it is known by what it holds."""
    parse = partial(parse_amat, n=n)
    return PublishedFile(f"binarized_mnist_{part}.amat", Readable(parse), parse)


class LarochelleMNIST(PublishedImages):
    """MNIST whose pixels were drawn once for everybody: 50,000 for training, 10,000 for validation, 10,000 for test.

    This is the "static" or "fixed" binarisation of most papers that compare with it. The three text files are
    downloaded to the cache folder, or read from data_dir/LarochelleMNIST or data_dir. No digest of them has been
    published: that all their lines are whole and all numbers 0 or 1 is what is checked.

    Args:
        data_dir: A folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        **kwargs: Passed to `ImageDataModule`.

    References:
        The neural autoregressive distribution estimator (Larochelle and Murray, 2011)
        https://proceedings.mlr.press/v15/larochelle11a.html
    """

    x_shape = (1, 28, 28)
    default_pixels = Binary
    folder = "LarochelleMNIST"
    mirrors = ("http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",)
    files = (amat_file("train", 50_000), amat_file("valid", 10_000), amat_file("test", 10_000))

    def load(self) -> Splits:
        """Reads the three files."""
        return Splits(*(Images(self.read(file)) for file in self.files))
