"""Images of your own, from a NumPy file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.array_file import Header, read_array, read_headers
from datamodules.base import ImageDataModule
from datamodules.errors import DataError
from datamodules.records import Images, Splits
from zoo.noise import mix

IMAGE_NAMES = ("x", "images")
LABEL_NAMES = ("y", "labels")


class ArrayImages(ImageDataModule):
    """A .npy file, or a .npz file of images (x or images) and perhaps labels (y or labels), split at random.

    Images are uint8 (0..255), bool, or floats, of shape (N, *x_shape); (N, H, W) becomes (N, 1, H, W).
    Nothing pickled is ever executed.

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
        n_val, n_test = _count("val", val, shape[0]), _count("test", test, shape[0])
        self.sizes = (shape[0] - n_val - n_test, n_val, n_test)
        if min(self.sizes[0], n_test) < 1:
            raise DataError(
                f"{self.path} holds {shape[0]} examples, which leaves {self.sizes[0]} for training and"
                f" {n_test} for test; both need at least one: change val and test."
            )

    def load(self) -> Splits:
        """Reads the arrays; the test examples do not depend on how many are for validation."""
        x = _stored(f"{self.path} ({self.key})", read_array(self.path, self.key))
        y = None if self.label_key is None else read_array(self.path, self.label_key).astype(np.int64)
        everything = Images(x.reshape(-1, *self.x_shape), None if y is None else torch.from_numpy(y))
        generator = torch.Generator().manual_seed(mix(self.split_seed))
        order = torch.randperm(everything.size, generator=generator)
        n_train, n_val, n_test = self.sizes
        test, val, train = (everything.at(part) for part in order.split((n_test, n_val, n_train)))
        return Splits(train, val, test)


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
    if len(shape) < 2 or math.prod(shape) == 0:
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


def _count(name: str, value: int | float, size: int) -> int:
    if isinstance(value, float) and not 0 <= value < 1:
        raise DataError(f"{name} is {value}; as a fraction it must lie in [0, 1), and a count is an integer.")
    if value < 0:
        raise DataError(f"{name} is {value}; give a count of at least 0, or a fraction as a float.")
    return round(value * size) if isinstance(value, float) else value


def _stored(where: str, array: np.ndarray) -> Tensor:
    if array.dtype == np.bool_:
        return torch.from_numpy(array.astype(np.uint8) * 255)
    if array.dtype == np.uint8:
        if array.max() == 1:
            raise DataError(f"{where} is uint8 of 0 and 1, but 255 is white: save it as bool, or times 255.")
        return torch.from_numpy(array)
    # torch knows only the byte order of the machine; half precision is for storage.
    return torch.from_numpy(array.astype(np.float64 if array.dtype.itemsize == 8 else np.float32))
