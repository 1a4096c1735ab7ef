"""What a linear Gaussian VAE reports, against the closed forms of evidence, posterior and optimum."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from callbacks.posterior_variance import PosteriorVariance
from tests import linear
from tests.linear import same
from zoo import IWAE, Draw, GaussianVAE, elbo, elbo_mc, logmeanexp
from zoo.metrics import Moments


def test_the_data_know_their_density() -> None:
    data = linear.linear_data()
    x = linear.examples_of(data)
    covariance = data.W @ data.W.T + data.noise_variance * torch.eye(5)
    same(data.log_prob(x), torch.as_tensor(multivariate_normal(data.mu, covariance).logpdf(x)))


@pytest.mark.parametrize("objective", [elbo, elbo_mc])
def test_the_elbo_has_its_closed_form(objective: Callable[[Draw], Tensor]) -> None:
    data = linear.linear_data()
    x = linear.examples_of(data)
    model = linear.linear_model(GaussianVAE, data)  # untrained: its q fits nothing, and varies with x
    decoder = model.decoder.layers[0]
    data.W, data.mu = decoder.weight.detach(), decoder.bias.detach()
    q = model.encode(x)
    expected = linear.exact_elbo(data, x, q.mean, q.stddev)
    same(objective(linear.sigma_points(model, x)), expected)
    draws = objective(model.draw(x.repeat(10_000, 1), k=1)).unflatten(0, (10_000, 7))
    assert (draws.mean(0) - expected).abs().le(4 * linear.standard_error(draws)).all()


def test_the_elbo_weighs_the_kl_term_alone() -> None:
    data = linear.linear_data()
    draw = linear.exact_model(GaussianVAE, data).draw(linear.examples_of(data))
    same(elbo(draw, 2.5), elbo(draw) - 1.5 * draw.kl)
    same(elbo_mc(draw, 2.5), elbo_mc(draw) + 1.5 * draw.log_ratio.mean(0))
    same(elbo(draw, 0.0), elbo_mc(draw, 0.0))


@pytest.mark.parametrize("k", [1, 2, 13])
def test_with_the_posterior_for_a_proposal_every_weight_is_the_evidence(k: int) -> None:
    data = linear.orthogonal_data()
    x = linear.examples_of(data)
    model = linear.exact_model(IWAE, data, k)
    draw = model.draw(x)
    same(draw.log_w, data.log_prob(x))
    same(model.objective(draw), data.log_prob(x))
    same(model.log_likelihood(x, k), data.log_prob(x))


def test_the_best_independent_posterior_misses_the_evidence_by_a_gap_that_x_does_not_change() -> None:
    data = linear.linear_data()
    x = linear.examples_of(data)
    model = linear.exact_model(GaussianVAE, data)
    bound = elbo(linear.sigma_points(model, x))
    assert linear.gap(data) > 0.1
    same(data.log_prob(x) - bound, linear.gap(data))
    # It is the best: no change of the encoder gains.
    for gradient in torch.autograd.grad(bound.sum(), list(model.encoder.parameters())):
        same(gradient, 0.0, 1e-9)
    same(model.encode(x).variance, data.best_diagonal_posterior(x).variance)


@pytest.mark.parametrize("active", [0, 2, 4])
def test_a_trained_linear_vae_is_probabilistic_pca_and_collapses_below_the_noise(active: int) -> None:
    x = linear.linear_data(latent_dim=3, x_dim=5).splits.train.images
    eigenvalues = torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0)  # 5, descending
    edges = torch.cat([2 * eigenvalues[:1], eigenvalues])
    s2 = float(edges[active : active + 2].log().mean().exp())  # `active` eigenvalues are above it
    model = linear.linear_model(GaussianVAE, linear.linear_data(latent_dim=4, x_dim=5, variance=s2))
    optimiser = torch.optim.LBFGS(
        model.parameters(),
        max_iter=3000,
        history_size=50,
        tolerance_grad=1e-8,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = -model.objective(linear.sigma_points(model, x)).mean()
        value.backward()
        return value

    optimiser.step(loss)
    means, variances = Moments(4), Moments(4)
    monitor = PosteriorVariance()
    monitor.metrics(model)
    for part in x.split(17):
        draw = model.draw(part)
        means.update(draw.q.mean)
        variances.update(draw.q.variance)
        monitor.update(model, draw, part)
    kept = eigenvalues[:4].clamp(min=s2)  # where collapsed, the posterior is the prior: s2 / kept is 1
    order = means.compute().variance.argsort(descending=True)
    same(means.compute().variance[order], 1 - s2 / kept, 1e-6)
    same(variances.compute().mean[order], s2 / kept, 1e-6)
    assert monitor.compute(model)["active_units"] == active
    same(model.draw(x).kl.mean(), 0.5 * (kept / s2).log().sum().item(), 1e-6)
    covered = torch.cat([kept, torch.full((1,), s2)])  # the eigenvalues of the model's covariance
    log_px = -0.5 * (5 * math.log(2 * math.pi) + covered.log().sum() + (eigenvalues / covered).sum())
    same(elbo(linear.sigma_points(model, x)).mean(), log_px, 1e-8)
    same(model.log_likelihood(x, 3).mean(), log_px, 1e-6)


def test_the_evidence_lies_between_the_bound_and_that_of_draws_with_the_true_latent() -> None:
    data, n = linear.linear_data(), 20_000
    model = linear.exact_model(IWAE, data)
    with torch.no_grad():
        truth = model.prior().sample(torch.Size([n]))
        x = model.decode(truth).sample()
        draw = model.draw(x, 8)
        true = Draw(draw.q, draw.p, truth[None], model.decode(truth[None]).log_prob(x)).log_w
    evidence, lows, highs = data.log_prob(x), [], []
    for k in (1, 2, 8):
        lows.append(logmeanexp(draw.log_w[:k]) - evidence)
        highs.append(logmeanexp(torch.cat([true, draw.log_w[: k - 1]])) - evidence)
    chain = [*lows, torch.zeros(n), *reversed(highs)]  # L_1 < L_2 < L_8 < log p < U_8 < U_2 < U_1
    for lower, upper in pairwise(chain):
        step = upper - lower
        assert step.mean() > 4 * linear.standard_error(step)
    same(lows[0].mean(), -linear.gap(data), 4 * linear.standard_error(lows[0]).item())
