"""L_k in plain torch: chunks of draws, as many at once as are fastest here; compiled where it is asked for."""

import math
import os
from functools import cache

import torch
from torch import Tensor

from benchmarks.peers.net import perceptron, tensors, weigh
from benchmarks.task import Task
from benchmarks.turns import fastest, take_turns

ROWS = (16384, 4096, 1024, 256)
"""How many draws are tried at once, of all images together."""


def main() -> None:
    """Takes turns."""
    task = Task.given()
    x = torch.from_numpy(task.images()).to(task.device)
    weights = tensors(task)

    def chunk(mean: Tensor, log_std: Tensor, x: Tensor, noise: Tensor) -> Tensor:
        log_px, log_ratio = weigh(mean, log_std, weights[6:], x, noise)
        return (log_px + log_ratio).double().logsumexp(0)

    run = torch.compile(chunk, dynamic=False) if "BENCHMARK_COMPILE" in os.environ else chunk

    def estimate(x: Tensor, draws: int) -> Tensor:
        mean, log_std = perceptron(x, weights[:6]).chunk(2, -1)
        sizes = [draws] * (task.k // draws) + [task.k % draws] * (task.k % draws > 0)
        noises = (torch.randn(size, *mean.shape, device=task.device) for size in sizes)
        return torch.stack([run(mean, log_std, x, noise) for noise in noises]).logsumexp(0) - math.log(task.k)

    @torch.no_grad()
    def run_once(draws: int) -> None:
        estimate(x[: task.batch], draws).sum().item()

    fitting = {min(task.k, max(1, rows // task.batch)) for rows in ROWS}

    @cache
    def draws() -> int:
        return fastest(fitting, run_once)

    @torch.no_grad()
    def stretch() -> None:
        for batch in x.split(task.batch):
            estimate(batch, draws()).sum().item()

    @torch.no_grad()
    def losses() -> list[float]:
        return [-estimate(x[: task.batch], max(fitting)).mean().item() for _ in range(4)]

    take_turns(stretch, losses)


if __name__ == "__main__":
    main()
