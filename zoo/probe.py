"""The first examples of a split, whole on every rank: what a monitor looks at again and again."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class Probe(Metric):
    """The first n examples of a split, in its order, also where rank r of R holds r, r + R, r + 2R, ...

    As input to ``update``: the batches of this rank, (B, ...), in their order. As output of ``compute``: the examples
    of all ranks, (n, ...), or as many as there are.

    Args:
        n: How many examples to take; those that come later are left out.
        rank: This rank, r.
        ranks: The number of ranks, R.

    Example:
        >>> metric = Probe(3)
        >>> metric.update(torch.tensor([[1.0], [2.0]]))
        >>> metric.update(torch.tensor([[3.0], [4.0]]))
        >>> metric.compute().flatten()
        tensor([1., 2., 3.])
    """

    full_state_update = False
    examples: list[Tensor]
    places: list[Tensor]

    def __init__(self, n: int, rank: int = 0, ranks: int = 1) -> None:
        super().__init__()
        self.own = torch.tensor(range(rank, n, ranks), dtype=torch.int64)  # the places that are this rank's
        self.add_state("examples", [], dist_reduce_fx="cat")
        self.add_state("places", [], dist_reduce_fx="cat")

    def update(self, x: Tensor) -> None:
        """Takes in a batch, while there is room."""
        taken = sum(map(len, self.places))
        places = self.own[taken : taken + len(x)].to(x.device)
        if len(places) or not self.places:  # a rank that holds none still says what shape an example has
            self.examples.append(x[: len(places)])
            self.places.append(places)

    def compute(self) -> Tensor:
        """Returns the examples."""
        return dim_zero_cat(self.examples)[dim_zero_cat(self.places).argsort()]
