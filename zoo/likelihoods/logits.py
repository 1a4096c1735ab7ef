"""The log-probability of binary pixels from logits, summed over them, and its gradient in few passes."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

FACTORS = 8
"""How many factors go under one logarithm, at most: their product is at most 2⁸."""

LANES = 16
"""How many numbers a processor multiplies at once, at most: rows of a multiple of them leave no rest."""


def log_prob(logits: Tensor, x: Tensor) -> Tensor:
    r""":math:`\sum_d x_d l_d - \log(1 + e^{l_d})` over the last axis.

    On a CPU logarithms cost more than all else, so that several factors go under one:

    .. math:: \log(1 + e^l) = \max(l, 0) + \log(1 + e^{-|l|}), \qquad
        \sum_d \log(1 + e^{-|l_d|}) = \sum_i \log \prod_j (1 + e^{-|l_{ij}|})

    The gradient :math:`x - \sigma(l)` takes three passes over tensors of the size of the logits, where torch's takes
    six, and can itself be differentiated.

    Args:
        logits: l, (..., D).
        x: x, of a shape that is broadcast with that of l.

    Example:
        >>> log_prob(torch.tensor([[0.0, 0.0]]), torch.tensor([1.0, 0.0])).exp()
        tensor([0.2500])
    """
    if torch.is_grad_enabled():
        return _LogProb.apply(logits, x)  # pyright: ignore[reportReturnType]
    return _log_prob(logits, x)


def _log_prob(logits: Tensor, x: Tensor) -> Tensor:
    above = logits.clamp_min(0)
    smaller = torch.sub(logits, above, alpha=2).exp_().add_(1)  # the factors 1 + exp(-|l|)
    n = logits.shape[-1]
    group = _group(n)
    log_product = smaller.unflatten(-1, (group, n // group)).prod(-2).log_()
    return (x * logits - above).sum(-1) - log_product.sum(-1)


def _group(n: int) -> int:
    """How many of n factors go under one logarithm."""
    fitting = [size for size in range(1, FACTORS + 1) if n % size == 0]
    return max(fitting, key=lambda size: (n // size % LANES == 0, size))


class _LogProb(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, x: Tensor) -> Tensor:
        return _log_prob(logits, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, x = ctx.saved_tensors
        grad = grad.unsqueeze(-1)
        if torch.is_grad_enabled() or grad.shape[:-1] != logits.shape[:-1]:  # to be differentiated again, or summed
            slope = ((logits.sigmoid() - x) * -grad).sum_to_size(logits.shape)
        else:
            slope = logits.sigmoid().sub_(x).mul_(-grad)
        return slope, (grad * logits).sum_to_size(x.shape) if ctx.needs_input_grad[1] else None
