"""What log-weights say of an estimate: closed forms of Gamma, Pareto and Gaussian weights, and brute force."""

import math

import numpy as np
import pytest
import torch
from scipy.special import digamma, polygamma
from scipy.stats import genpareto
from torch import Tensor

from tests.linear import same, standard_error
from zoo import logmeanexp
from zoo.errors import ZooError
from zoo.measures.importance import effective_sample_size, jvi1, khat_threshold, pareto_khat, relative_error

OF_WEIGHTS = [effective_sample_size, relative_error, jvi1, pareto_khat]


def gamma_weights(k: int, shape: float, n: int) -> Tensor:
    """Logarithms of Gamma(shape, 1) weights, (k, n), for which every moment of log of their mean is known."""
    return torch.distributions.Gamma(shape, 1.0).sample(torch.Size([k, n])).log()


def bias(k: int, shape: float = 1.0) -> float:
    """E[L_k] - log E[w] of Gamma weights."""
    return float(digamma(k * shape)) - math.log(k * shape)


def gaussian_weights(c: float, k: int, n: int) -> Tensor:
    """Log-weights of a Gaussian q whose variance is c times the posterior's, (k, n): their k̂ tends to 1 - c."""
    return 0.5 * math.log(c) + 0.5 * (1 - c) * torch.randn(k, n).square()


# --- the estimate itself


@pytest.mark.parametrize(("k", "shape"), [(5, 1.0), (3, 0.7), (10, 2.5)])
def test_l_k_of_gamma_weights_has_its_exact_mean_and_variance(k: int, shape: float) -> None:
    n = 40_001
    found = logmeanexp(gamma_weights(k, shape, n)) - math.log(shape)
    assert abs(found.mean() - bias(k, shape)) < 4 * standard_error(found)
    squares = (found - bias(k, shape)).square()
    assert abs(squares.mean() - float(polygamma(1, k * shape))) < 4 * standard_error(squares)


@pytest.mark.parametrize(("s2", "k", "expected"), [(1, 5, -0.135), (4, 5, -0.801), (4, 50, -0.186), (8, 50, -0.709)])
def test_l_k_of_lognormal_weights_lies_as_far_below_the_evidence_as_is_known(
    s2: float, k: int, expected: float
) -> None:
    """Those of a Gaussian proposal of the posterior's covariance whose mean is off by s posterior deviations."""
    found = logmeanexp(-s2 / 2 + math.sqrt(s2) * torch.randn(k, 40_001))
    assert abs(found.mean() - expected) < 4 * standard_error(found) + 0.002  # the values are rounded, and simulated too


# --- effective sample size and relative error


@pytest.mark.parametrize("k", [1, 3, 10, 1000])
def test_equal_weights_count_each_and_have_no_error(k: int) -> None:
    log_w = torch.full((k, 2), -95.0)
    same(effective_sample_size(log_w), float(k), 1e-9)
    same(relative_error(log_w), 0.0, 1e-7)  # the root of rounding


def test_one_weight_counts_once_whatever_the_others() -> None:
    log_w = torch.full((7, 2), -3000.0)
    log_w[4] = torch.tensor([50.0, -900.0])
    same(effective_sample_size(log_w), 1.0)
    same(relative_error(log_w), math.sqrt(1 - 1 / 7))


def test_the_effective_sample_size_is_its_formula() -> None:
    log_w = torch.randn(11, 3)
    w = log_w.exp()
    same(effective_sample_size(log_w), w.sum(0) ** 2 / (w**2).sum(0))


def test_the_relative_error_is_the_standard_error_of_the_mean_weight_over_it() -> None:
    log_w = torch.randn(11, 3)
    w = log_w.exp()
    same(relative_error(log_w), w.std(0, correction=0) / math.sqrt(11) / w.mean(0))


def test_the_relative_error_is_the_spread_of_l_k_over_draws() -> None:
    k = 500
    log_w = gamma_weights(k, 1.0, 400)
    assert relative_error(log_w).mean() == pytest.approx(math.sqrt(polygamma(1, k)), rel=0.01)


# --- the jackknife


