"""Errors of means over images and seeds: closed forms, and what simulated worlds say of them."""

import numpy as np
import pytest
from scipy import stats

from zoo.reports.paired import Estimate, difference, estimate, holm


def world(rng: np.random.Generator, s: int, n: int, seeds: float, images: float, both: float) -> np.ndarray:
    """Values (S, N) of a mean of 0, with standard deviations of their three parts."""
    a, b, c = rng.normal(0, seeds, (s, 1)), rng.normal(0, images, (1, n)), rng.normal(0, both, (s, n))
    return a + b + c


def test_of_one_seed_it_is_the_t_interval_of_the_images() -> None:
    values = np.random.default_rng(0).normal(3, 2, (1, 17))
    low, high = stats.t.interval(0.95, 16, values.mean(), stats.sem(values[0]))
    found = estimate(values)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.p_value == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue, rel=1e-12)


def test_where_images_are_alike_it_is_the_t_interval_of_the_seeds() -> None:
    seeds = np.random.default_rng(1).normal(3, 2, (5, 1))
    found = estimate(np.repeat(seeds, 7, 1))
    low, high = stats.t.interval(0.95, 4, seeds.mean(), stats.sem(seeds[:, 0]))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)


def test_models_whose_seeds_have_nothing_in_common_give_welchs_interval() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.normal(1, 1, (4, 1)), rng.normal(0, 3, (7, 1))
    found = difference(np.repeat(ours, 3, 1), np.repeat(theirs, 3, 1), same_seeds=False)
    welch = stats.ttest_ind(ours[:, 0], theirs[:, 0], equal_var=False)
    assert found.p_value == pytest.approx(welch.pvalue, rel=1e-9) and found.df == pytest.approx(welch.df, rel=1e-9)


@pytest.mark.parametrize(("seeds", "images", "both"), [(1, 3, 1), (0.3, 10, 5), (2, 0, 1), (0.7, 1, 0)])
def test_the_variance_of_the_mean_is_estimated_without_bias(seeds: float, images: float, both: float) -> None:
    rng, (s, n) = np.random.default_rng(3), (4, 23)
    variances = [estimate(world(rng, s, n, seeds, images, both)).se ** 2 for _ in range(4000)]
    truth = seeds**2 / s + images**2 / n + both**2 / (s * n)
    # where seeds differ little, what they add is cut off at 0, and the error is a little too wide
    assert truth * 0.95 < np.mean(variances) < truth * 1.12


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    held = np.mean([each.low < 0 < each.high for each in (estimate(world(rng, 3, 31, 1, 3, 2)) for _ in range(3000))])
    assert 0.93 < held < 0.985


def test_pairing_seeds_takes_out_what_they_do_to_both() -> None:
    rng = np.random.default_rng(5)
    shared = rng.normal(0, 10, (3, 11))
    ours, theirs = shared + rng.normal(1, 0.1, (3, 11)), shared
    assert difference(ours, theirs, same_seeds=True).se < difference(ours, theirs, same_seeds=False).se / 10


def test_differences_turn_round() -> None:
    rng = np.random.default_rng(6)
    ours, theirs = rng.normal(0, 1, (2, 9)), rng.normal(1, 1, (3, 9))
    one, other = difference(ours, theirs, same_seeds=False), difference(theirs, ours, same_seeds=False)
    assert one.mean == -other.mean and one.se == pytest.approx(other.se) and one.p_value == pytest.approx(other.p_value)


def test_what_does_not_vary_is_certain() -> None:
    assert Estimate(0.0, 0.0, 3, 2, 5).p_value == 1 and Estimate(0.1, 0.0, 3, 2, 5).p_value == 0


@pytest.mark.parametrize(
    ("p_values", "decided"),
    [
        ([0.024, 0.04], [True, True]),
        ([0.026, 0.001, 0.0251], [False, True, False]),
        ([0.06], [False]),
        ([], []),
    ],
)
def test_holm(p_values: list[float], decided: list[bool]) -> None:
    assert holm(p_values) == decided
