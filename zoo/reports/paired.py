"""Differences of two models, over the same images and over seeds, and how large their noise is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A mean over images and seeds, and its error.

    Args:
        mean: The mean.
        se: Its standard error, from seeds and images together; of images alone where there is one seed.
        df: Degrees of freedom of that error.
        n_seeds: How many seeds there are.
        n_images: How many images.
    """

    mean: float
    se: float
    df: float
    n_seeds: int
    n_images: int

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval: the quantile of Student's t times the standard error."""
        return float(stats.t.ppf(0.975, self.df)) * self.se

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.mean + self.half_width

    @property
    def p_value(self) -> float:
        """How probable a mean as far from 0 would be, were it 0: two-sided, by Student's t."""
        if self.se == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.se, self.df))


def estimate(values: np.ndarray) -> Estimate:
    r"""The mean of values over seeds and images, both drawn at random, and its standard error.

    With :math:`y_{sn} = \mu + a_s + b_n + c_{sn}`, the variance of the mean is
    :math:`\sigma_a^2/S + \sigma_b^2/N + \sigma_c^2/(SN)`. It is estimated by the variance of the S means of seeds over
    S, plus that of the N means of images over N, less what both hold of c, :math:`\hat\sigma_c^2/(SN)`. What seeds add
    is no less than 0. Degrees of freedom follow Satterthwaite 1946, https://doi.org/10.2307/3002019. With one seed only
    images are there to tell.

    Args:
        values: (S, N), a row a seed; N is at least 2.

    Example:
        >>> estimate(np.array([[1.0, 2.0, 3.0]])).se == (1 / 3) ** 0.5
        True
        >>> found = estimate(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))  # seeds alone differ
        >>> found.mean, round(found.se, 4), found.df
        (2.0, 0.5774, 2.0)
    """
    return _estimate(float(values.mean()), values.mean(0), [values])


def difference(ours: np.ndarray, theirs: np.ndarray, same_seeds: bool) -> Estimate:
    """The mean of one model less that of another, over the same images in the same order.

    Args:
        ours: Of the first, (S, N), a row a seed.
        theirs: Of the second, (T, N).
        same_seeds: Whether row s of both had the same seed: then they are paired as images are. Where not, the seeds of
            each vary by themselves.

    Example:
        >>> a, b = np.array([[1.0, 4.0], [3.0, 6.0]]), np.array([[0.0, 3.0], [2.0, 5.0]])
        >>> paired, apart = difference(a, b, same_seeds=True), difference(a, b, same_seeds=False)
        >>> paired.mean, paired.se, apart.mean, apart.se  # seeds move both alike: pairing takes that out
        (1.0, 0.0, 1.0, 1.4142135623730951)
    """
    if same_seeds:
        return estimate(ours - theirs)
    return _estimate(float(ours.mean() - theirs.mean()), ours.mean(0) - theirs.mean(0), [ours, theirs])


def of_seeds(values: np.ndarray) -> Estimate:
    """The mean of a number over seeds (S,), with Student's interval; with one seed it has no error.

    Example:
        >>> found = of_seeds(np.array([1.0, 2.0, 3.0]))
        >>> found.mean, round(found.half_width, 3)
        (2.0, 2.484)
    """
    s = len(values)
    se = float(values.std(ddof=1)) / s**0.5 if s > 1 else 0.0
    return Estimate(float(values.mean()), se, max(1, s - 1), s, 0)


def with_spread(values: Sequence[float] | np.ndarray) -> str:
    """A mean over seeds, ± their standard deviation, to two decimals, or to three digits of what is small.

    Example:
        >>> with_spread([1.0, 2.0]), with_spread([0.0123]), with_spread([0.0])
        ('1.50 ± 0.71', '0.0123', '0.00')
    """
    mean = float(np.mean(values))
    form = ".2f" if abs(mean) >= 0.1 or mean == 0 else ".3g"
    spread = f" ± {np.std(values, ddof=1):{form}}" if len(values) > 1 else ""
    return f"{mean:{form}}{spread}"


def holm(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which of several differences are larger than their noise, with no more than `level` for one false among all.

    Holm 1979, https://www.jstor.org/stable/4615733.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [True, False, False]
    """
    decided = [False] * len(p_values)
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] > level / (len(p_values) - rank):
            break
        decided[i] = True
    return decided


def _estimate(mean: float, images: np.ndarray, models: Sequence[np.ndarray]) -> Estimate:
    """Joins what images (N,) and the seeds of each model (S, N) say of the error of a mean."""
    seeds = [_of_seeds(values) for values in models]
    parts = [(float(images.var(ddof=1)) / len(images), len(images) - 1), *(part for part in seeds if part[1])]
    variance = sum(part for part, _ in parts)
    df = variance**2 / sum(part**2 / df for part, df in parts) if variance > 0 else parts[0][1]
    return Estimate(mean, variance**0.5, df, min(len(values) for values in models), len(images))


def _of_seeds(values: np.ndarray) -> tuple[float, int]:
    """What seeds add to the variance of a mean over (S, N), and its degrees of freedom: none of one seed."""
    s, n = values.shape
    if s == 1:
        return 0.0, 0
    rest = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    of_both = float((rest**2).sum()) / ((s - 1) * (n - 1) * s * n)
    return max(0.0, float(values.mean(1).var(ddof=1)) / s - of_both), s - 1
