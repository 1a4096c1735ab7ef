"""The posteriors: densities of their own draws, exact where a closed form exists, and moments without chance."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence
from zuko.flows import MAF

from tests import linear
from tests.linear import same, standard_error
from zoo import IWAE, VAE, CouplingFlow, DiagonalGaussian, FullGaussian, GaussianVAE, Posterior, elbo
from zoo.distributions import diagonal_normal
from zoo.errors import NoClosedForm, ZooError

K, B = 3, 7
STANDARD = {d: diagonal_normal(torch.zeros(d), torch.ones(d)) for d in (1, 2, 3, 4)}


def flow_of(latent_dim: int, transforms: int = 2, batch: int = B) -> tuple[CouplingFlow, Tensor]:
    """A flow whose couplings bend much, and what an encoder might emit for it."""
    posterior = CouplingFlow(latent_dim, transforms, context=5, hidden=[8])
    for parameter in posterior.parameters():
        parameter.data *= 1.5
    return posterior, 0.5 * torch.randn(batch, *posterior.h_shape)


def test_a_diagonal_gaussian_is_its_mean_and_the_exponential_of_its_log_std() -> None:
    h = torch.randn(B, 2, 4)
    q = DiagonalGaussian(4)(h)
    assert (q.batch_shape, q.event_shape) == ((B,), (4,))
    same(q.mean, h[:, 0])
    same(q.stddev, h[:, 1].exp())


@pytest.mark.parametrize("d", [1, 4])
def test_a_full_gaussian_has_the_covariance_of_the_triangle_that_is_emitted(d: int) -> None:
    posterior = FullGaussian(d)
    assert posterior.h_shape == (d + d * (d + 1) // 2,)
    h = torch.randn(B, *posterior.h_shape)
    q = posterior(h)
    assert (q.batch_shape, q.event_shape) == ((B,), (d,))
    for b in range(B):
        numbers = iter(h[b, d:])
        triangle = torch.zeros(d, d)
        for row in range(d):
            for column in range(row + 1):
                triangle[row, column] = next(numbers).exp() if row == column else next(numbers)
        covariance = triangle @ triangle.T
        same(q.mean[b], h[b, :d])
        same(q.covariance_matrix[b], covariance)
        same(q.variance[b], covariance.diagonal())
        z = torch.randn(d)
        same(q.log_prob(z)[b], MultivariateNormal(h[b, :d], covariance).log_prob(z), 1e-8)


def test_the_closed_kl_of_a_full_gaussian_is_the_mean_over_its_draws() -> None:
    q = FullGaussian(4)(0.5 * torch.randn(B, 14))
    kl = kl_divergence(q, STANDARD[4])
    z = q.rsample(torch.Size([20_000]))
    drawn = q.log_prob(z) - STANDARD[4].log_prob(z)
    assert ((drawn.mean(0) - kl).abs() < 4 * standard_error(drawn)).all()


def test_a_full_gaussian_closes_the_gap_that_the_best_diagonal_leaves() -> None:
    data = linear.linear_data()
    x = linear.examples_of(data)
    model = linear.linear_model(GaussianVAE, data, k=5, posterior=FullGaussian)
    linear.set_affine(model.decoder, data.W, data.mu)
    m = linear.precision(data)
    mean, triangle = torch.linalg.solve(m, data.W.T), torch.linalg.cholesky(data.noise_variance * m.inverse())
    triangle = triangle.tril(-1) + triangle.diagonal().log().diag()
    triangle = triangle[tuple(torch.tril_indices(3, 3))]
    weight, bias = torch.cat([mean, torch.zeros(6, 5)]), torch.cat([-mean @ data.mu, triangle])
    linear.set_affine(model.encoder, weight, bias)
    draw = model.draw(x)
    same(draw.log_w, data.log_prob(x))  # every weight is the evidence: the posterior is the true one
    same(model.log_likelihood(x, 3), data.log_prob(x))
    # The mean of log p(x|z) over q in closed form, so that the ELBO is exact.
    residual = (x - data.mu - draw.q.mean @ data.W.T).square().sum(-1)
    spread = (data.W @ draw.q.covariance_matrix @ data.W.T).diagonal(dim1=-2, dim2=-1).sum(-1)
    s2 = data.noise_variance
    log_px = -0.5 * (5 * math.log(2 * math.pi * s2) + (residual + spread) / s2)
    same(log_px - draw.kl, data.log_prob(x))
    diagonal = elbo(linear.sigma_points(linear.exact_model(GaussianVAE, data), x))
    assert linear.gap(data) > 0.1
    same(log_px - draw.kl - diagonal, linear.gap(data))


# --- flows


@pytest.mark.parametrize("transforms", [1, 2, 3])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_density_of_a_flow_is_the_change_of_variables(d: int, transforms: int) -> None:
    posterior, h = flow_of(d, transforms)
    q = posterior(h)
    assert (q.batch_shape, q.event_shape) == ((B,), (d,))
    eps = torch.randn(B, d)
    mean, std = h[:, :d], h[:, d : 2 * d].exp()

    def draws(eps: Tensor) -> Tensor:
        return q.transform.inv(mean + std * eps)  # (B, d)

    z = draws(eps)
    rows = torch.autograd.functional.jacobian(lambda eps: draws(eps).sum(0), eps)  # (d, B, d): examples do not mix
    numeric = torch.stack(
        [(draws(eps + step) - draws(eps - step)) / 2e-5 for step in 1e-5 * torch.eye(d)], -1
    )  # (B, d, d)
    torch.testing.assert_close(rows.transpose(0, 1), numeric, rtol=1e-6, atol=1e-6)
    same(q.log_prob(z), STANDARD[d].log_prob(eps) - rows.transpose(0, 1).det().abs().log(), 1e-9)
    torch.manual_seed(1)
    drawn = q.rsample(torch.Size([K]))
    torch.manual_seed(1)
    same(drawn, torch.stack([draws(each) for each in torch.randn(K, B, d)]))


def test_a_flow_of_one_dimension_integrates_to_one() -> None:
    posterior, h = flow_of(1)
    z = torch.linspace(-60, 60, 40_001)[:, None, None]
    same((posterior(h).log_prob(z).exp().sum(0) * 120 / 40_000), 1.0, 1e-5)


def test_a_flow_of_two_dimensions_integrates_to_one() -> None:
    posterior, h = flow_of(2, batch=3)
    q = posterior(h)
    wide = MultivariateNormal(q.mean, torch.diag_embed(9 * q.variance))
    z = wide.sample(torch.Size([40_000]))
    weights = (q.log_prob(z) - wide.log_prob(z)).exp()
    assert ((weights.mean(0) - 1).abs() < 4 * standard_error(weights)).all()


def test_points_broadcast_against_the_batch_of_a_flow() -> None:
    posterior, h = flow_of(3)
    z = torch.randn(K, 1, 3)
    q = posterior(h)
    same(q.log_prob(z), torch.stack([posterior(h[b : b + 1]).log_prob(z[:, 0, None])[:, 0] for b in range(B)], 1))
    same(q.log_prob(z[0, 0]), q.log_prob(z)[0])


@pytest.mark.parametrize("d", [1, 2, 4])
def test_the_moments_of_a_flow_are_those_of_many_draws(d: int) -> None:
    posterior, h = flow_of(d)
    q = posterior(h)
    z = q.rsample(torch.Size([100_000])).detach()
    std = z.std(0)
    assert ((q.mean - z.mean(0)).abs() < 0.03 * std).all()
    assert ((q.stddev / std - 1).abs() < 0.1).all()


def test_the_moments_of_a_flow_are_no_matter_of_chance() -> None:
    torch.manual_seed(1)
    posterior, h = flow_of(4)
    state = torch.get_rng_state()
    first = posterior(h)
    mean, variance = first.mean, first.variance
    assert torch.equal(torch.get_rng_state(), state)
    again = posterior(h)
    assert torch.equal(again.mean, mean) and torch.equal(again.variance, variance)
    assert mean.requires_grad
    torch.manual_seed(2)
    made = torch.get_rng_state()
    points = CouplingFlow(4).points
    drawn = torch.get_rng_state()
    torch.set_rng_state(made)
    MAF(4, 32, 2, passes=2, hidden_features=(64, 64))
    assert torch.equal(torch.get_rng_state(), drawn)  # the weights alone are drawn
    assert torch.equal(points, posterior.points)


def test_a_flow_has_no_closed_kl_and_says_so() -> None:
    x = torch.rand(B, 1, 5, 4).round()
    model = VAE(x_shape=(1, 5, 4), latent_dim=3, posterior=CouplingFlow)
    with pytest.raises(NoClosedForm, match="KL term between FlowDistribution and DiagonalNormal"):
        model.objective(model.draw(x))
    model = IWAE(x_shape=(1, 5, 4), latent_dim=3, posterior=CouplingFlow)
    assert {"elbo_mc", "kl_mc"} < model.terms(model.draw(x)).keys()


@pytest.mark.parametrize("options", [{"transforms": 0}, {"context": 0}, {"hidden": [5, 0]}])
def test_a_flow_without_parts_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ZooError, match="at least 1 w"):
        CouplingFlow(3, **options)


def test_a_flow_in_16_bits_is_refused() -> None:
    posterior = CouplingFlow(3).to(torch.bfloat16)
    with pytest.raises(ZooError, match="CouplingFlow needs 32 bits"):
        posterior(torch.zeros(B, *posterior.h_shape))


def test_a_flow_beside_networks_in_16_bits_is_weighed_in_32() -> None:
    posterior, h = flow_of(4)
    posterior, h = posterior.float(), h.float()
    with torch.autocast("cpu", torch.bfloat16):
        q = posterior(h)
        z = q.rsample((K,))
        found = q.log_prob(z), q.mean
    assert z.dtype == torch.float32
    for value, exact in zip(found, (posterior(h).log_prob(z), posterior(h).mean), strict=True):
        same(value, exact, 0.0)


@pytest.mark.parametrize("posterior", [DiagonalGaussian, FullGaussian, partial(CouplingFlow, context=4)])
def test_the_encoder_emits_what_a_posterior_asks_for(posterior: type[Posterior]) -> None:
    model = IWAE(x_shape=(1, 5, 4), latent_dim=3, posterior=posterior)
    assert model.encoder.out_shape == model.posterior.h_shape
    q = model.encode(torch.rand(B, 1, 5, 4))
    assert q.mean.shape == q.variance.shape == (B, 3)
