"""A recorded step and Adam's move after it, compiled as one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from zoo.bundles.adam import PlainAdam
from zoo.bundles.recording import COMPILED, RecordedStep, Unrecordable, apart
from zoo.compiling import compiled_graph
from zoo.keeping import buffers_kept, generators_kept
from zoo.optimizers import FusedAdam

MOVED = 0.1
"""By what share a compiled move may differ: Adam makes as much of a gradient that is all rounding as of any other."""


class MovingStep:
    """A compiled step that moves the weights too, so that no gradient leaves the compiled code.

    It does what the step and Adam do one after the other, but for rounding, and is compared with them before it is
    used. The optimiser's state tells how many moves there were once `settle` is called.

    Args:
        step: A step that is compiled.
        optimizer: Adam, which has made a step before.
        x: A batch.

    Raises:
        Unrecordable: It cannot be compiled, or gives other numbers.
    """

    def __init__(self, step: RecordedStep, optimizer: FusedAdam, x: Tensor) -> None:
        self._step, self._optimizer = step, optimizer
        self._parameters = step.differentiated
        self._adam = self._plain()
        self._held = self._adam.held
        self._counted = self._made = self._adam.counted
        factors = self._adam.factors(self._made + 1)
        with self._undone():
            graph = make_fx(lambda x, factors: self._move(x, factors))(x, factors)  # which takes no methods
        self._run = compiled_graph(graph, [x, factors], "the training step with its move")
        if self._run is graph:
            raise Unrecordable("the compiler does not take it")
        self._compare(x, factors)

    def holds(self) -> bool:
        """Whether the optimiser still has the tensors and the settings that were recorded."""
        return self._plain().held == self._held

    def __call__(self, x: Tensor) -> None:
        """Moves the weights by the gradient of a batch."""
        if self._made == self._counted:
            self._made = self._counted = self._adam.counted  # others may have moved the weights meanwhile
        self._made += 1
        factors = self._adam.factors(self._made)
        with torch.no_grad():
            self._run(x, factors)

    def settle(self) -> None:
        """Has the optimiser's state tell the moves since the last time."""
        self._adam.count(self._made - self._counted)
        self._counted = self._made

    def _plain(self) -> PlainAdam:
        return PlainAdam(self._optimizer, self._parameters)

    @torch.no_grad()
    def _move(self, x: Tensor, factors: Tensor) -> Tensor:
        loss, _, *gradients = self._step.operations(x)
        self._adam.move([each for each in gradients if each is not None], factors)
        return loss

    def _compare(self, x: Tensor, factors: Tensor) -> None:
        """Refuses what moves weights or moments otherwise than the recorded operations."""
        with self._undone() as changes:
            self._run(x, factors)
            moved, *moments = changes()
        with self._undone() as changes:
            self._move(x, factors)
            own_moved, *own_moments = changes()
        for of_all, own_of_all in zip(moments, own_moments, strict=True):
            scale = 1e-6 * torch.cat(own_of_all).norm()
            if any(apart(own, each, COMPILED, scale) for own, each in zip(own_of_all, of_all, strict=True)):
                raise Unrecordable("its compiled version gives other numbers")
        rounding = 10 * torch.finfo(factors.dtype).eps * torch.cat([each.flatten() for each in self._parameters]).norm()
        if apart(torch.cat(own_moved), torch.cat(moved), MOVED, rounding):
            raise Unrecordable("its compiled version moves otherwise")

    @contextmanager
    def _undone(self) -> Iterator[Callable[[], list[list[Tensor]]]]:
        """What is done within it to weights, moments, buffers and generators is told, and undone after it."""
        tensors = self._adam.tensors
        before = [[each.detach().clone() for each in kind] for kind in tensors]

        def changes() -> list[list[Tensor]]:
            pairs = [zip(now, then, strict=True) for now, then in zip(tensors, before, strict=True)]
            return [[(now.detach() - then).flatten() for now, then in kind] for kind in pairs]

        try:
            with buffers_kept(self._step.model), generators_kept(), torch.no_grad():
                yield changes
        finally:
            with torch.no_grad():
                for now, then in zip(chain(*tensors), chain(*before), strict=True):
                    now.copy_(then)
