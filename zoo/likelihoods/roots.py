"""The inverse of an increasing function."""

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def invert(increasing: Callable[[Tensor], Tensor], target: Tensor, low: float, high: float) -> Tensor:
    """Solves increasing(t) = target for each element, by bisection.

    Args:
        increasing: An increasing function of each element.
        target: The values it is to take, between those at low and at high.
        low: Where the search begins.
        high: Where it ends.

    Returns:
        t, of the shape of the target, in float64.

    Example:
        >>> invert(torch.exp, torch.tensor([2.0, 8.0]), -9, 9)
        tensor([0.6931, 2.0794], dtype=torch.float64)
    """
    target = target.double()
    below, above = torch.full_like(target, low), torch.full_like(target, high)
    for _ in range(70):  # until nothing but rounding is left of the bracket
        middle = (below + above) / 2
        under = increasing(middle) < target
        below, above = torch.where(under, middle, below), torch.where(under, above, middle)
    return (below + above) / 2
