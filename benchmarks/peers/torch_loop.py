"""A plain torch loop: autograd, and Adam in its fused form; denormal numbers are zero unless they are asked for."""

import os

import torch

from benchmarks.peers.net import loss, losses, tensors
from benchmarks.task import Task
from benchmarks.turns import take_turns


def main() -> None:
    """Takes turns."""
    torch.set_flush_denormal("BENCHMARK_DENORMALS" not in os.environ)
    task = Task.given()
    x = torch.from_numpy(task.images()).to(task.device)
    weights = [each.requires_grad_() for each in tensors(task)]
    optimizer = torch.optim.Adam(weights, lr=1e-3, fused=True)

    def epoch() -> None:
        for rows in torch.randperm(task.n, device=task.device).split(task.batch):
            optimizer.zero_grad()
            noise = torch.randn(task.noise_shape, device=task.device)
            loss(task.objective, weights, x[rows], noise).backward()
            optimizer.step()
        weights[0][0, 0].item()  # waits for the device

    take_turns(epoch, lambda: losses(task, weights, x))


if __name__ == "__main__":
    main()
