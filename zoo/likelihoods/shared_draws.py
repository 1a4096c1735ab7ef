"""Draws shared by a batch: log p(x|z) of all pairs as a matrix product, not as a tensor (k, B, pixels)."""

import torch
from torch import Tensor


def shared(h: Tensor, x: Tensor) -> bool:
    """Whether the examples share their draws: h is (k, 1, pixels) and x (B, pixels)."""
    return h.ndim == 3 and h.shape[1] == 1 and x.ndim == 2 and x.shape[0] > 1


def square_distance(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i - b_j‖², (k, B), by expanding the square: in float64 where the terms cancel by over 0.01 nats."""
    error = 4 * torch.finfo(a.dtype).eps * max(a.square().sum(-1).max().item(), b.square().sum(-1).max().item())
    dtype, exact = a.dtype, torch.float64 if error > 0.01 else a.dtype
    a, b = a.to(exact), b.to(exact)
    with torch.autocast(a.device.type, enabled=False):
        return (a.square().sum(-1)[:, None] - 2 * a @ b.mT + b.square().sum(-1)).to(dtype)
