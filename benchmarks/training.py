"""Training, side by side: the check that all contenders do the same work, their turns, and the table of it."""

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from benchmarks.contender import Contender
from benchmarks.interleave import interleave, ratio
from benchmarks.peers import FLOOR, OURS, TRAINERS, Peer
from benchmarks.settings import Settings
from benchmarks.table import Row, Table
from benchmarks.task import Task

Turn = dict[str, float]


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


def check(found: dict[str, Loss]) -> None:
    """Refuses to time different work: at the same weights all losses agree to five standard errors and rounding.

    Raises:
        Disagreement: Two of them do not.
    """
    (first, expected), *others = found.items()
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
    with ExitStack() as stack:
        contenders = {
            peer.name: stack.enter_context(closing(Contender(peer.name, peer.module, task, **peer.options)))
            for peer in able
            if peer.installed
        }
        check(losses(contenders))
        turns = {name: each.turn for name, each in contenders.items()}
        warm_up, found = interleave(turns, 1), interleave(turns, settings.times)
        reached = losses(contenders)
    rows = [row(task, name, found, warm_up[name][0], reached) for name in found]
    absent: list[Row] = [{"contender": peer.name, "images/s": "not installed"} for peer in able if not peer.installed]
    return Table(title, rows + absent)


def losses(contenders: Mapping[str, Contender]) -> dict[str, Loss]:
    """The loss of each contender but those that make products alone, which have none."""
    return {name: Loss.of(found) for name, each in contenders.items() if (found := each.losses())}


def row(task: Task, name: str, found: Mapping[str, list[Turn]], warm_up: Turn, reached: Mapping[str, Loss]) -> Row:
    """The row of a contender: what validates is told with validation as well."""
    steps = {each: [turn["steps"] for turn in turns] for each, turns in found.items()}
    own, whole = statistics.median(steps[name]), statistics.median(turn["whole"] for turn in found[name])
    return {
        "contender": name,
        "images/s": task.n / own,
        "of the floor": ratio(steps[name], steps[FLOOR]),
        "of the zoo": ratio(steps[name], steps[OURS]),
        "with validation": task.n / whole if whole > own else None,
        "objective reached": f"{-reached[name].mean:.1f}" if name in reached else None,
        "warm-up, s": max(0.0, warm_up["steps"] - own),
    }
