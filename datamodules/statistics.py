"""Sums over a whole split, piece by piece: a float copy of it would take eight times its memory."""

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.pixels import intensity
from datamodules.records import Images


class Moments(NamedTuple):
    """The mean and the variance of every pixel over examples, (*x_shape), float64; the variance is divided by N."""

    mean: Tensor
    variance: Tensor


def moments_of(part: Images) -> Moments:
    """Returns the moments of the stored intensities, read once.

    They are summed as distances from the first example, so that data far from zero lose no digits.
    """
    start = intensity(part.at(torch.zeros(1, dtype=torch.int64)).stored).to(torch.float64)[0]
    total, squares = torch.zeros_like(start), torch.zeros_like(start)
    for piece in part.as_they_lie().pieces():
        distance = intensity(piece).to(torch.float64) - start
        total += distance.sum(0)
        squares += distance.square_().sum(0)
    shift = total / part.size
    return Moments(start + shift, (squares / part.size - shift.square()).clamp_min(0))
