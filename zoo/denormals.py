"""Numbers below the least normal one, which take a hundred times as long as others and are rounding beside them."""

import ctypes
import sys
from pathlib import Path

import torch


def flushed() -> bool:
    """Whether this thread takes denormal numbers for zero.

    Example:
        >>> flushed()
        False
    """
    return torch.tensor(2.0**-149, dtype=torch.float32, device="cpu").mul(1).item() == 0


def flush_denormals(on: bool = True) -> bool:
    r"""Takes numbers below :math:`2^{-126}` (in float64 :math:`2^{-1022}`) for zero, on the CPU, in torch's threads.

    Early in training many normalised weights of an IWAE's draws, and what they multiply, lie below that. A processor is
    slow with such numbers: the steps of a torch loop take three times as long. Next to any number that decides anything
    they are below rounding.

    On Linux, threads that are started later have it from the one that starts them, and those of GNU's OpenMP that torch
    works with now are told one by one. What this starts of them a process that is forked later would wait for, for
    ever: where none runs yet and processes may be forked, ``torch.set_flush_denormal(True)`` is enough.

    Args:
        on: Whether to; False computes with them again.

    Returns:
        Whether it was so before.

    Example:
        >>> before = flush_denormals()
        >>> flush_denormals(before), flushed() == before
        (True, True)
    """
    before = flushed()
    if torch.set_flush_denormal(on) and sys.platform == "linux":
        _tell_threads()
    return before


def _tell_threads() -> None:
    """Gives the threads of GNU's OpenMP the floating-point environment of this one."""
    system = ctypes.CDLL(None)
    own = ctypes.create_string_buffer(256)  # more than such an environment takes anywhere
    system.fegetenv(own)
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libgomp" in line}
    for path in mapped:
        ctypes.CDLL(path).GOMP_parallel(system.fesetenv, own, torch.get_num_threads(), 0)
