"""The log-weights of many draws of q(z|x) by one piece of compiled code, once so many were drawn that it pays."""

from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.utils.flop_counter import FlopCounterMode

from zoo.bundles.purity import alone, state
from zoo.cache import even, numbers_in_cache
from zoo.compiling import Compiled
from zoo.noise import fingerprint
from zoo.priors import Prior

PARTS = 5
"""How many times as many codes as are decoded at once make a block: they share what a call costs by itself."""

SHAPES = 16
"""Of how many shapes of blocks it is known how often they were asked for."""

Block = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From examples, their keys and the index of the first draw to log-weights, (c, b)."""


class Weighable(Protocol):
    """A model, as its draws are weighed."""

    prior: Prior

    def decode(self, z: Tensor) -> Distribution:
        """p(x|z)."""
        ...

    def draw_size(self, n_z: int, n_x: int) -> int:
        """How many numbers it takes to decode one draw of n_z codes and to compare it with n_x examples."""
        ...

    def weigh(self, x: Tensor, keys: Tensor, first: Tensor, k: int) -> Tensor:
        """The log-weights of k draws of each example, from the first on, (k, B)."""
        ...


class Weighing:
    """Log-weights in blocks of so many draws, and of so many examples, that memory grows with neither.

    A block is a function of the examples and of the number of its first draw, which is recorded and compiled for one
    shape: noise, codes, what they are decoded to and their densities are made in few passes. What is compiled is
    forgotten where the model has changed in anything but the values of its weights: see `zoo.bundles.recording.state`.
    A copy of a model begins with none.
    """

    def __init__(self) -> None:
        self._blocks: dict[tuple[Any, ...], Compiled] = {}
        self._held: list[Any] = []
        self._flops = 0

    def columns(self, model: Weighable, x: Tensor, k: int) -> Iterator[Iterator[Tensor]] | None:
        """For some examples after others, chunks of their log-weights, (c, b); None where compiling does not pay yet.

        Args:
            model: The model, in evaluation mode.
            x: A batch, (B, *x_shape).
            k: The number of draws, honoured exactly.
        """
        if torch.is_autocast_enabled(x.device.type):  # by which operations are chosen as they run
            return None
        size = max(1, PARTS * numbers_in_cache(x) // model.draw_size(1, 1))  # so many draws, of whichever examples
        c = even(k, size)
        b = even(len(x), max(1, size // c))
        block = self._compiled(model, x[:b], c, calls=ceil(k / c) * ceil(len(x) / b))
        return None if block is None else _columns(block, x, k, c, b)

    def _compiled(self, model: Weighable, x: Tensor, c: int, calls: int) -> Block | None:
        held = state(model)  # pyright: ignore[reportArgumentType]
        if held != self._held:
            self._held, self._blocks, self._flops = held, {}, _flops(model, x)

        def weigh(x: Tensor, keys: Tensor, first: Tensor) -> Tensor:
            with alone(model):
                return model.weigh(x, keys, first, c)

        key = x.shape, x.dtype, x.device, c
        if key not in self._blocks:
            while len(self._blocks) >= SHAPES:
                self._blocks.pop(next(iter(self._blocks)))
            self._blocks[key] = Compiled("the estimate of log p(x)", self._flops * c * len(x))
        return self._blocks[key].version(weigh, calls, x, fingerprint(x), torch.tensor(0))

    def __reduce__(self) -> Any:
        return Weighing, ()


def _columns(block: Block, x: Tensor, k: int, c: int, b: int) -> Iterator[Iterator[Tensor]]:
    keys = fingerprint(x)
    for start in range(0, len(x), b):
        begin = min(start, len(x) - b)  # all blocks are of one shape: the last ones overlap with those before
        weigh = partial(block, x[begin : begin + b].contiguous(), keys[begin : begin + b])
        yield _chunks(weigh, k, c, start - begin)


def _chunks(weigh: Callable[[Tensor], Tensor], k: int, c: int, known: int) -> Iterator[Tensor]:
    """Log-weights of k draws, without the examples whose are known."""
    for first in range(0, k, c):
        yield weigh(torch.tensor(first))[: k - first, known:]


def _flops(model: Weighable, x: Tensor) -> int:
    """How many operations it takes to decode a draw."""
    with FlopCounterMode(display=False) as counter:
        model.decode(x.new_zeros(1, 1, model.prior.latent_dim))
    return counter.get_total_flops()
