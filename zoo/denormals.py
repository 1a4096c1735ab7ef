"""Numbers below the least normal one, which take a hundred times as long as others and are rounding beside them."""

import ctypes
import os
from contextlib import suppress

import torch


def flushed() -> bool:
    """Whether this thread takes denormal numbers for zero.

    Example:
        >>> flushed()
        False
    """
    return torch.tensor(2.0**-149, dtype=torch.float32).mul(1).item() == 0


def flush_denormals(on: bool = True) -> bool:
    r"""Takes numbers below :math:`2^{-126}` (in float64 :math:`2^{-1022}`) for zero, on the CPU, in torch's threads.

    Early in training many normalised weights of an IWAE's draws, and what they multiply, lie below that. A processor is
    slow with such numbers: the steps of a torch loop take three times as long. Next to any number that decides anything
    they are below rounding.

    Threads that are started later have it from the one that starts them. Those of torch that run already are told one
    by one where they are GNU's, as on Linux; elsewhere they stay as they are.

    Args:
        on: Whether to; False computes with them again.

    Returns:
        Whether it was so before.

    Example:
        >>> flush_denormals(), flush_denormals(on=False), flushed()
        (False, True, False)
    """
    before = flushed()
    if torch.set_flush_denormal(on):
        with suppress(OSError, AttributeError):  # another system, or another library of threads
            system = ctypes.CDLL(None)
            threads = ctypes.CDLL("libgomp.so.1", mode=os.RTLD_NOLOAD | os.RTLD_NOW)
            own = ctypes.create_string_buffer(256)  # more than a floating-point environment takes anywhere
            system.fegetenv(own)
            threads.GOMP_parallel(system.fesetenv, own, torch.get_num_threads(), 0)
    return before
