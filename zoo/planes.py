"""The plane in which points spread most."""

from typing import NamedTuple

import torch
from torch import Tensor


class Plane(NamedTuple):
    """A plane through the mean of points: the mean (D,), two directions (D, 2), and their shares of variance (2,)."""

    mean: Tensor
    directions: Tensor
    share: Tensor

    def project(self, points: Tensor) -> Tensor:
        """The coordinates of points (..., D) in the plane, (..., 2)."""
        return (points - self.mean) @ self.directions


def principal_plane(points: Tensor) -> Plane:
    """The first two principal components of points (N, D), D ≥ 2, in float64.

    The sign of a direction is that which makes its largest entry positive.

    Example:
        >>> points = torch.tensor([[4.0, 0.0, 9.0], [-4.0, 0.0, 9.0], [0.0, 2.0, 9.0], [0.0, -2.0, 9.0]])
        >>> principal_plane(points).share
        tensor([0.8000, 0.2000], dtype=torch.float64)
    """
    points = points.double()
    mean = points.mean(0)
    centred = points - mean
    spread, directions = torch.linalg.eigh(centred.T @ centred)  # (D,), (D, D), from the smallest
    directions = directions[:, [-1, -2]]
    largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))  # (1, 2)
    share = spread[[-1, -2]] / spread.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return Plane(mean, directions * largest.sign(), share)
