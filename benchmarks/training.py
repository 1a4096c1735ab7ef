"""Training, side by side: the check that all contenders do the same work, their turns, and the table of it."""

import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from benchmarks.contender import Contender
from benchmarks.interleave import interleave, ratio
from benchmarks.peers import FLOOR, OURS, TRAINERS, Peer
from benchmarks.settings import Settings
from benchmarks.table import Cell, Table
from benchmarks.task import Task


class Disagreement(Exception):
    """Two contenders do not compute the same objective."""


@dataclass(frozen=True)
class Loss:
    """A loss from several draws of the noise, in nats an image.

    Args:
        mean: Its mean.
        se: The standard error of that.
    """

    mean: float
    se: float

    @staticmethod
    def of(losses: Sequence[float]) -> "Loss":
        """From losses that were found."""
        return Loss(statistics.fmean(losses), statistics.stdev(losses) / math.sqrt(len(losses)))


def check(losses: dict[str, Loss]) -> None:
    """Refuses to time different work: at the same weights all losses agree to five standard errors and rounding.

    Raises:
        Disagreement: Two of them do not.
    """
    (first, expected), *others = losses.items()
    for name, loss in others:
        allowed = 5 * math.hypot(loss.se, expected.se) + 1e-4 * abs(expected.mean)
        if not abs(loss.mean - expected.mean) <= allowed:
            raise Disagreement(
                f"at the same weights the loss of {name!r} is {loss.mean:.3f} ± {loss.se:.3f} and that of {first!r} "
                f"{expected.mean:.3f} ± {expected.se:.3f}: they do not do the same work."
            )


def side_by_side(settings: Settings, title: str, task: Task, peers: Sequence[Peer] = TRAINERS) -> Table:
    """The table of a task, done by those of the peers that can."""
    able = [peer for peer in peers if task.objective in peer.objectives and task.device in peer.devices]
    here = [peer for peer in able if peer.installed]
    with ExitStack() as stack:
        contenders = {
            peer.name: stack.enter_context(closing(Contender(peer.name, peer.module, task, **peer.options)))
            for peer in here
        }
        check({name: Loss.of(each.losses()) for name, each in contenders.items() if name != FLOOR})
        turns = {name: each.turn for name, each in contenders.items()}
        first = {name: turns[0] for name, turns in interleave(turns, 1).items()}
        found = interleave(turns, settings.times)
        reached = {name: Loss.of(each.losses()) for name, each in contenders.items() if name != FLOOR}
    steps = {name: [turn["steps"] for turn in turns] for name, turns in found.items()}
    rows = [_row(peer, task, steps, reached) for peer in here]
    for row, peer in zip(rows, here, strict=True):
        whole = statistics.median(turn["whole"] for turn in found[peer.name])
        median = statistics.median(steps[peer.name])
        row["with validation"] = task.n / whole if whole > 1.01 * median else None
        row["compiled in, s"] = max(0.0, first[peer.name]["steps"] - median)
    missing: list[dict[str, Cell]] = [
        {"contender": peer.name, "images/s": "not installed"} for peer in able if peer not in here
    ]
    return Table(title, rows + missing)


def _row(peer: Peer, task: Task, steps: dict[str, list[float]], reached: dict[str, Loss]) -> dict[str, Cell]:
    own = steps[peer.name]
    return {
        "contender": peer.name,
        "images/s": task.n / statistics.median(own),
        "of the floor": ratio(own, steps[FLOOR]),
        "of the zoo": ratio(own, steps[OURS]),
        "objective reached": f"{-reached[peer.name].mean:.1f}" if peer.name in reached else None,
    }
