"""Reads a pickled NumPy array without executing anything that the pickle names."""

import io
import pickle
from typing import Any

import numpy as np

from datamodules.errors import DataError

_NUMPY = {"numpy", "numpy.core.multiarray", "numpy._core.multiarray"}
_NAMES = {"_reconstruct", "ndarray", "dtype"}


class _Told:
    """Stands in for an array or its type: keeps what the pickle tells of it, and makes nothing of it."""

    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments
        self.state: Any = ()

    def __setstate__(self, state: object) -> None:
        self.state = state


class _ArrayUnpickler(pickle.Unpickler):
    """Finds the three names that a pickled array is made of, and no other."""

    def find_class(self, module: str, name: str) -> type[_Told]:
        """Returns the stand-in, whatever NumPy of today calls the original."""
        if module in _NUMPY and name in _NAMES:
            return _Told
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def parse_bytes_array(content: bytes, name: str) -> np.ndarray:
    """Reads a pickled list of one array of unsigned bytes, as Python 2 wrote it.

    Not even NumPy's own functions are called with what the pickle says: its numbers and bytes are looked at, and the
    array is made here.

    Args:
        content: The pickle.
        name: What it is called in messages.

    Returns:
        The array, uint8.

    Raises:
        DataError: Where it holds anything else.
    """
    try:
        (told,) = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        _, shape, dtype, fortran, values = told.state  # as ndarray.__reduce__ tells them, after a version
        if dtype.arguments[0] not in (b"u1", "u1") or fortran or not isinstance(values, bytes):
            raise ValueError("it holds another kind of array")
        return np.frombuffer(bytearray(values), np.uint8).reshape(shape)
    except Exception as error:  # a damaged pickle may raise anything
        raise DataError(f"{name} is not a pickled array of unsigned bytes ({error}): fetch it anew.") from None
