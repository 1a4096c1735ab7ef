"""How the system's allocator treats the memory of tensors that are gone."""

import ctypes
import os
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of these options in glibc's malloc.h
_KEPT = 2**28
_LARGEST = 2**25  # the most that glibc accepts


def keep_freed() -> None:
    """Keeps about a quarter of a GiB of what tensors leave for those to come.

    glibc gives a large tensor back to the system as soon as it is gone, and the next one costs a fault for each of its
    pages, at each step again. Where the environment sets MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_ or
    GLIBC_TUNABLES that holds; with another C library nothing is done.

    Example:
        >>> keep_freed()
    """
    if not {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & {*os.environ}:
        with suppress(OSError, AttributeError, TypeError):  # which has no such function, or is not to be found
            libc = ctypes.CDLL(None)
            libc.mallopt(_TRIM_THRESHOLD, _KEPT)
            libc.mallopt(_MMAP_THRESHOLD, _LARGEST)
