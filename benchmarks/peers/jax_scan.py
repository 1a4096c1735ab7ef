"""JAX: an epoch as one compiled scan over minibatches, with Adam by optax."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.task import Task
from benchmarks.turns import take_turns

REPEATS = 64


def perceptron(x: Any, pairs: Sequence[Any]) -> Any:
    """Affine maps with tanh between them."""
    *hidden, (weight, bias) = pairs
    for each, start in hidden:
        x = jnp.tanh(x @ each + start)
    return x @ weight + bias


def loss(objective: str, pairs: Sequence[Any], x: Any, noise: Any) -> Any:
    """Minus the objective, a mean over the images x (B, 784), in nats."""
    if objective == "prior":
        logits = perceptron(noise, pairs)
        log_w = logits @ x.T - jax.nn.softplus(logits).sum(-1, keepdims=True)  # (k, B)
        return -logmeanexp(log_w).mean()
    mean, log_std = jnp.split(perceptron(x, pairs[:3]), 2, -1)
    z = mean + jnp.exp(log_std) * noise  # (k, B, D)
    logits = perceptron(z, pairs[3:])
    log_px = (x * logits - jax.nn.softplus(logits)).sum(-1)
    if objective == "vae":
        kl = (0.5 * (mean**2 + jnp.exp(2 * log_std) - 1) - log_std).sum(-1)
        return (kl - log_px.mean(0)).mean()
    return -logmeanexp(log_px + (log_std + 0.5 * (noise**2 - z**2)).sum(-1)).mean()


def logmeanexp(log_w: Any) -> Any:
    """Over the first axis."""
    return jax.nn.logsumexp(log_w, 0) - math.log(len(log_w))


def main() -> None:
    """Takes turns."""
    task = Task.given()
    x = jnp.asarray(task.images())
    pairs = [(jnp.asarray(weight.T), jnp.asarray(bias)) for weight, bias in task.weights()]
    adam = optax.adam(1e-3)

    def step(state: Any, rows: Any) -> Any:
        pairs, moments, key = state
        key, own = jax.random.split(key)
        noise = jax.random.normal(own, task.noise_shape)
        gradients = jax.grad(lambda pairs: loss(task.objective, pairs, x[rows], noise))(pairs)
        change, moments = adam.update(gradients, moments)
        return (optax.apply_updates(pairs, change), moments, key), None

    @jax.jit
    def epoch(state: Any) -> Any:
        pairs, moments, key = state
        key, own = jax.random.split(key)
        batches = jax.random.permutation(own, task.n).reshape(-1, task.batch)
        return jax.lax.scan(step, (pairs, moments, key), batches)[0]

    state = [(pairs, adam.init(pairs), jax.random.key(0))]

    def stretch() -> None:
        state[0] = jax.block_until_ready(epoch(state[0]))

    @jax.jit
    def once(pairs: Any, key: Any) -> Any:
        return loss(task.objective, pairs, x[: task.batch], jax.random.normal(key, task.noise_shape))

    def losses() -> list[float]:
        return [float(once(state[0][0], key)) for key in jax.random.split(jax.random.key(1), REPEATS)]

    take_turns(stretch, losses)


if __name__ == "__main__":
    main()
