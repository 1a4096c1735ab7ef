"""How time grows with a size: the exponent of a power."""

import math
import statistics
from collections.abc import Mapping, Sequence

from benchmarks.interleave import Interval, interval


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of the logarithms, by least squares: b where a value is a sizeᵇ.

    Example:
        >>> round(exponent([1, 10, 100], [3.0, 300.0, 30_000.0]), 6)
        2.0
    """
    return statistics.linear_regression([math.log(s) for s in sizes], [math.log(v) for v in values]).slope


def exponents(seconds: Mapping[int, Sequence[float]]) -> Interval:
    """The exponent of each round, and the interval of them.

    Args:
        seconds: For each size, its seconds in each round.
    """
    rounds = zip(*seconds.values(), strict=True)
    return interval([exponent(list(seconds), values) for values in rounds])
