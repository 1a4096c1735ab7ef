"""Tensors as the handles by which torch's compiled code takes and gives them.

It rests on parts of torch that are not public: see `zoo.native`.
"""

import ctypes
from collections.abc import Sequence
from ctypes import PYFUNCTYPE, c_char_p, c_void_p, py_object
from typing import Any

from torch import Tensor
from torch._C._aoti import alloc_tensors_by_stealing_from_void_ptrs, unsafe_alloc_void_ptrs_from_tensors

_pointer = PYFUNCTYPE(c_void_p, py_object, c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))
_capsule = PYFUNCTYPE(py_object, c_void_p, c_char_p, c_void_p)(("PyCapsule_New", ctypes.pythonapi))


def handles(tensors: Sequence[Tensor]) -> Any:
    """An array of new handles, one for each tensor, for which who has them has to answer."""
    pointers = [_pointer(each, None) for each in unsafe_alloc_void_ptrs_from_tensors(list(tensors))]
    return (c_void_p * len(pointers))(*pointers)


def tensors(handles: Any) -> list[Tensor]:
    """The tensors of handles, which are gone with that."""
    return alloc_tensors_by_stealing_from_void_ptrs([_capsule(each, None, None) for each in handles])
