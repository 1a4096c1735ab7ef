"""A compiled step whose batch threads share: each of them makes the gradient of some of the examples by itself."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from zoo.bundles.independence import check_independent
from zoo.bundles.noise import Again, Given, Noted
from zoo.bundles.purity import Unrecordable, alone
from zoo.bundles.recording import RecordedStep, flat, without_detours
from zoo.compiling import SPEED, cause, compiled_graph
from zoo.keeping import buffers_kept, generators_kept
from zoo.machine_code import Shareable, runs_natively

FETCHED = 2e10
"""About how many bytes a second all cores fetch from beyond their own caches."""

SUMMING = 0.2
"""Up to which share of a thread's products it pays to sum what threads have found apart."""

NAME = "the training step"

_log = logging.getLogger(__name__)


class Unshareable(Exception):
    """The examples of a batch cannot be shared out."""


def compile_step(step: RecordedStep, x: Tensor) -> None:
    """Has a recorded step run by compiled code: by threads that share the examples, where that pays and can be.

    Args:
        step: The step.
        x: A batch.

    Raises:
        Unrecordable: Compiled it gives other numbers, and is not used.
    """
    for n in sorted({1, shares(step, x)}, reverse=True):
        try:
            version = CompiledStep(step, x, n)
        except Unshareable as reason:
            _log.debug("threads do not share a batch of %s, since %s", type(step.model).__name__, reason)
            continue
        if (n == 1 or version.native) and step.run_by(version.run, x):
            step.compiled = version if version.native else None
            return
    raise Unrecordable("its compiled version gives other numbers")


def shares(step: RecordedStep, x: Tensor) -> int:
    """How many threads are to share a batch: all, where each has as many examples, or one, where that does not pay.

    It is a power of two, so that the mean of equal gradients is that gradient to the last bit. Each thread has a
    gradient of its own, and the sum over threads has to cost little beside the products of one.
    """
    n = torch.get_num_threads()
    if not (x.is_cpu and runs_natively()) or len(x) % n or n & (n - 1):
        return 1
    summing = n * sum(each.numel() * each.element_size() for each in step.differentiated) / FETCHED
    return n if summing < SUMMING * step.flops(x) / (n * SPEED["cpu"]) else 1


class CompiledStep:
    """The loss of a batch and its gradient by compiled code.

    Where threads share the batch, the noise of all is drawn beforehand, by the operations and in the order of the
    model's own step, and each thread is given its examples' part.

    Args:
        step: The recorded step.
        x: A batch.
        n: How many threads share it; 1 is all threads at each operation of the whole.

    Raises:
        Unshareable: The objective of an example depends on others, or draws, or not by the examples.
    """

    def __init__(self, step: RecordedStep, x: Tensor, n: int) -> None:
        self.n = n
        self._noise: list[tuple[Again, int]] = []
        with generators_kept():
            graph = step.operations if n == 1 else self._share(step, x)
            self.code: Any = compiled_graph(graph, self._inputs(x)[0], NAME, threads=n)

    @property
    def native(self) -> bool:
        """Whether the code runs without Python."""
        return isinstance(self.code, Shareable)

    def run(self, x: Tensor) -> Any:
        """The loss of a batch, log p(x|z) of its draws, and its gradient."""
        if self.n == 1:
            return self.code(x)
        losses, log_px, *gradients = zip(*self.code.each(self._inputs(x)), strict=True)
        return mean(losses), torch.cat(log_px, 1), *(None if each[0] is None else mean(each) for each in gradients)

    def each(self, x: Tensor) -> list[list[Tensor]]:
        """The same as each thread finds it of its examples, without what has no gradient."""
        return [[each for each in found if each is not None] for found in self.code.each(self._inputs(x))]

    def into(self, following: Any, x: Tensor, *first: Tensor) -> Any:
        """What other compiled operations give of ``first`` and of that."""
        return self.code.into(following, self._inputs(x), *first)

    def _inputs(self, x: Tensor) -> list[Sequence[Tensor]]:
        """The examples of each thread, and the noise that it is given."""
        parts = [draw().chunk(self.n, dim) for draw, dim in self._noise]
        return list(zip(x.chunk(self.n), *parts, strict=True))

    def _share(self, step: RecordedStep, x: Tensor) -> GraphModule:
        """Records the step of one thread's examples, with their noise as further inputs."""

        def own(x: Tensor, *noise: Tensor) -> tuple[Tensor | None, ...]:
            with Given(noise):
                return flat(step.own(x))

        try:
            with alone(step.model):
                check_independent(step, x, self.n)
                self._noise = _noise(step, x, self.n)
                return without_detours(make_fx(own)(*self._inputs(x)[0]))
        except Exception as error:  # whatever a model says to fewer examples, or to such as are no numbers
            raise Unshareable(cause(error)) from error


def mean(values: Sequence[Tensor]) -> Tensor:
    """The mean of tensors, 2^m of them: that of equal ones is each of them to the last bit.

    Example:
        >>> x = torch.tensor(0.1)
        >>> bool(mean([x, x, x, x]) == x)
        True
    """
    return _sum(values) / len(values)


def _sum(values: Sequence[Tensor]) -> Tensor:
    """In pairs, so that the sum of equal ones is not rounded."""
    half = len(values) // 2
    return values[0] if half == 0 else _sum(values[:half]) + _sum(values[half:])


def _noise(step: RecordedStep, x: Tensor, n: int) -> list[tuple[Again, int]]:
    """How to draw the noise of a batch, each time with the dimension in which examples share it out."""
    whole, part = _drawn(step, x), _drawn(step, x.chunk(n)[0])
    return [
        (again, _dimension(tuple(small.shape), tuple(large.shape), n))
        for (again, large), (_, small) in zip(whole, part, strict=True)
    ]


def _drawn(step: RecordedStep, x: Tensor) -> list[tuple[Again, Tensor]]:
    """What the step of a batch draws."""
    buffers = [*step.model.buffers()]
    with buffers_kept(step.model), generators_kept():
        before = [each._version for each in buffers]
        with Noted() as noted:
            step.own(x)
        if [each._version for each in buffers] != before:
            raise Unshareable("it changes a buffer, which threads would do at the same time")
    return noted.drawn


def _dimension(small: tuple[int, ...], large: tuple[int, ...], n: int) -> int:
    """The one dimension in which noise of all examples is n times as large as that of a part of them."""
    grown = [dim for dim, (a, b) in enumerate(zip(small, large, strict=True)) if a != b]
    if len(grown) != 1 or n * small[grown[0]] != large[grown[0]]:
        raise Unshareable("it draws, and not by the examples")  # as where they share their draws
    return grown[0]
