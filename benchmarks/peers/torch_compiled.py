"""A hand-written step of torch, compiled as one graph: forward, backward and Adam.

The noise is drawn before it, which is faster than within: what a compiled graph draws is not vectorised on a CPU.
"""

import torch
from torch import Tensor

from benchmarks.peers.net import loss, losses, tensors
from benchmarks.task import Task
from benchmarks.turns import take_turns

LR, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def main() -> None:
    """Takes turns."""
    torch.set_flush_denormal(True)
    task = Task.given()
    x = torch.from_numpy(task.images()).to(task.device)
    weights = tensors(task)
    means, squares = [torch.zeros_like(each) for each in weights], [torch.zeros_like(each) for each in weights]
    count = torch.zeros((), device=task.device)

    @torch.compile(fullgraph=True)
    def step(images: Tensor, noise: Tensor) -> None:
        gradients = torch.func.grad(lambda weights: loss(task.objective, weights, images, noise))(weights)
        count.add_(1)
        rate, root = LR / (1 - BETA_1**count), (1 - BETA_2**count).sqrt()
        for weight, gradient, mean, square in zip(weights, gradients, means, squares, strict=True):
            mean.lerp_(gradient, 1 - BETA_1)
            square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
            weight.sub_(rate * mean / (square.sqrt() / root + EPSILON))

    def epoch() -> None:
        for rows in torch.randperm(task.n, device=task.device).split(task.batch):
            step(x[rows], torch.randn(task.noise_shape, device=task.device))
        weights[0][0, 0].item()  # waits for the device

    take_turns(epoch, lambda: losses(task, weights, x))


if __name__ == "__main__":
    main()
