"""A sample of a split that neither its order nor its batches nor its ranks change."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class BottomK(Metric):
    """The rows of the k smallest keys.

    Where the keys are hashes of the examples, they are a uniform sample of the split: Cohen and Kaplan 2007,
    https://doi.org/10.1145/1281100.1281133. Where they are places in it, they are its first examples. As input to
    ``update``: keys (B,) and rows (B, ...). As output of ``compute``: the rows in the order of their keys, (k, ...), or
    fewer where there are fewer.

    Args:
        k: How many rows.

    Example:
        >>> metric = BottomK(2)
        >>> metric.update(torch.tensor([7, 3]), torch.tensor([[70.0], [30.0]]))
        >>> metric.update(torch.tensor([5, 9]), torch.tensor([[50.0], [90.0]]))
        >>> metric.compute().flatten()
        tensor([30., 50.])
    """

    full_state_update = False
    keys: list[Tensor]
    rows: list[Tensor]

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k
        self.add_state("keys", [], dist_reduce_fx="cat")
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, keys: Tensor, rows: Tensor) -> None:
        """Takes in a batch, and keeps no more than k rows."""
        keys, rows = torch.cat([*self.keys, keys]), torch.cat([*self.rows, rows.detach()])
        first = keys.argsort(stable=True)[: self.k]
        self.keys, self.rows = [keys[first]], [rows[first]]

    def compute(self) -> Tensor:
        """Returns the rows."""
        first = dim_zero_cat(self.keys).argsort(stable=True)[: self.k]
        return dim_zero_cat(self.rows)[first]
