"""A recorded step and Adam's move after it, compiled as one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from zoo.bundles.adam import PlainAdam
from zoo.bundles.purity import Unrecordable
from zoo.bundles.recording import RecordedStep, apart
from zoo.bundles.shares import CompiledStep, mean
from zoo.compiling import compiled_graph
from zoo.keeping import buffers_kept, generators_kept
from zoo.machine_code import layout
from zoo.optimizers import FusedAdam

ROUNDING = 1e-4
"""By what share a compiled move may differ from the same operations one by one."""


def takes_over(optimizer: FusedAdam, move: Callable[[Callable[[], Any]], None]) -> Callable[[], None]:
    """Has an optimiser's `step` move by compiled code where there is some, so that all steps move alike.

    Args:
        optimizer: Adam.
        move: Moves by compiled code, or where there is none by what it is given, the optimiser's own.

    Returns:
        What undoes it.
    """
    own, patched = optimizer.step, "step" in vars(optimizer)  # as schedules do

    @wraps(own)
    def step(closure: Callable[[], Any] | None = None) -> Any:
        with torch.enable_grad():
            loss = None if closure is None else closure()
        move(own)
        return loss

    def undo() -> None:
        if patched:
            optimizer.step = own
        else:
            vars(optimizer).pop("step", None)

    optimizer.step = step
    return undo


class MovingStep:
    """A compiled step that moves the weights too, so that no gradient leaves the compiled code.

    Adam's move is compiled by itself, and given what the step's code has found of a batch, or gradients that are there
    already. It is the same code, so weights do not depend on which steps are watched. That it follows Adam's rule is
    looked at before it is used. The optimiser's state tells how many moves there were once `settle` is called.

    Args:
        step: A step that is compiled, and runs without Python.
        optimizer: Adam, which has made a step before.
        x: A batch.

    Raises:
        Unrecordable: It cannot be compiled, or moves otherwise.
    """

    def __init__(self, step: RecordedStep, optimizer: FusedAdam, x: Tensor) -> None:
        self._step, self._optimizer = step, optimizer
        self._parameters = step.differentiated
        self._adam = self._plain()
        self._held = self._adam.held
        self._counted = self._made = self._adam.counted
        self._compiled: CompiledStep = step.compiled
        factors, *_ = self._adam.factors(self._made + 1)
        with self._undone():
            found = self._compiled.each(x)
        self._like = found[0]  # what one thread gives: its loss, log p(x|z), which is not needed here, and its gradient
        self._code = self._compile(factors, *chain(*found))
        self._compare(factors, *chain(*found))

    def holds(self) -> bool:
        """Whether the optimiser still has the tensors and the settings that were recorded."""
        return self._plain().held == self._held

    def moves(self, n: int) -> list[Callable[[Tensor], None]]:
        """The next n moves, one after the other, of the weights by the gradient of a batch."""
        return [partial(self, factors=each) for each in self._factors(n)]

    def __call__(self, x: Tensor, factors: Tensor) -> None:
        """Moves the weights by the gradient of a batch.

        Args:
            x: The batch.
            factors: What Adam has for this move, (groups, 5).
        """
        self._made += 1
        self._compiled.into(self._code, x, factors)

    def by_gradients(self) -> None:
        """Moves the weights by the gradients that they have."""
        (factors,) = self._factors(1)
        self._made += 1
        loss, log_px, *like = self._like
        gradients = [_laid_as(b, each.grad) for b, each in zip(like, self._parameters, strict=True)]
        self._code(factors, *([loss, log_px, *gradients] * self._compiled.n))  # whose mean each of them is
        self.settle()

    @property
    def has_gradients(self) -> bool:
        """Whether the optimiser's parameters have a gradient that had one in the recording, and no others."""
        own = {id(each) for each in self._parameters}
        parameters = [each for group in self._optimizer.param_groups for each in group["params"]]
        return all((each.grad is not None) == (id(each) in own) for each in parameters)

    def settle(self) -> None:
        """Has the optimiser's state tell the moves since the last time."""
        self._adam.count(self._made - self._counted)
        self._counted = self._made

    def _factors(self, n: int) -> Sequence[Tensor]:
        if self._made == self._counted:
            self._made = self._counted = self._adam.counted  # others may have moved the weights meanwhile
        return self._adam.factors(self._made + 1, n)

    def _plain(self) -> PlainAdam:
        return PlainAdam(self._optimizer, self._parameters)

    @torch.no_grad()
    def _move(self, factors: Tensor, *found: Tensor) -> Tensor:
        """Moves by the mean of what threads have found."""
        size = len(self._like)
        losses, _, *gradients = zip(*(found[i : i + size] for i in range(0, len(found), size)), strict=True)
        self._adam.move([mean(each) for each in gradients], factors)
        return mean(losses)  # a graph gives something

    def _compile(self, *inputs: Tensor) -> Callable[..., Any]:
        with self._undone():
            graph = make_fx(self._move)(*inputs)
        code = compiled_graph(graph, inputs, "the optimiser's move")
        if code is graph:
            raise Unrecordable("the compiler does not take it")
        return code

    def _compare(self, *inputs: Tensor) -> None:
        """Refuses code that does not follow Adam's rule."""
        with self._undone() as moved:
            self._code(*inputs)
            found = moved()
        with self._undone() as moved:
            self._move(*inputs)
            expected = moved()
        if any(apart(a, b, ROUNDING, torch.zeros(())) for a, b in zip(expected, found, strict=True)):
            raise Unrecordable("the compiled move is another")

    @contextmanager
    def _undone(self) -> Iterator[Callable[[], list[Tensor]]]:
        """What is done within it to weights, moments, buffers and generators is undone; it tells what the first are."""
        tensors = [*chain(*self._adam.tensors)]
        before = [each.detach().clone() for each in tensors]
        try:
            with buffers_kept(self._step.model), generators_kept(), torch.no_grad():
                yield lambda: [each.detach().clone() for each in tensors]
        finally:
            with torch.no_grad():
                for now, then in zip(tensors, before, strict=True):
                    now.copy_(then)


def _laid_as(like: Tensor, gradient: Tensor | None) -> Tensor:
    """A gradient as compiled code expects it in memory."""
    assert gradient is not None  # by `has_gradients`
    return gradient if layout(gradient) == layout(like) else torch.empty_like(like).copy_(gradient)
