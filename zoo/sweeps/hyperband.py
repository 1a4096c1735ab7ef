"""W&B's early termination: at 1, η, η² ... logged values, only the best 1/η of the runs go on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from zoo.errors import ZooError


@dataclass(frozen=True)
class Hyperband:
    """W&B's rule of stopping, which is simpler than the Hyperband it is named after.

    A run that has logged more than `band` values is stopped where its best value is worse than the threshold of the
    last such band: the value at that place which 1/η of all runs reach. Li et al. 2017,
    https://arxiv.org/abs/1603.06560, is where the bands come from.

    Args:
        min_iter: The first band.
        max_iter: Or the last; then `s` of them, going down.
        s: How many bands, with `max_iter`.
        eta: η, the ratio of a band to the one before.

    Raises:
        ZooError: Neither or both ends are given, or a number is out of range.

    Example:
        >>> Hyperband(min_iter=3).bands(30), Hyperband(max_iter=27, s=2).bands(30)
        ([3, 9, 27], [3, 9])
    """

    min_iter: int | None = None
    max_iter: int | None = None
    s: int | None = None
    eta: float = 3

    def __post_init__(self) -> None:
        one_end = (self.min_iter is None) != (self.max_iter is None)
        if not one_end or (self.max_iter is not None) != (self.s is not None):
            raise ZooError("hyperband needs either min_iter or both max_iter and s.")
        if self.eta <= 1 or min(self.min_iter or 1, self.max_iter or 1, self.s or 1) < 1:
            raise ZooError("of hyperband, eta must be above 1, and min_iter, max_iter and s at least 1.")

    def bands(self, longest: int) -> list[int]:
        """After how many values it looks at a run, below `longest`."""
        if self.min_iter is not None:
            bands = (int(self.min_iter * self.eta**i) for i in range(100))
            return list(takewhile(lambda band: band < longest, bands))
        bands = sorted(int((self.max_iter or 0) / self.eta**i) for i in range(1, (self.s or 0) + 1))
        return [band for band in bands if 1 <= band < longest]

    def stops(self, mine: Sequence[float], all_runs: Sequence[Sequence[float]]) -> bool:
        """Whether a run is to be stopped.

        Args:
            mine: What it has logged of the metric, less being better.
            all_runs: The same of all runs, its own among them.

        Example:
            >>> runs = [[10, 9], [10, 10], [10, 8, 8], [10, 7, 7], [10, 6, 6]]
            >>> rule = Hyperband(max_iter=5, s=2, eta=2)
            >>> [rule.stops(run, runs) for run in runs]
            [True, True, True, False, False]
        """
        bands = self.bands(len(mine))
        if not bands:
            return False
        there = sorted(run[bands[-1]] for run in all_runs if len(run) > bands[-1])
        return min(mine) > there[int(len(there) / self.eta)]


def early_termination(spec: Any) -> Hyperband | None:
    """What stands under `early_terminate` in a sweep file.

    Raises:
        ZooError: It is something else than hyperband.
    """
    if spec is None:
        return None
    if not isinstance(spec, Mapping) or spec.get("type") != "hyperband":
        raise ZooError(f"early_terminate is {spec}, where `type: hyperband` was expected, which alone is known here.")
    given = {name: value for name, value in spec.items() if name != "type"}
    if unknown := sorted(set(given) - {"min_iter", "max_iter", "s", "eta"}):
        raise ZooError(f"early_terminate has {unknown[0]}, which is not known here: min_iter, max_iter, s and eta are.")
    return Hyperband(**given)
