"""Estimators of the same gradient have the same mean, and the variances that theory says."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from zoo import BernoulliVAE
from zoo.article.latent_gradients import latent_gradients, total_variance
from zoo.article.variants import DetachedGaussian, ScoreFunctionVAE
from zoo.errors import ZooError

A, B, C = 3.0, -0.7, 0.4


class Quadratic(BernoulliVAE):
    """One latent dimension, q(z|x) = N(m, s²), and log p(x|z) = a + b u + c u² in u = z - m."""

    mean, std = 0.3, 0.2

    def encode(self, x: Tensor) -> Distribution:
        like = torch.ones(len(x), 1, dtype=x.dtype)
        return Independent(Normal(self.mean * like, self.std * like), 1)

    def decode(self, z: Tensor) -> Any:
        return _Density(z[..., 0] - self.mean)


class _Density:
    def __init__(self, u: Tensor) -> None:
        self.u = u

    def log_prob(self, x: Tensor) -> Tensor:
        return A + B * self.u + C * self.u.square()


def of_score(a: float, b: float, c: float, s: float) -> float:
    """The variance of f ε / s for f = a + b u + c u²."""
    return a**2 / s**2 + 2 * b**2 + 15 * c**2 * s**2 + 6 * a * c


def test_the_variance_of_the_gradient_of_a_quadratic() -> None:
    """With respect to μ: pathwise 4c²s²; the score function has that of f, which adds log p(z) - log q(z|x)."""
    model, (m, s) = Quadratic(x_shape=(1, 1, 1), latent_dim=1).double(), (Quadratic.mean, Quadratic.std)
    found = latent_gradients(model, torch.ones(1, 1, 1, 1).double(), 200_000)
    of_mean = {name: value[:, 0, 0, 0].var().item() for name, value in found._asdict().items()}
    a, b, c = A - m**2 / 2 + math.log(s), B - m, C - 1 / 2 + 1 / (2 * s**2)
    assert of_mean["closed"] == pytest.approx(4 * C**2 * s**2, rel=0.05)
    assert of_mean["score"] == pytest.approx(of_score(a, b, c, s), rel=0.05)
    assert of_mean["baseline"] == pytest.approx(of_score(-c * s**2, b, c, s), rel=0.05)  # its mean a + c s² is off


def test_all_estimators_have_one_mean() -> None:
    model = BernoulliVAE(x_shape=(1, 3, 2), latent_dim=2).double()
    x = torch.ones(3, 1, 3, 2).double()
    found = latent_gradients(model, x, 20_000)
    for name in ("drawn", "score", "baseline"):
        of_it = getattr(found, name)
        error = (of_it - found.closed).std(0) / 20_000**0.5
        assert ((of_it.mean(0) - found.closed.mean(0)).abs() < 5 * error + 1e-12).all(), name


def test_the_draw_of_the_kl_term_adds_what_theory_says() -> None:
    """Where x says nothing, g is 0: Var is s² for μ and m²s² + 2s⁴ for log σ, and nothing for the closed form."""
    model = BernoulliVAE(x_shape=(1, 3, 2), latent_dim=2).double()
    for parameter in model.decoder.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.ones(3, 1, 3, 2).double()
    found = latent_gradients(model, x, 20_000)
    q = model.encode(x)
    m, s2 = q.mean.detach(), q.variance.detach()
    theory = (s2 + m**2 * s2 + 2 * s2**2).sum(-1).mean().item()
    assert total_variance(found.closed) == pytest.approx(0, abs=1e-20)
    assert total_variance(found.drawn).item() == pytest.approx(theory, rel=0.06)


def test_detached_draws_give_the_encoder_the_kl_term_alone() -> None:
    model = BernoulliVAE(x_shape=(1, 3, 2), latent_dim=2, posterior=DetachedGaussian)
    draw = model.draw(torch.ones(5, 1, 3, 2))
    of_kl = torch.autograd.grad(-draw.kl.mean(), list(model.encoder.parameters()), retain_graph=True)
    of_all = torch.autograd.grad(model.objective(draw).mean(), list(model.encoder.parameters()))
    assert all(torch.equal(one, other) for one, other in zip(of_kl, of_all, strict=True))


def test_the_score_function_has_the_value_of_the_elbo_and_the_gradient_of_the_pathwise_one() -> None:
    """Over many draws: the baseline leaves no bias, and the decoder's gradient is the same to rounding."""
    torch.manual_seed(0)
    k = 30_000
    score = ScoreFunctionVAE(x_shape=(1, 2, 1), latent_dim=1, k=k).double()
    pathwise = BernoulliVAE(x_shape=(1, 2, 1), latent_dim=1, k=k, closed_form_kl=True).double()
    pathwise.load_state_dict(score.state_dict())
    x = torch.tensor([1.0, 0.0]).double().view(1, 1, 2, 1)
    gradients = []
    for model in (score, pathwise):
        draw = model.draw(x)
        objective = model.objective(draw)
        assert objective.item() == pytest.approx((draw.log_px - draw.kl).mean().item(), abs=0.05)
        gradients.append(
            torch.autograd.grad(objective.mean(), [*model.encoder.parameters(), *model.decoder.parameters()])
        )
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=0.04, rtol=0.05)


def test_a_score_function_without_another_draw_is_refused() -> None:
    with pytest.raises(ZooError, match="at least 2 draws"):
        ScoreFunctionVAE(x_shape=(1, 2, 1), k=1)
