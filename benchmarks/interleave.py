"""Contenders in turn, in changing order, and what their times say: medians, and ratios with intervals."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def orders(names: Sequence[str], rounds: int) -> list[list[str]]:
    """The order of each round: each name takes each place, and goes before each other, equally often.

    Example:
        >>> orders(["a", "b", "c"], 4)
        [['a', 'b', 'c'], ['a', 'c', 'b'], ['b', 'c', 'a'], ['b', 'a', 'c']]
    """
    turned = [[*names[i:], *names[:i]] for i in range(len(names))]
    both = [order for each in turned for order in (each, [each[0], *reversed(each[1:])])]
    return [both[i % len(both)] for i in range(rounds)]


def interleave(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each contender gave in each round, in which all have one turn after the other.

    Args:
        contenders: What is called for a turn, by its name.
        rounds: How many rounds.
    """
    found: dict[str, list[T]] = {name: [] for name in contenders}
    for order in orders(list(contenders), rounds):
        for name in order:
            found[name].append(contenders[name]())
    return found


@dataclass(frozen=True)
class Interval:
    """A median and where it lies.

    Args:
        median: The median of what was found.
        low: The lower end.
        high: The upper end.
        coverage: How often such an interval holds the true median, whatever the distribution.
    """

    median: float
    low: float
    high: float
    coverage: float


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    r"""The median, between two order statistics: the narrowest that hold it as often as asked, or the extremes.

    The r-th least and the r-th greatest of n values hold the true median with probability
    :math:`1 - 2^{1 - n} \sum_{i < r} \binom{n}{i}`.

    Example:
        >>> interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0, 7.0])
        Interval(median=4.0, low=1.0, high=7.0, coverage=0.984375)
    """
    ordered, n = sorted(values), len(values)
    ranks = [r for r in range(1, (n + 1) // 2 + 1) if coverage(n, r) >= level]
    r = max(ranks, default=1)
    return Interval(statistics.median(ordered), ordered[r - 1], ordered[n - r], coverage(n, r))


def coverage(n: int, r: int) -> float:
    """How often the r-th least and the r-th greatest of n values hold the median."""
    return max(0.0, 1 - 2 ** (1 - n) * sum(math.comb(n, i) for i in range(r)))


def ratio(seconds: Sequence[float], of: Sequence[float]) -> Interval:
    """The speed that seconds stand for over that of others, of pairs that belong to the same round."""
    return interval([theirs / own for own, theirs in zip(seconds, of, strict=True)])
