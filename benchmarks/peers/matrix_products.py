"""The floor: the matrix products of the steps and nothing else, at the speed of this moment."""

import math
import time

import torch

from benchmarks.floor import Layer
from benchmarks.task import Task
from benchmarks.turns import take_turns

AT_ONCE = (16384, 4096, 2048, 1024, 512, 256)


class Products:
    """The products of a layer, on numbers of no meaning, into memory that is there already.

    Args:
        layer: The layer.
        rows: How many rows go through it at once.
        device: Where.
    """

    def __init__(self, layer: Layer, rows: int, device: str) -> None:
        self.layer = layer
        self.x, self.y = torch.randn(rows, layer.n_in, device=device), torch.randn(rows, layer.n_out, device=device)
        self.weight = torch.randn(layer.n_out, layer.n_in, device=device)
        self.dx, self.dweight = torch.empty_like(self.x), torch.empty_like(self.weight)

    def forward(self) -> None:
        """One product."""
        torch.mm(self.x, self.weight.T, out=self.y)

    def backward(self) -> None:
        """The gradients that are asked for."""
        if self.layer.weight_gradient:
            torch.mm(self.y.T, self.x, out=self.dweight)
        if self.layer.input_gradient:
            torch.mm(self.y, self.weight, out=self.dx)


class Step:
    """All products of a step, in pieces.

    Args:
        task: The task.
        at_once: How many rows go through a layer at once, where there are more.
    """

    def __init__(self, task: Task, at_once: int) -> None:
        self.groups = []
        for rows in sorted({layer.rows for layer in task.layers()}):
            n = math.ceil(rows / at_once)
            group = [Products(layer, rows // n, task.device) for layer in task.layers() if layer.rows == rows]
            self.groups.append((n, group))
        self.device = task.device

    def run(self) -> None:
        """One step."""
        for n, group in self.groups:
            for _ in range(n):
                _once(group)

    def seconds(self) -> float:
        """How long a step takes, from the fastest of several pieces of each layer."""
        return sum(n * min(self._seconds(group) for _ in range(9)) for n, group in self.groups)

    def synchronise(self) -> None:
        """Waits for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _seconds(self, group: list[Products]) -> float:
        self.synchronise()
        began = time.perf_counter()
        _once(group)
        self.synchronise()
        return time.perf_counter() - began


def _once(group: list[Products]) -> None:
    for layer in group:
        layer.forward()
    for layer in reversed(group):
        layer.backward()


def fastest(task: Task) -> Step:
    """As many rows at once as are fastest here: too many leave the cache."""
    steps = (Step(task, at_once) for at_once in AT_ONCE)
    return min(steps, key=Step.seconds)


def main() -> None:
    """Takes turns."""
    task = Task.given()
    step = fastest(task)

    def stretch() -> None:
        for _ in range(task.n // task.batch):
            step.run()
        step.synchronise()

    take_turns(stretch, list)


if __name__ == "__main__":
    main()
