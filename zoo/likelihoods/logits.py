"""The log-probability of binary pixels from logits, summed over them, and its gradient in few passes."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

FACTORS = 7
"""How many factors go under one logarithm, at most: torch's compiler keeps the product of so few in registers."""

LANES = 16
"""How many numbers a processor multiplies at once, at most: rows of a multiple of them leave no rest."""


def log_prob(logits: Tensor, x: Tensor) -> Tensor:
    r""":math:`\sum_d x_d l_d - \log(1 + e^{l_d})` over the last axis.

    On a CPU logarithms cost more than all else, so that several factors, none above 2, go under one:

    .. math:: \sum_i \Big( \sum_j x_{ij} l_{ij} - \max(l_{ij}, 0) - \log \prod_j (1 + e^{-|l_{ij}|}) \Big)

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
    above, groups = logits.clamp_min(0), _groups(logits.shape[-1])
    logs = torch.sub(logits, above, alpha=2).exp_().add_(1).unflatten(-1, groups).prod(-2).log_()  # 1 + exp(-|l|)
    linear = (x * logits).sub_(above).unflatten(-1, groups).sum(-2)
    return (linear - logs).sum(-1)


def _groups(n: int) -> tuple[int, int]:
    """How many of n factors go under one logarithm, and how many logarithms there are."""
    fitting = [size for size in range(1, FACTORS + 1) if n % size == 0]
    size = max(fitting, key=lambda size: (n // size % LANES == 0, size))
    return size, n // size


class _LogProb(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, x: Tensor) -> Tensor:
        return _log_prob(logits, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, x = ctx.saved_tensors
        grad = grad.unsqueeze(-1)
        if torch.is_grad_enabled() or grad.shape[:-1] != logits.shape[:-1]:  # to be differentiated again, or summed
            slope = ((logits.sigmoid() - x) * -grad).sum_to_size(logits.shape)
        else:
            slope = (logits.sigmoid() - x).mul_(-grad)
        return slope, (grad * logits).sum_to_size(x.shape) if ctx.needs_input_grad[1] else None

    @staticmethod
    def jvp(ctx: Any, of_logits: Tensor | None, of_x: Tensor | None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, x = ctx.saved_tensors
        by_logits = 0 if of_logits is None else (x - logits.sigmoid()) * of_logits
        by_x = 0 if of_x is None else logits * of_x
        return (by_logits + by_x).sum(-1)  # pyright: ignore[reportAttributeAccessIssue]
