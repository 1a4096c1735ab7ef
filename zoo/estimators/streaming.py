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


def bits_per_dimension(log_p: Tensor, x_size: int, levels: int | None) -> Tensor:
    r"""Bits for each element of x, from log p(x) in nats.

    .. math:: \frac{D \log l - \log p(x)}{D \log 2}

    Of a density of pixels dequantised as (i + u) / l it bounds the bits of the 8-bit image from above (Theis, van den
    Oord and Bethge 2016, https://arxiv.org/abs/1511.01844); of a probability of pixels, with l = 1, it is those bits.

    Args:
        log_p: log p(x), or a bound of it, in nats.
        x_size: The number of elements of x, D.
        levels: How many levels [0, 1) is divided into, l; None where pixels were not dequantised.

    Raises:
        ZooError: The pixels were not dequantised: a density of them says nothing about bits.

    Example:
        >>> bits_per_dimension(torch.tensor(0.0), x_size=784, levels=256)  # a uniform density of 8-bit pixels
        tensor(8.)
    """
    if levels is None:
        raise ZooError(
            "bits per dimension are defined for a probability of 8-bit pixels, or a density of dequantised ones: take "
            "--data.pixels Dequantised, or a likelihood as DiscretisedLogistic."
        )
    return math.log2(levels) - log_p / (x_size * math.log(2))


def draws_at_once(size: int, numbers: int = 2**24) -> int:
    """How many draws of ``size`` numbers to decode at once, so that together they stay under ``numbers``.

    Example:
        >>> draws_at_once(100 * 784)
        213
    """
    return max(1, numbers // size)


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Within it every layer is in training mode, or in evaluation mode; after it each is in its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within it nothing is differentiated and every layer is in evaluation mode; after it all is as before."""
    with in_mode(model, training=False), torch.no_grad():
        yield