@pytest.mark.parametrize("k", [2, 3, 11])
@pytest.mark.parametrize("spread", [0.1, 3.0, 300.0])
def test_jvi1_is_what_leaving_each_draw_out_gives(k: int, spread: float) -> None:
    log_w = torch.randn(k, 5) * spread - 90
    without = [logmeanexp(torch.cat([log_w[:i], log_w[i + 1 :]])) for i in range(k)]
    same(jvi1(log_w), k * logmeanexp(log_w) - (k - 1) * torch.stack(without).mean(0), 1e-9)


@pytest.mark.parametrize(("k", "expected"), [(10, 9.23e-4), (32, 8.40e-5)])
def test_jvi1_of_exponential_weights_has_its_exact_bias(k: int, expected: float) -> None:
    exact = k * bias(k) - (k - 1) * bias(k - 1)
    assert exact == pytest.approx(expected, rel=1e-3)
    log_w = gamma_weights(k, 1.0, 40_001)
    correction = jvi1(log_w) - logmeanexp(log_w)  # the estimates share most of their noise
    assert 4 * standard_error(correction) < 0.05 * abs(bias(k))
    assert abs(correction.mean() - (exact - bias(k))) < 4 * standard_error(correction)


def test_jvi1_of_equal_weights_is_their_logarithm_and_of_a_million_it_keeps_its_digits() -> None:
    same(jvi1(torch.full((7, 2), -95.3)), -95.3, 1e-12)
    same(jvi1(torch.full((1_000_000, 1), -95.3)), -95.3, 1e-8)


def test_jvi1_keeps_its_digits_where_one_weight_is_nearly_all() -> None:
    """p_1 rounds to 1, and 1 - p_1 = e^-300 must not be made of it."""
    k, gap = 3, 300.0
    log_w = torch.tensor([[0.0], [-gap], [-gap]])
    by_hand = -k * math.log(k) - (k - 1) / k * (-gap + math.log(2)) + (k - 1) * math.log(k - 1)
    same(jvi1(log_w), by_hand)


def test_jvi1_needs_two_draws() -> None:
    with pytest.raises(ZooError, match="at least 2"):
        jvi1(torch.zeros(1, 3))


# --- Pareto k̂


def khat_by_hand(log_w: np.ndarray) -> float:
    """One example, (k,), on the scale of its weights, as Zhang and Stephens write it out, with their k = -k̂."""
    w = np.sort(np.exp(log_w))
    k = len(w)
    m = math.ceil(min(0.2 * k, 3 * k**0.5))
    x = w[-m:] - w[-m - 1]
    n = 30 + int(m**0.5)
    theta = [1 / x[-1] + (1 - (n / (j - 0.5)) ** 0.5) / (3 * x[int(m / 4 + 0.5) - 1]) for j in range(1, n + 1)]

    def profile(theta: float) -> float:
        k = -float(np.mean(np.log(1 - theta * x)))
        return m * (math.log(theta / k) + k - 1)

    likelihoods = [profile(each) for each in theta]
    weights = [1 / sum(math.exp(other - own) for other in likelihoods) for own in likelihoods]
    best = sum(weight * each for weight, each in zip(weights, theta, strict=True))
    return float((m * np.mean(np.log(1 - best * x)) + 5) / (m + 10))


@pytest.mark.parametrize("k", [25, 37, 1000])
def test_khat_is_the_fit_written_out_draw_by_draw(k: int) -> None:
    log_w = torch.cat([torch.randn(k, 3) * torch.tensor([0.3, 1.0, 4.0]), torch.rand(k, 2).log() * 0.8], dim=1)
    expected = torch.tensor([khat_by_hand(each.numpy()) for each in log_w.T])
    same(pareto_khat(log_w), expected, 1e-8)


@pytest.mark.parametrize("shape", [0.1, 0.5, 0.9, 1.5])
def test_khat_of_pareto_weights_is_their_shape(shape: float) -> None:
    k, n = 10_000, 50
    found = pareto_khat(-shape * torch.rand(k, n).log())  # weights u^-κ
    m = 300
    raw = (found * (m + 10) - 5) / m
    assert abs(raw.mean() - shape) < 4 * standard_error(raw) + 0.01  # the fit has a bias of the order of 1 / M
    assert raw.std() == pytest.approx((1 + shape) / math.sqrt(m), rel=0.5)  # that of maximal likelihood


