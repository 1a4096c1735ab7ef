"""NumPy files: what arrays they hold, told from their headers, and the arrays themselves."""

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from datamodules.errors import DataError

ONLY = "x"
"""The name of the one array in a .npy file, which has none of its own."""


class Header(NamedTuple):
    """The shape and type of an array that has not been read."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_headers(path: Path) -> dict[str, Header]:
    """Returns the header of every array in a .npy or .npz file, by name, without reading the arrays."""
    with _explained(path):
        if path.suffix == ".npy":
            with path.open("rb") as file:
                return {ONLY: _header(file)}
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _member_header(archive, name) for name in archive.namelist()}


def read_array(path: Path, name: str) -> np.ndarray:
    """Reads one array of a .npz file, or maps that of a .npy file; nothing pickled is ever executed."""
    with _explained(path):
        if path.suffix == ".npy":
            # Read-only: of a writable map the system may have to keep every page in memory.
            return np.load(path, mmap_mode="r", allow_pickle=False)
        # Opened here, because numpy leaves a damaged file open.
        with path.open("rb") as file:
            return np.load(file, allow_pickle=False)[name]


def as_tensor(array: np.ndarray) -> Tensor:
    """Returns the array as a tensor without copying it; the tensor of a mapped file must not be written to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def _member_header(archive: zipfile.ZipFile, name: str) -> Header:
    with archive.open(name) as file:
        return _header(file)


def _header(file: IO[bytes]) -> Header:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    shape, _, dtype = readers[npy.read_magic(file)](file)
    return Header(shape, dtype)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    if path.suffix not in (".npy", ".npz"):
        raise DataError(f"{path} is not named .npy or .npz; write the images with numpy.save or numpy.savez.")
    if not path.is_file():
        raise DataError(f"{path} does not exist; give the path of a .npy or .npz file.")
    try:
        yield
    except Exception as error:  # a damaged file may raise anything
        raise DataError(f"{path} cannot be read as a NumPy file ({error}); write it anew.") from None
