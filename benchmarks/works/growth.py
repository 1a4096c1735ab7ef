"""How the time of `zoo fit` and of L_k grows with batch, k, latent size, width and number of examples."""

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace

from benchmarks.contender import Contender
from benchmarks.exponents import exponent, exponents
from benchmarks.interleave import interleave
from benchmarks.peers import EVALUATORS, OURS, TRAINERS, Peer
from benchmarks.settings import Settings
from benchmarks.table import Row, Table
from benchmarks.task import Task


def run(settings: Settings) -> list[Table]:
    """The table."""
    vae = Task("vae", 100, 1, 20_000, settings.folder, device=settings.device)
    iwae = replace(vae, objective="iwae", batch=20, n=4_000)
    estimate = replace(vae, objective="log_likelihood", batch=20, k=1000, n=20)
    train, weigh = (next(peer for peer in peers if peer.name == OURS) for peers in (TRAINERS, EVALUATORS))
    training = {
        "a VAE's step over the batch": {b: replace(vae, batch=b, n=200 * b) for b in (20, 60, 180)},
        "an IWAE's step over k": {k: replace(iwae, k=k) for k in (5, 20, 80)},
        "a VAE's step over the latent size": {d: replace(vae, latent_dim=d) for d in (10, 50, 250)},
        "a VAE's step over the width": {h: replace(vae, hidden=h) for h in (100, 400, 1600)},
        "a VAE's epoch over the examples": {n: replace(vae, n=n) for n in (5_000, 15_000, 45_000)},
    }
    evaluation = {
        "L_k over k": {k: replace(estimate, k=k) for k in (100, 1000, 10_000)},
        "L_1000 over the images": {n: replace(estimate, n=n) for n in (20, 80, 320)},
    }
    rows = [row(settings, train, what, tasks) for what, tasks in training.items()]
    rows += [row(settings, weigh, what, tasks) for what, tasks in evaluation.items()]
    return [Table("Growth of the time, as the exponent of a power", rows)]


def row(settings: Settings, peer: Peer, what: str, tasks: Mapping[int, Task]) -> Row:
    """The exponent of the time beside that of the products' operations."""
    sizes = [min(tasks), max(tasks)] if settings.quick else list(tasks)
    with ExitStack() as stack:
        contenders = {
            size: stack.enter_context(closing(Contender(f"{what}: {size}", peer.module, tasks[size], **peer.options)))
            for size in sizes
        }
        turns = {str(size): each.turn for size, each in contenders.items()}
        interleave(turns, 1)
        found = interleave(turns, settings.times)
    seconds = {size: [turn["steps"] for turn in found[str(size)]] for size in sizes}
    flops = [operations(tasks[size]) for size in sizes]
    return {
        "what": what,
        "sizes": ", ".join(f"{size:,}" for size in sizes),
        "exponent": exponents(seconds),
        "of the operations": exponent(sizes, flops),
    }


def operations(task: Task) -> int:
    """The multiplications and additions of a stretch."""
    return task.n // task.batch * sum(layer.flops for layer in task.layers())
