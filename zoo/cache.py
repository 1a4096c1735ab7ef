"""How much to work on at once, so that what one operation writes is still near when the next one reads it."""

import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

UNKNOWN = 2**20
"""The bytes of a core's second-level cache where the system does not tell: few processors have less."""

FILL = 1.5
"""How often what is worked on at once fills the caches: products of more rows are quicker, fewer rows stay nearer."""

_LINUX = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")


def numbers_in_cache(like: Tensor) -> int:
    """How many numbers of the type of ``like`` to work on at once, on its device.

    So many fill its second-level cache; on a CPU those of all threads, `FILL` times. With fewer, what it costs to begin
    an operation shows; with more, what it costs to fetch its numbers from memory.

    Example:
        >>> numbers_in_cache(torch.empty(0, dtype=torch.float64)) >= 2**13
        True
    """
    if like.is_cuda:
        return torch.cuda.get_device_properties(like.device).L2_cache_size // like.element_size()
    return int(FILL * torch.get_num_threads() * core_cache()) // like.element_size()


def even(n: int, most: int) -> int:
    """The size of the pieces of n that are as few and as even as can be where none is above ``most``.

    Example:
        >>> even(100, 30), even(7, 30)
        (25, 7)
    """
    return math.ceil(n / math.ceil(n / most))


@cache
def core_cache() -> int:
    """The bytes of a core's second-level cache, as Linux tells them, or `UNKNOWN`."""
    try:
        return int(_LINUX.read_text().strip().removesuffix("K")) * 1024
    except (OSError, ValueError):
        return UNKNOWN
