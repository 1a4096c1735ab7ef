"""Linear Gaussian data: their closed forms, and what they are drawn from."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from datamodules import DataError, LinearGaussian


@pytest.fixture
def linear() -> LinearGaussian:
    return LinearGaussian(latent_dim=3, x_dim=5, variance=0.3, n_test=203)


def test_linear_gaussian_data_are_drawn_from_the_model(linear: LinearGaussian) -> None:
    data = LinearGaussian(latent_dim=3, x_dim=5, variance=0.3, n_train=100_000)
    x = data.splits.train.images
    assert x.dtype == torch.float64
    covariance = data.W @ data.W.T + 0.3 * torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(x.mean(0), data.mu, atol=0.05, rtol=0)
    torch.testing.assert_close(x.T.cov(), covariance, atol=0.15, rtol=0)
    assert torch.equal(data.W, linear.W)
    assert not torch.equal(LinearGaussian(latent_dim=3, data_seed=1).W, linear.W)


def test_linear_gaussian_splits_are_the_same_in_every_run(linear: LinearGaussian) -> None:
    again = LinearGaussian(latent_dim=3, x_dim=5, variance=0.3, n_test=203)
    assert [part.size for part in linear.splits] == [1000, 201, 203]
    assert all(torch.equal(a.images, b.images) for a, b in zip(linear.splits, again.splits, strict=True))
    assert torch.equal(again.load().test.images, again.load().test.images)


def test_linear_gaussian_log_prob(linear: LinearGaussian) -> None:
    x = linear.splits.test.images
    covariance = linear.W @ linear.W.T + linear.noise_variance * torch.eye(5, dtype=torch.float64)
    expected = multivariate_normal(linear.mu.numpy(), covariance.numpy()).logpdf(x.numpy())
    np.testing.assert_allclose(linear.log_prob(x).numpy(), expected, rtol=0, atol=1e-10)


def test_linear_gaussian_posterior_by_conditioning_the_joint(linear: LinearGaussian) -> None:
    x, identity = linear.splits.test.images[:7], torch.eye(5, dtype=torch.float64)
    gain = linear.W.T @ torch.linalg.inv(linear.W @ linear.W.T + linear.noise_variance * identity)  # (d, D)
    posterior = linear.posterior(x)
    torch.testing.assert_close(posterior.mean, (x - linear.mu) @ gain.T, rtol=0, atol=1e-10)
    expected = torch.eye(3, dtype=torch.float64) - gain @ linear.W
    torch.testing.assert_close(posterior.covariance_matrix, expected.expand(7, 3, 3), rtol=0, atol=1e-10)


def test_the_best_diagonal_posterior_is_the_best(linear: LinearGaussian) -> None:
    x = linear.splits.test.images[:7]
    posterior, best = linear.posterior(x), linear.best_diagonal_posterior(x)

    def gap(scale: Tensor) -> Tensor:
        return kl_divergence(MultivariateNormal(best.mean, (scale * best.variance).diag_embed()), posterior)

    ones = torch.ones(3, dtype=torch.float64, requires_grad=True)
    M = linear.W.T @ linear.W + linear.noise_variance * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(gap(ones), (0.5 * (M.diagonal().log().sum() - M.logdet())).expand(7))
    (slope,) = torch.autograd.grad(gap(ones).sum(), ones)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["latent_dim", "x_dim", "n_train", "n_val", "n_test"])
def test_linear_gaussian_sizes_are_counts(name: str) -> None:
    with pytest.raises(DataError, match=f"{name} is -1; give an integer of at least [01]"):
        LinearGaussian(**{name: -1})


@pytest.mark.parametrize("variance", [0.0, -1.0, float("inf"), float("nan")])
def test_linear_gaussian_data_need_noise(variance: float) -> None:
    with pytest.raises(DataError, match=r"variance is .*give a positive number"):
        LinearGaussian(variance=variance)
