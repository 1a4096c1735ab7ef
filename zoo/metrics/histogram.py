"""Histograms that are streamed, and joined over ranks."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric


class Binned(NamedTuple):
    """A histogram: how many values lie in each bin, and the edges of the bins, one more."""

    counts: list[int]
    edges: list[float]


class Histogram(Metric):
    """Counts a dimension in bins of equal width; the two at the ends take what lies beyond them too.

    As input to ``update``: values (B, D). As output of ``compute``: the counts, (D, bins).

    Args:
        dim: The number of dimensions D.
        low: Where the first bin begins.
        high: Where the last bin ends.
        bins: The number of bins.

    Example:
        >>> metric = Histogram(dim=1, low=0.0, high=3.0, bins=3)
        >>> metric.update(torch.tensor([[0.5], [1.0], [1.5], [-7.0], [9.0]]))
        >>> metric.compute()
        tensor([[2, 2, 1]])
    """

    full_state_update = False
    counts: Tensor
    edges: Tensor

    def __init__(self, dim: int, low: float, high: float, bins: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(dim, bins, dtype=torch.int64), dist_reduce_fx="sum")
        self.register_buffer("edges", torch.linspace(low, high, bins + 1, dtype=torch.float64), persistent=False)

    def update(self, values: Tensor) -> None:
        """Takes in a batch, (B, D)."""
        dim, bins = self.counts.shape
        place = torch.bucketize(values.detach().double().contiguous(), self.edges[1:-1], right=True)  # (B, D)
        place = place + bins * torch.arange(dim, device=place.device)
        self.counts = self.counts + place.flatten().bincount(minlength=dim * bins).view(dim, bins)

    def compute(self) -> Tensor:
        """Returns the counts."""
        return self.counts
