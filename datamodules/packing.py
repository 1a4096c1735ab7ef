"""Pictures decoded once, into arrays in the cache folder that are mapped into memory, however large they are."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from numpy.lib import format as npy
from PIL import Image
from tqdm import tqdm

from datamodules.array_file import ONLY, as_tensor, read_array
from datamodules.cache import cache_dir, draft_of, write_whole
from datamodules.errors import DataError
from datamodules.image_form import Form
from datamodules.records import Images

NO_LABEL = -1


class Example(NamedTuple):
    """A picture, its label or -1, and where it lies, in words for messages."""

    image: Image.Image
    label: int
    where: str


class Source(ABC):
    """Pictures that can be gone through, in an order that is always the same.

    Args:
        where: What holds them, for messages.
    """

    def __init__(self, where: str) -> None:
        self.where = where

    @abstractmethod
    def identity(self) -> str:
        """A text that is another one wherever the pictures, their labels or their order are."""

    @abstractmethod
    def __iter__(self) -> Iterator[Example]:
        """Goes through them, reading one at a time."""

    def first(self) -> Example:
        """Returns the first of them."""
        for example in self:
            return example
        raise self.emptiness()

    def emptiness(self) -> DataError:
        """Says that there are none."""
        return DataError(f"{self.where} holds no images.")


def packed(source: Source, form: Form, shape: tuple[int, ...]) -> Images:
    """Returns the pictures of a source, mapped from the cache folder, where they are packed when they are not yet.

    Raises:
        DataError: A picture cannot be read or does not fit the others, or the folder cannot be written to.
    """
    key = hashlib.sha256(repr((source.identity(), form, shape)).encode()).hexdigest()[:32]
    folder = cache_dir() / "packed"
    images, labels = folder / f"{key}.npy", folder / f"{key}-labels.npy"
    if _is_whole(images, labels):
        return _mapped(images, labels)
    # What another process has finished by then stays: it may be mapped, which not every file system forgives.
    with draft_of(images, stays=lambda: _is_whole(images, labels)) as draft, draft.open("wb") as file:
        _pack(source, form, shape, file, labels)
    return _mapped(images, labels)


def _is_whole(images: Path, labels: Path) -> bool:
    try:
        _mapped(images, labels)
    except DataError:  # missing or damaged
        return False
    return True


def _mapped(images: Path, labels: Path) -> Images:
    x, y = read_array(images, ONLY), read_array(labels, ONLY)
    return Images(as_tensor(x), torch.from_numpy(np.array(y)))


def _pack(source: Source, form: Form, shape: tuple[int, ...], file: BinaryIO, labels: Path) -> None:
    """Writes the images to an open file and, before that appears under its name, their labels to another."""
    y = []
    _write_header(file, (0, *shape))
    # disable=None: silent where nobody looks at a terminal
    for image, label, where in tqdm(source, desc="Packing images", unit=" images", disable=None):
        file.write(form.array(image, shape, where).tobytes())
        y.append(label)
    if not y:
        raise source.emptiness()
    file.seek(0)
    _write_header(file, (len(y), *shape))
    write_whole(labels, lambda other: np.save(other, np.array(y, dtype=np.int64)))


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Writes a header; NumPy leaves room in it for a first axis that grows."""
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
