"""Images of your own, from a NumPy file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.array_file import Header, as_tensor, read_array, read_headers
from datamodules.base import ImageDataModule
from datamodules.errors import DataError
from datamodules.random_split import split_at_random, split_sizes
from datamodules.records import Images, Splits

IMAGE_NAMES = ("x", "images")
LABEL_NAMES = ("y", "labels")


class ArrayImages(ImageDataModule):
    """A .npy file, or a .npz file of images (x or images) and perhaps labels (y or labels), split at random.

    Images are uint8 (0..255), bool, or floats, of shape (N, *x_shape); (N, H, W) becomes (N, 1, H, W).
    Nothing pickled is ever executed. A .npy file is mapped into memory, so it may be larger than that: a batch
    reads what it needs. A .npz file is read whole.

    Args:
        path: The file.
        key: The name of the images in a .npz file, where it is not plain.
        val: The number of validation examples, or their fraction, as a float; may be 0.
        test: The number of test examples, or their fraction.
        split_seed: The seed of the split.
        **kwargs: Passed to `ImageDataModule`.
    """

    def __init__(
        self,
        path: str | Path,
        key: str | None = None,
        val: int | float = 0.1,
        test: int | float = 0.1,
        split_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = Path(path).expanduser()
        self.split_seed = split_seed
        self.key, self.label_key, shape = _layout(self.path, key)
        self.x_shape = (1, *shape[1:]) if len(shape) == 3 else shape[1:]
        self.sizes = split_sizes(str(self.path), shape[0], val, test)

    def load(self) -> Splits:
        """Maps or reads the arrays; the test examples do not depend on how many are for validation."""
        x = _stored(f"{self.path} ({self.key})", read_array(self.path, self.key))
        y = None if self.label_key is None else read_array(self.path, self.label_key).astype(np.int64)
        everything = Images(x.reshape(-1, *self.x_shape), None if y is None else torch.from_numpy(y))
        return split_at_random(everything, self.sizes, self.split_seed)


def _layout(path: Path, key: str | None) -> tuple[str, str | None, tuple[int, ...]]:
    """Returns the name of the images, that of the labels if there are any, and the shape of the images."""
    headers = read_headers(path)
    key = _name(path, headers) if key is None else key
    if key not in headers:
        raise DataError(f"{path} holds no array {key!r}, but {', '.join(headers)}: name one of these by key.")
    label_key = _label_name(path, headers)
    _check_images(f"{path} ({key})", headers[key])
    if label_key is not None:
        _check_labels(f"{path} ({label_key})", headers[label_key], headers[key].shape[0])
    return key, label_key, headers[key].shape


def _name(path: Path, headers: dict[str, Header]) -> str:
    names = [name for name in headers if name in IMAGE_NAMES] if len(headers) > 1 else list(headers)
    if len(names) != 1:
        raise DataError(
            f"{path} holds {', '.join(headers) or 'nothing'}, and not exactly one of"
            f" {' and '.join(IMAGE_NAMES)}: name the images by key."
        )
    return names[0]


def _label_name(path: Path, headers: dict[str, Header]) -> str | None:
    names = [name for name in LABEL_NAMES if name in headers]
    if len(names) > 1:
        raise DataError(f"{path} holds both {' and '.join(names)}; keep only one array of labels.")
    return names[0] if names else None


def _check_images(where: str, header: Header) -> None:
    shape, dtype = header
    if dtype not in (np.uint8, np.bool_) and not (dtype.kind == "f" and dtype.itemsize <= 8):
        raise DataError(f"{where} is of type {dtype}; expected uint8 (0..255), bool or float: convert it by astype.")
    if not 2 <= len(shape) <= 4 or math.prod(shape) == 0:
        raise DataError(f"{where} has shape {shape}; expected (N, H, W), (N, C, H, W) or (N, D), none of them 0.")
    if len(shape) == 4 and shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4):
        raise DataError(
            f"{where} has shape {shape}, with the channels last; expected (N, C, H, W): use x.transpose(0, 3, 1, 2)."
        )


def _check_labels(where: str, header: Header, size: int) -> None:
    if header.dtype.kind not in "iu" or header.shape != (size,):
        raise DataError(
            f"{where} is {header.dtype} of shape {header.shape}; expected one integer label for each of {size} images."
        )


def _stored(where: str, array: np.ndarray) -> Tensor:
    # torch knows only the byte order of the machine, so that other arrays are copied.
    images = as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False))
    if images.dtype == torch.uint8 and _is_zero_and_one(images):
        raise DataError(f"{where} is uint8 of 0 and 1, but 255 is white: save it as bool, or times 255.")
    return images


def _is_zero_and_one(images: Tensor) -> bool:
    """Whether 1 is the greatest value; of photographs, the first piece tells that it is not."""
    greatest = 0
    for piece in Images(images).pieces():
        greatest = max(greatest, int(piece.max()))
        if greatest > 1:
            return False
    return greatest == 1
