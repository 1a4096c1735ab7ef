"""Draws shared by a batch: log p(x|z) of all pairs as a matrix product, not as a tensor (k, B, pixels)."""

import torch
from torch import Tensor


def shared(h: Tensor, x: Tensor) -> bool:
    """Whether the examples share their draws: h is (k, 1, pixels) and x (B, pixels)."""
    return h.ndim == 3 and h.shape[1] == 1 and x.ndim == 2 and x.shape[0] > 1


def square_distance(mean: Tensor, x: Tensor, precision: Tensor) -> Tensor:
    r"""The squared distance of all pairs by expanding the square: in float64 where the terms cancel by over 0.01 nats.

    .. math:: \sum_d \tau_{id} (x_{bd} - \mu_{id})^2

    Args:
        mean: :math:`\mu`, (k, D).
        x: Points, (B, D).
        precision: :math:`\tau`, (k, D) or (1, D).

    Returns:
        The distances, (k, B).

    Example:
        >>> square_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), torch.ones(1, 2))
        tensor([[25.]])
    """
    dtype = mean.dtype
    with torch.autocast(mean.device.type, enabled=False):
        own, theirs, cross = _terms(mean, x, precision)
        error = 4 * torch.finfo(dtype).eps * max(own.detach().max().item(), theirs.detach().max().item())
        if error > 0.01 and dtype != torch.float64:
            own, theirs, cross = _terms(mean.double(), x.double(), precision.double())
        return (own[:, None] - 2 * cross + theirs).to(dtype)


def _terms(mean: Tensor, x: Tensor, precision: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    weighted = mean * precision
    return (weighted * mean).sum(-1), precision @ x.square().mT, weighted @ x.mT
