"""What a network is: (shape in, shape out) -> module. A model passes the shapes, so that each is written once."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


class Network(nn.Module, ABC):
    """A function from (..., *in_shape) to (..., *out_shape), with any leading axes.

    Args:
        in_shape: The shape of one input.
        out_shape: The shape of one output.
    """

    width: int
    """How many numbers its widest layer holds for one input: what it may be given at once depends on it.

    A network whose layers are wider than its input, its output and 256 says so.
    """

    def __init__(self, in_shape: Shape, out_shape: Shape) -> None:
        super().__init__()
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        self.width = max(math.prod(in_shape), math.prod(out_shape), 256)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Maps (..., *in_shape) to (..., *out_shape)."""

    @abstractmethod
    def start_at(self, output: Tensor) -> None:
        """Makes an untrained network's output begin at ``output``, of shape out_shape; a trained one stays."""


@torch.no_grad()
def start_bias(bias: Tensor, output: Tensor) -> None:
    """Sets an output bias, where training has not moved it from zero."""
    if not bias.any():
        bias.copy_(output.reshape(bias.shape))


def full_precision(h: Tensor) -> Tensor:
    """What a network emits, in float32 at least: sums of hundreds of logarithms in 16 bits would be off by nats.

    Example:
        >>> full_precision(torch.ones(2, dtype=torch.bfloat16)).dtype
        torch.float32
    """
    return h.float() if h.dtype in (torch.float16, torch.bfloat16) else h


NetworkFactory = Callable[[Shape, Shape], Network]
