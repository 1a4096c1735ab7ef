"""The floor: the matrix products of the steps and nothing else, at the speed of this moment."""

import math
import os
from collections.abc import Callable, Iterator
from functools import cache, partial

import torch
from torch import Tensor

from benchmarks.floor import Layer
from benchmarks.task import Task
from benchmarks.turns import fastest, take_turns
from zoo.memory import keep_freed

Multiply = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_torch(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """The product of two matrices as torch has it: by MKL, on most CPUs."""
    return torch.mm(a, b, out=out)


def by_onednn(a: Tensor, b: Tensor, out: Tensor) -> Tensor:
    """The same by oneDNN, which is faster on processors that are not Intel's; it makes memory of its own."""
    return torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")


AT_ONCE = (16384, 4096, 2048, 1024, 512, 256)


class Products:
    """The products of a layer, on numbers of no meaning, into memory that is there already.

    Args:
        layer: The layer.
        rows: How many rows go through it at once.
        device: Where.
        multiply: By what.
    """

    def __init__(self, layer: Layer, rows: int, device: str, multiply: Multiply) -> None:
        self.layer, self.multiply = layer, multiply
        numbers = partial(torch.randn, device=device, dtype=torch.float32)
        self.x, self.y = numbers(rows, layer.n_in), numbers(rows, layer.n_out)
        self.weight = numbers(layer.n_out, layer.n_in)
        self.dx, self.dweight = torch.empty_like(self.x), numbers(layer.n_in, layer.n_out)
        self.transposed = self.x.T.contiguous()

    def forward(self) -> None:
        """One product."""
        self.y = self.multiply(self.x, self.weight.T, self.y)

    def backward(self) -> None:
        """The gradients that are asked for."""
        if self.layer.weight_gradient:
            self.dweight = self.multiply(self.transposed, self.y, self.dweight)
        if self.layer.input_gradient:
            self.dx = self.multiply(self.y, self.weight, self.dx)


class Step:
    """All products of a step, in pieces.

    Args:
        task: The task.
        at_once: How many rows go through a layer at once, where there are more.
        multiply: By what.
    """

    def __init__(self, task: Task, at_once: int, multiply: Multiply) -> None:
        self.groups = []
        for rows in sorted({layer.rows for layer in task.layers()}):
            n = math.ceil(rows / at_once)
            group = [Products(layer, rows // n, task.device, multiply) for layer in task.layers() if layer.rows == rows]
            self.groups.append((n, group))
        self.device = task.device

    def run(self) -> None:
        """One step."""
        for n, group in self.groups:
            for _ in range(n):
                _once(group)

    def run_whole(self) -> None:
        """One step, and waits for the device."""
        self.run()
        if self.device == "cuda":
            torch.cuda.synchronize()


def _once(group: list[Products]) -> None:
    for layer in group:
        layer.forward()
    for layer in reversed(group):
        layer.backward()


def steps(task: Task) -> Iterator[Step]:
    """Few rows at once and many, since too many leave the cache, by each library that multiplies here."""
    others = task.device == "cpu" and torch.backends.mkldnn.is_available() and "BENCHMARK_BY_TORCH" not in os.environ
    known = [by_torch, by_onednn] if others else [by_torch]
    return (Step(task, at_once, multiply) for at_once in AT_ONCE for multiply in known)


def main() -> None:
    """Takes turns."""
    keep_freed()  # oneDNN makes memory of its own, whose pages are there then
    task = Task.given()

    @cache
    def step() -> Step:
        return fastest(steps(task), Step.run_whole)

    def stretch() -> None:
        for _ in range(task.n // task.batch - 1):
            step().run()
        step().run_whole()

    take_turns(stretch, list)


if __name__ == "__main__":
    main()
