"""Estimates of log p(x) from draws that come in chunks: memory does not grow with k."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zoo.errors import ZooError


def streamed_logmeanexp(chunks: Iterable[Tensor]) -> Tensor:
    r""":math:`\log \frac{1}{k} \sum_i w_i`, (B,), of log-weights that come in chunks of draws, (c, B).

    The sum runs in float64 and is divided by the number of draws that came, whatever the chunks.

    Raises:
        ZooError: There is no draw.

    Example:
        >>> log_w = torch.tensor([[1.0], [3.0], [5.0]]).log()
        >>> streamed_logmeanexp(log_w.split(2)).exp()
        tensor([3.0000], dtype=torch.float64)
    """
    total, k = torch.tensor(-math.inf, dtype=torch.float64), 0
    for log_w in chunks:
        total = torch.logaddexp(total.to(log_w.device), log_w.double().logsumexp(0))
        k += len(log_w)
    if k == 0:
        raise ZooError("k is below 1, where at least one draw was expected.")
    return total - math.log(k)


def draws_at_once(n_examples: int, x_size: int, numbers: int = 2**24) -> int:
    """How many draws of each example to decode at once, so that their pixels stay under ``numbers``.

    Where there are few pixels it is the hidden layers that take the memory, and they count as 256.

    Example:
        >>> draws_at_once(n_examples=100, x_size=784)
        213
    """
    return max(1, numbers // (n_examples * max(x_size, 256)))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within it nothing is differentiated and every layer is in evaluation mode; after it all is as before."""
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in trained:
            module.training = True
