"""The continuous Bernoulli likelihood."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from tests.linear import same
from zoo import IWAE, MLP, VAE, ContinuousBernoulli, LatentVariableModel, PriorSampling
from zoo.errors import ZooError
from zoo.likelihoods.continuous_bernoulli import ContinuousBernoulliPixels, log_normaliser, mean_of
from zoo.testing import check_model

SHAPES = [(11,), (1, 5, 3)]
K, B = 3, 7
LOGITS = [-800.0, -30.0, -1.0, -0.1001, -0.0999, -1e-9, 0.0, 1e-5, 0.0999, 0.1001, 2.0, 30.0, 800.0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(), (B,), (K, B)])
def test_a_continuous_bernoulli_is_that_of_torch(shape: tuple[int, ...], leading: tuple[int, ...]) -> None:
    logits = 3 * torch.randn(*leading, 1, *shape)
    logits[logits.abs() < 0.1] += 0.2  # near 0 torch has few digits
    x = torch.rand(*leading[-1:], *shape)
    p = ContinuousBernoulli(shape)(logits)
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    torch_p = TorchContinuousBernoulli(logits=logits.squeeze(-1 - len(shape)))
    same(p.log_prob(x), torch_p.log_prob(x).flatten(len(leading)).sum(-1), 1e-8)
    same(p.mean, torch_p.mean, 1e-8)


@pytest.mark.parametrize("logit", LOGITS)
def test_a_continuous_bernoulli_integrates_to_1_and_has_its_mean(logit: float) -> None:
    p = ContinuousBernoulliPixels(torch.tensor([logit]), 1)

    def density(x: float) -> float:
        return p.log_prob(torch.tensor([x])).exp().item()

    corner = [1 / 80, 79 / 80]
    assert integrate.quad(density, 0, 1, points=corner)[0] == pytest.approx(1, abs=1e-9)
    assert integrate.quad(lambda x: x * density(x), 0, 1, points=corner)[0] == pytest.approx(p.mean.item(), abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_shared_by_a_batch_cost_what_they_cost_each_example(shape: tuple[int, ...]) -> None:
    logits, x = 5 * torch.randn(K, 1, 1, *shape), torch.rand(B, *shape)
    part = ContinuousBernoulli(shape)
    assert part(logits).log_prob(x).shape == (K, B)
    same(part(logits).log_prob(x), part(logits.expand(K, B, 1, *shape)).log_prob(x))


def test_the_normaliser_is_its_integral_and_the_mean_its_derivative_on_both_sides_of_their_seam() -> None:
    logits = torch.cat([torch.linspace(-0.3, 0.3, 601), torch.tensor(LOGITS)]).requires_grad_()
    value = torch.nn.functional.softplus(logits) - log_normaliser(logits)  # the cumulant function
    (mean,) = torch.autograd.grad(value.sum(), logits)
    same(mean, mean_of(logits.detach()))
    with torch.no_grad():
        half = logits[logits != 0].abs() / 2
        expected = (2 * half / half.tanh()).log()
        same(log_normaliser(logits[logits != 0]), expected)
    same(log_normaliser(torch.zeros(1)), math.log(2))
    same(mean_of(torch.zeros(1)), 0.5)


def test_float32_has_the_digits_of_float64_at_all_logits() -> None:
    logits = torch.tensor(LOGITS)

    def values(dtype: torch.dtype) -> tuple[Tensor, ...]:
        part, h = ContinuousBernoulli((1,)), logits.to(dtype)[:, None, None].requires_grad_()
        log_px = part(h).log_prob(torch.tensor([0.25], dtype=dtype))
        (first,) = torch.autograd.grad(log_px.sum(), h, create_graph=True)
        return log_px.detach(), first.detach(), part(h).mean.detach()

    for single, exact in zip(values(torch.float32), values(torch.float64), strict=True):
        assert single.isfinite().all()
        torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    logits, x = torch.tensor(LOGITS[1:-1])[:, None, None].requires_grad_(), torch.tensor([0.3])
    assert torch.autograd.gradcheck(lambda h: ContinuousBernoulli((1,))(h).log_prob(x), (logits,))
    assert torch.autograd.gradcheck(mean_of, (logits,), eps=1e-7, atol=1e-6)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor(LOGITS)
    draws = ContinuousBernoulliPixels(logits, 1).sample((5000,))
    assert draws.shape == (5000, len(LOGITS)) and (draws >= 0).all() and (draws <= 1).all()
    for logit, drawn in zip(LOGITS, draws.mT, strict=True):
        law = stats.uniform if abs(logit) < 1e-4 else stats.truncexpon(abs(logit), scale=1 / abs(logit))
        assert stats.kstest((1 - drawn if logit > 0 else drawn).numpy(), law.cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_a_continuous_bernoulli_starts_at_the_mean_of_the_data(shape: tuple[int, ...]) -> None:
    part, mean = ContinuousBernoulli(shape), torch.rand(shape)
    mean.flatten()[:4] = torch.tensor([0.0, 1.0, 0.5, 0.002])
    emitted = part.start_at(mean)
    assert emitted.shape == (1, *shape)
    same(part(emitted).mean, mean.clamp(0.001, 0.999))
    assert part.start_at(mean.float()).dtype == torch.float32


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0])
def test_values_outside_0_to_1_are_refused(value: float) -> None:
    part, x = ContinuousBernoulli((11,)), torch.rand(B, 11)
    x[0, :2] = torch.tensor([0.0, 1.0])
    part.check(x)
    x[3, 4] = value
    with pytest.raises(ZooError, match=r"takes values in \[0, 1\] and these go from .*: scale the data"):
        part.check(x)
    x[3, 4] = math.nan
    with pytest.raises(ZooError, match="NaN or infinite"):
        part.check(x)


@pytest.mark.parametrize(
    ("model", "arguments"), [(VAE, {}), (IWAE, {}), (PriorSampling, {}), (PriorSampling, {"share_draws": False})]
)
def test_models_with_a_continuous_bernoulli_keep_the_contract(
    model: type[LatentVariableModel], arguments: dict[str, Any]
) -> None:
    arguments = {"likelihood": ContinuousBernoulli, "decoder": partial(MLP, hidden=[6])} | arguments
    check_model(model, torch.randint(256, (4, 1, 3, 2)) / 255, **arguments)
