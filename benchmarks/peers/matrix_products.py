"""The floor: the matrix products of the steps and nothing else, at the speed of this moment."""

import time

import torch

from benchmarks.floor import Layer
from benchmarks.task import Task
from benchmarks.turns import take_turns


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
    """All products of a step, in so many pieces.

    Args:
        task: The task.
        pieces: How many pieces the rows come in, where there are so many.
    """

    def __init__(self, task: Task, pieces: int) -> None:
        self.groups = []
        for rows in sorted({layer.rows for layer in task.layers()}):
            n = max(1, min(pieces, rows // 64))
            group = [Products(layer, rows // n, task.device) for layer in task.layers() if layer.rows == rows]
            self.groups.append((n, group))
        self.device = task.device

    def run(self, times: int) -> float:
        """The seconds of so many steps."""
        began = time.perf_counter()
        for _ in range(times):
            for n, group in self.groups:
                for _ in range(n):
                    self.once(group)
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    @staticmethod
    def once(group: list[Products]) -> None:
        """Forward and backward."""
        for layer in group:
            layer.forward()
        for layer in reversed(group):
            layer.backward()


def fastest(task: Task) -> Step:
    """In as many pieces as are fastest here: many rows at once leave the cache."""
    steps = [Step(task, pieces) for pieces in (1, 2, 4, 8, 16, 32)]
    return min(steps, key=lambda step: min(step.run(3) for _ in range(5)))


def main() -> None:
    """Takes turns."""
    task = Task.given()
    step = fastest(task)
    take_turns(lambda: step.run(task.n // task.batch), list)


if __name__ == "__main__":
    main()
