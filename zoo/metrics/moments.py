"""Mean and variance, streamed and joined over ranks."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric


class Summary(NamedTuple):
    """The mean, the variance (divided by n) and the standard error of the mean (nan for one value).

    Each is (D,), or () where D is 1.
    """

    mean: Tensor
    variance: Tensor
    standard_error: Tensor

    def by_dimension(self) -> "Summary":
        """The same, each (D,), also where D is 1 and torchmetrics has made it ()."""
        return Summary(*(value.reshape(-1) for value in self))


class Moments(Metric):
    r"""Count, mean and variance a dimension, streamed and joined over ranks by Chan's rule.

    Chan, Golub and LeVeque 1983, https://doi.org/10.1080/00031305.1983.10483115. As input to ``update``: values
    (B, D). As output of ``compute``: a `Summary`.

    Args:
        dim: The number of dimensions D.
        **kwargs: Arguments of `torchmetrics.Metric`.

    Example:
        >>> metric = Moments(1)
        >>> metric.update(torch.tensor([[1.0], [2.0]]))
        >>> metric.update(torch.tensor([[6.0]]))
        >>> metric.compute().variance
        tensor(4.6667, dtype=torch.float64)
    """

    full_state_update = False
    moments: Tensor

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("moments", torch.zeros(3, dim, dtype=torch.float64), dist_reduce_fx=_join)

    def update(self, values: Tensor) -> None:
        """Takes in a batch, (B, D)."""
        values = values.detach().double()
        mean = values.sum(0) / max(len(values), 1)  # a batch may be empty
        batch = torch.stack([torch.full_like(mean, len(values)), mean, (values - mean).square().sum(0)])
        self.moments = _join(torch.stack([self.moments, batch]))

    def compute(self) -> Summary:
        """Returns what is known of each dimension."""
        count, mean, square = self.moments
        variance = square / count
        return Summary(mean, variance, (variance / (count - 1)).sqrt())


def _join(parts: Tensor) -> Tensor:
    """Joins (count, mean, sum of squared deviations) of disjoint parts, (parts, 3, D) -> (3, D)."""
    whole = parts[0]
    for part in parts[1:]:
        n = whole[0] + part[0]
        shift, weight = part[1] - whole[1], part[0] / n.clamp(min=1)
        whole = torch.stack([n, whole[1] + shift * weight, whole[2] + part[2] + shift.square() * whole[0] * weight])
    return whole
