"""L_k in JAX: a compiled scan over chunks of draws, as many at once as are fastest here."""

import math
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers.jax_scan import perceptron
from benchmarks.task import Task
from benchmarks.turns import fastest, take_turns

ROWS = (16384, 4096, 1024, 256)


def main() -> None:
    """Takes turns."""
    task = Task.given()
    x = jnp.asarray(task.images())
    pairs = [(jnp.asarray(weight.T), jnp.asarray(bias)) for weight, bias in task.weights()]

    @partial(jax.jit, static_argnames=["draws"])
    def estimate(x: Any, key: Any, draws: int) -> Any:
        mean, log_std = jnp.split(perceptron(x, pairs[:3]), 2, -1)

        def chunk(total: Any, key: Any) -> Any:
            noise = jax.random.normal(key, (draws, *mean.shape))
            z = mean + jnp.exp(log_std) * noise
            logits = perceptron(z, pairs[3:])
            log_px = (x * logits - jax.nn.softplus(logits)).sum(-1)
            log_w = log_px + (log_std + 0.5 * (noise**2 - z**2)).sum(-1)
            return jnp.logaddexp(total, jax.nn.logsumexp(log_w, 0)), None

        keys = jax.random.split(key, task.k // draws)
        return jax.lax.scan(chunk, jnp.full(len(x), -jnp.inf), keys)[0] - math.log(task.k)

    def run_once(draws: int) -> None:
        jax.block_until_ready(estimate(x[: task.batch], jax.random.key(0), draws))

    divisors = [draws for draws in range(1, task.k + 1) if task.k % draws == 0]
    fitting = {max((d for d in divisors if d * task.batch <= rows), default=1) for rows in ROWS}

    @cache
    def draws() -> int:
        return fastest(fitting, run_once)

    def stretch() -> None:
        for first in range(0, task.n, task.batch):
            jax.block_until_ready(estimate(x[first : first + task.batch], jax.random.key(first), draws()))

    def losses() -> list[float]:
        return [-float(estimate(x[: task.batch], jax.random.key(seed), max(fitting)).mean()) for seed in range(4)]

    take_turns(stretch, losses)


if __name__ == "__main__":
    main()