def test_khat_is_near_the_maximal_likelihood_of_its_tail() -> None:
    log_w = -0.6 * torch.rand(10_000, 1).log()
    largest = log_w.exp().flatten().sort().values[-301:]
    shape, _, _ = genpareto.fit((largest[1:] - largest[0]).numpy(), floc=0)
    raw = (pareto_khat(log_w) * 310 - 5) / 300
    same(raw, shape, 0.05)


@pytest.mark.parametrize(("c", "mean", "spread"), [(0.3, 0.655, 0.12), (0.5, 0.47, 0.09), (0.7, 0.32, 0.08)])
def test_khat_of_a_gaussian_proposal_too_narrow_by_c_is_near_1_minus_c(c: float, mean: float, spread: float) -> None:
    """At 5,000 draws the tail is not yet a Pareto's: the mean and the spread of 40 other such fits are given."""
    n = 100
    found = pareto_khat(gaussian_weights(c, 5000, n))
    assert abs(found.mean() - mean) < 4 * spread * math.sqrt(1 / n + 1 / 40)
    assert found.std() == pytest.approx(spread, rel=0.5)
    assert abs(found.mean() - (1 - c)) < spread


@pytest.mark.parametrize("k", [25, 40, 1200])  # at 1200 a point of the grid is 0 where all excesses are equal
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_khat_of_equal_weights_is_far_below_any_threshold(k: int, dtype: torch.dtype) -> None:
    rounded = -95 + torch.finfo(dtype).eps * 95 * torch.randn(k, 2).to(dtype)  # those of an exact posterior
    for log_w in (torch.zeros(k, 2, dtype=dtype), torch.full((k, 2), -95.3, dtype=dtype), rounded):
        assert (pareto_khat(log_w) < 0.25).all()


def test_khat_of_bounded_weights_is_not_above_0() -> None:
    assert (pareto_khat(torch.rand(1000, 9).log()) < 0).all()


def test_khat_is_large_where_one_weight_is_nearly_all() -> None:
    """Also where the others are 0, in float64 or at all."""
    log_w = torch.stack([-5000 * torch.rand(1000), torch.full((1000,), -math.inf), torch.full((1000,), -40.0)], dim=1)
    log_w[17] = 3.0
    assert (pareto_khat(log_w) > khat_threshold(1000)).all()


@pytest.mark.parametrize(("k", "expected"), [(25, 1 - 1 / math.log10(25)), (1000, 2 / 3), (2155, 0.7), (10**6, 0.7)])
def test_the_threshold_of_khat(k: int, expected: float) -> None:
    assert khat_threshold(k) == pytest.approx(expected, abs=1e-4)


def test_khat_is_not_given_for_fewer_than_25_draws() -> None:
    for ask in (lambda: pareto_khat(torch.zeros(24, 3)), lambda: khat_threshold(24)):
        with pytest.raises(ZooError, match="24 draws, where at least 25"):
            ask()


# --- of all of them


@pytest.mark.parametrize("of_weights", OF_WEIGHTS)
def test_weights_of_another_scale_say_the_same(of_weights: object) -> None:
    log_w = 2 * torch.randn(101, 7)
    moved = -700.0 if of_weights is jvi1 else 0.0
    same(of_weights(log_w - 700), of_weights(log_w) + moved, 1e-8)


@pytest.mark.parametrize("of_weights", OF_WEIGHTS)
def test_no_example_knows_of_another_and_none_of_the_order_of_draws(of_weights: object) -> None:
    log_w = torch.randn(101, 7) * torch.linspace(0.1, 5, 7)
    each = torch.cat([of_weights(log_w[torch.randperm(101), i : i + 1]) for i in range(7)])
    same(of_weights(log_w), each)


@pytest.mark.parametrize("of_weights", OF_WEIGHTS)
def test_single_precision_is_worked_out_in_double(of_weights: object) -> None:
    log_w = torch.randn(101, 7).float()
    found = of_weights(log_w)
    assert found.shape == (7,) and found.dtype == torch.float64
    same(found, of_weights(log_w.double()), 1e-12)
