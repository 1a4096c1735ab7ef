"""The peak of the memory of fresh processes, as Linux tells it."""

import math
from contextlib import closing

from benchmarks.contender import Contender
from benchmarks.peers import BY_TORCH, EVALUATORS, FLOOR, OURS, TRAINERS, Peer
from benchmarks.settings import Settings
from benchmarks.table import Row, Table
from benchmarks.task import Task


def run(settings: Settings) -> list[Table]:
    """The table of training, and that of L_k over k and images."""
    return [training(settings), estimating(settings)]


def training(settings: Settings) -> Table:
    """Two epochs of each contender."""
    task = Task("vae", 100, 1, settings.size(40_000), settings.folder, device=settings.device)
    peers = [peer for peer in TRAINERS if peer.installed and peer.name not in (FLOOR, BY_TORCH)]
    able = [peer for peer in peers if task.objective in peer.objectives and task.device in peer.devices]
    peaks = {peer.name: peak(peer, task) for peer in able}
    rows: list[Row] = [
        {"contender": name, "MiB": own, "of the zoo's": own / peaks[OURS]} for name, own in peaks.items()
    ]
    return Table("Peak memory of training a VAE, batch 100", rows)


def estimating(settings: Settings) -> Table:
    """L_k of one batch of the zoo, over k and over the images of it."""
    zoo = next(peer for peer in EVALUATORS if peer.name == OURS)
    rows: list[Row] = []
    for k, n in ((100, 20), (1000, 20), (5000, 20), (1000, 100)):
        task = Task("log_likelihood", n, settings.size(k), n, settings.folder, device=settings.device)
        rows.append({"work": f"zoo: L_{task.k} of {n} images", "MiB": peak(zoo, task)})
    return Table("Peak memory of L_k", rows)


def peak(peer: Peer, task: Task) -> float:
    """The peak of two stretches, in MiB; NaN where the system does not say."""
    with closing(Contender(peer.name, peer.module, task, **peer.options)) as contender:
        contender.turn()
        contender.turn()
        found = contender.peak()
    return math.nan if found is None else found / 2**20
