"""What is left as it was by those who look at a model in training: the generators and the buffers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.random import fork_rng


@contextmanager
def generators_kept() -> Iterator[None]:
    """Draws within it do not move torch's generators; CUDA is not started for it.

    Example:
        >>> with generators_kept():
        ...     x = torch.rand(3)
        >>> torch.equal(torch.rand(3), x)
        True
    """
    with fork_rng([torch.cuda.current_device()] if torch.cuda.is_initialized() else []):
        yield


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """What is done to the buffers of a model within it, as to running averages, is undone after it."""
    kept = [(part, name, b, b.clone()) for part in model.modules() for name, b in part.named_buffers(recurse=False)]
    try:
        yield
    finally:
        with torch.no_grad():
            for part, name, buffer, value in kept:
                setattr(part, name, buffer.copy_(value))
