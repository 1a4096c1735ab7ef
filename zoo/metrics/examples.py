"""Named values of examples: their means, or all of them."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class ExampleMeans(Metric):
    """The means over examples of named terms.

    As input to ``update``: a mapping from names to values, each (B,). As output of ``compute``: the mean of each.

    Example:
        >>> metric = ExampleMeans()
        >>> metric.update({"elbo": torch.tensor([-1.0, -3.0])})
        >>> metric.update({"elbo": torch.tensor([-5.0])})
        >>> metric.compute()
        {'elbo': tensor(-3., dtype=torch.float64)}
    """

    full_state_update = False
    count: Tensor
    sums: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("sums", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, terms: Mapping[str, Tensor]) -> None:
        """Takes in a batch, each term (B,)."""
        self._names = tuple(terms)
        values = torch.stack([value.detach().double() for value in terms.values()])  # (terms, B)
        self.count = self.count + values.shape[1]
        self.sums = self.sums + values.sum(1)

    def compute(self) -> dict[str, Tensor]:
        """Returns the mean of each term."""
        return dict(zip(self._names, self.sums / self.count, strict=True))


class Examples(Metric):
    """Named values of every example, kept and joined over ranks: for what is no sum, as a quantile.

    The order of the examples is that of the ranks and their batches. As input to ``update``: a mapping from names to
    values, each (B,). As output of ``compute``: the values of all N examples, each (N,), or () where N is 1.

    Example:
        >>> metric = Examples()
        >>> metric.update({"ess": torch.tensor([2.0, 4.0])})
        >>> metric.update({"ess": torch.tensor([9.0])})
        >>> metric.compute()["ess"].median()
        tensor(4., dtype=torch.float64)
    """

    full_state_update = False
    rows: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, values: Mapping[str, Tensor]) -> None:
        """Takes in a batch, each value (B,)."""
        self._names = tuple(values)
        self.rows.append(torch.stack([value.detach().double() for value in values.values()], dim=1))  # (B, values)

    def compute(self) -> dict[str, Tensor]:
        """Returns the values of all examples."""
        return dict(zip(self._names, dim_zero_cat(self.rows).unbind(1), strict=True))
