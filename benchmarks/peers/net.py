"""Burda's net and the three objectives in plain torch, as functions: what the torch peers train."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.task import Task

REPEATS = 64
"""How many draws of the noise the losses are compared over."""


def tensors(task: Task) -> list[Tensor]:
    """The weights and biases that all begin with, flat: weight, bias, weight, ..."""
    return [torch.from_numpy(array).to(task.device) for pair in task.weights() for array in pair]


def perceptron(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Affine maps with tanh between them."""
    *hidden, last = zip(weights[::2], weights[1::2], strict=True)
    for weight, bias in hidden:
        x = F.linear(x, weight, bias).tanh()
    return F.linear(x, *last)


def loss(objective: str, weights: Sequence[Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """Minus the objective, a mean over the images x (B, 784), in nats."""
    return prior(weights, x, noise) if objective == "prior" else bound(objective, weights, x, noise)


def bound(objective: str, weights: Sequence[Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """Minus the ELBO with the KL term in closed form, or minus L_k, with noise (k, B, D)."""
    mean, log_std = perceptron(x, weights[:6]).chunk(2, -1)
    log_px, log_ratio = weigh(mean, log_std, weights[6:], x, noise)  # (k, B)
    if objective == "vae":
        kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1).sum(-1) - log_std.sum(-1)
        return (kl - log_px.mean(0)).mean()
    return (math.log(len(noise)) - (log_px + log_ratio).logsumexp(0)).mean()


def weigh(mean: Tensor, log_std: Tensor, decoder: Sequence[Tensor], x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """log p(x|z), and log p(z) - log q(z|x), of draws that noise (k, B, D) makes, both (k, B)."""
    z = mean + log_std.exp() * noise
    logits = perceptron(z, decoder)
    log_px = (x * logits - F.softplus(logits)).sum(-1)
    return log_px, (log_std + 0.5 * (noise**2 - z**2)).sum(-1)


def prior(weights: Sequence[Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """Minus the log-likelihood estimated with draws (k, D) of the prior that the batch shares."""
    logits = perceptron(noise, weights)
    log_px = logits @ x.T - F.softplus(logits).sum(-1, keepdim=True)  # (k, B)
    return (math.log(len(noise)) - log_px.logsumexp(0)).mean()


def losses(task: Task, weights: Sequence[Tensor], x: Tensor) -> list[float]:
    """The loss of the first batch, of several draws of the noise."""
    with torch.no_grad():
        noises = (torch.randn(task.noise_shape, device=task.device) for _ in range(REPEATS))
        return [loss(task.objective, weights, x[: task.batch], noise).item() for noise in noises]
