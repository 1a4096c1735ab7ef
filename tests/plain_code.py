"""What stands for compiled code where it is sooner made: the operations as they were recorded."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from zoo.machine_code import layout


class PlainCode:
    """Operations that are run one by one, where compiled code would run them at once.

    Args:
        graph: The operations.
        inputs: Tensors like those to come, of which it is as sure as compiled code.
    """

    def __init__(self, graph: GraphModule, inputs: Sequence[Tensor]) -> None:
        self.graph, self.layouts = graph, [layout(each) for each in inputs]

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> Any:
        """What they give."""
        assert [layout(each) for each in inputs] == self.layouts
        return self.graph(*inputs)

    def each(self, shares: Sequence[Sequence[Tensor]]) -> list[Any]:
        """What they give of each of several inputs."""
        return [self(*share) for share in shares]

    def into(self, following: "PlainCode", shares: Sequence[Sequence[Tensor]], *first: Tensor) -> Any:
        """What other operations give of that."""
        found = chain.from_iterable(self.each(shares))
        return following(*first, *(each for each in found if each is not None))


def taken(graph: GraphModule, inputs: Sequence[Tensor], threads: int) -> PlainCode:
    """A compiler that is sooner done: it takes the operations as they are."""
    return PlainCode(graph, inputs)
