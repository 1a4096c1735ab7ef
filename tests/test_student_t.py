"""The Student-t likelihood."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor
from torch.distributions import StudentT as TorchStudentT

from tests.linear import same
from zoo import (
    IWAE,
    MLP,
    VAE,
    DecodedVariance,
    FixedVariance,
    Gaussian,
    LatentVariableModel,
    LearnedVariance,
    PriorSampling,
    StudentT,
)
from zoo.errors import ZooError
from zoo.likelihoods.student_t import StudentTElements, log_gamma_step
from zoo.testing import check_model

SHAPES = [(11,), (1, 5, 3)]
K, B = 3, 7


def excess_of(df: Tensor, part: StudentT) -> Tensor:
    """What the decoder emits for degrees of freedom."""
    return (df / part.df_floor).log().expm1().log() - part.first


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(), (B,), (K, B)])
def test_a_student_t_is_the_density_of_its_elements(shape: tuple[int, ...], leading: tuple[int, ...]) -> None:
    part = StudentT(shape)
    h = torch.randn(*leading, 3, *shape)
    x = 3 * torch.randn(*leading[-1:], *shape)
    p = part(h)
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    location, excess, raw = h.unbind(-1 - len(shape))
    df, scale = 2 * (1 + (excess + part.first).exp()), DecodedVariance(shape)(raw.unsqueeze(-1 - len(shape))).sqrt()
    same(p.df, df)
    for expected in (
        torch.as_tensor(stats.t(df.numpy(), location.numpy(), scale.numpy()).logpdf(x.numpy())),
        TorchStudentT(df, location, scale).log_prob(x),
    ):
        same(p.log_prob(x), expected.flatten(len(leading)).sum(-1))
    same(p.mean, location)


@pytest.mark.parametrize("df", [1.0, 2.5, 15.9, 16.1, 1e4])
def test_a_student_t_integrates_to_1(df: float) -> None:
    p = StudentTElements(torch.tensor([df]), torch.tensor([0.3]), torch.tensor(0.5), 1)
    total, _ = integrate.quad(lambda x: p.log_prob(torch.tensor([x])).exp().item(), -math.inf, math.inf)
    assert total == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [DecodedVariance, LearnedVariance])
def test_draws_shared_by_a_batch_cost_what_they_cost_each_example(scale: Any, shape: tuple[int, ...]) -> None:
    part = StudentT(shape, scale)
    h, x = torch.randn(K, 1, part.n_params, *shape), torch.randn(B, *shape)
    assert part(h).log_prob(x).shape == (K, B)
    same(part(h).log_prob(x), part(h.expand(K, B, *h.shape[2:])).log_prob(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_infinite_degrees_of_freedom_a_student_t_is_a_gaussian(dtype: torch.dtype) -> None:
    scale = partial(FixedVariance, value=0.3)
    part, gaussian = StudentT((11,), scale).to(dtype), Gaussian((11,), scale).to(dtype)
    location, x = torch.randn(B, 1, 11, dtype=dtype), torch.randn(B, 11, dtype=dtype)
    p = part(torch.cat([location, torch.full_like(location, 1e4)], 1))
    same(p.df, torch.tensor(1e6, dtype=dtype), 1.0)
    torch.testing.assert_close(p.log_prob(x), gaussian(location).log_prob(x), rtol=0, atol=2e-3)
    p = StudentTElements(torch.full_like(x, 1e14), location[:, 0], torch.tensor(0.3, dtype=dtype), 1)
    digits = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(p.log_prob(x), gaussian(location).log_prob(x), rtol=1e-6, atol=digits)


def test_the_step_of_the_log_gamma_function_is_exact_on_both_sides_of_its_seam() -> None:
    a = torch.cat([torch.linspace(0.5, 20, 1001), torch.logspace(1, 5, 101)])
    difference = torch.as_tensor(special.loggamma(a.numpy() + 0.5) - special.loggamma(a.numpy()))
    same(log_gamma_step(a), difference - 0.5 * a.log(), 1e-9)
    small = a[a < 100]
    exact = torch.as_tensor(special.poch(small.numpy(), 0.5)).log() - 0.5 * small.log()
    same(log_gamma_step(small), exact, 1e-12)
    same(log_gamma_step(a.float()).double(), log_gamma_step(a), 5e-6)


@pytest.mark.parametrize("excess", [-1e4, -90.0, 0.0, 90.0, 1e4])
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1.0, 1e6])
def test_extremes_give_finite_densities_and_gradients_in_float32(excess: float, distance: float) -> None:
    part = StudentT((4,)).float()
    h = torch.zeros(B, 3, 4, dtype=torch.float32)
    h[:, 1], h[:, 2] = excess, -50.0
    h.requires_grad_()
    log_px = part(h).log_prob(torch.full((B, 4), distance, dtype=torch.float32))
    log_px.sum().backward()
    assert log_px.isfinite().all() and h.grad is not None and h.grad.isfinite().all()
    exact = part.double()(h.detach().double()).log_prob(torch.full((B, 4), distance))
    torch.testing.assert_close(log_px.detach().double(), exact, rtol=1e-5, atol=1e-4)


def test_a_scale_in_16_bits_is_weighed_in_32() -> None:
    part, h, x = StudentT((11,), LearnedVariance).to(torch.bfloat16), torch.randn(B, 2, 11), torch.randn(B, 11)
    found, squared_scale = part(h.float()).log_prob(x.bfloat16()), part.scale(h)
    assert (found.dtype, squared_scale.dtype) == (torch.float32, torch.bfloat16)
    exact = StudentTElements(part(h).df, h[:, 0], squared_scale.double(), 1).log_prob(x.bfloat16().double())
    same(found.double(), exact, 1e-4)


def test_the_gradient_is_that_of_finite_differences() -> None:
    part, x = StudentT((4,)), torch.randn(B, 4)
    h = torch.randn(B, 3, 4)
    h[:3, 1] = 3.0  # beyond the seam of the series
    assert torch.autograd.gradcheck(lambda h: part(h).log_prob(x), (h.requires_grad_(),))


def test_draws_follow_the_distribution() -> None:
    p = StudentTElements(torch.tensor([[3.0, 30.0]]), torch.tensor([[0.2, -1.0]]), torch.tensor(0.25), 1)
    draws = p.sample((20_000,))
    assert draws.shape == (20_000, 1, 2)
    for d, df in enumerate((3.0, 30.0)):
        law = stats.t(df, p.location[0, d].item(), 0.5)
        assert stats.kstest(draws[:, 0, d].numpy(), law.cdf).pvalue > 1e-3


def test_the_degrees_of_freedom_stay_above_their_floor_and_start_where_they_are_said_to() -> None:
    part = StudentT((5,), df_start=7.0, df_floor=3.0)
    same(part(torch.zeros(3, 5)).df, 7.0)
    h = torch.stack([torch.zeros(5), torch.tensor([-1e4, -9.0, 0.0, 9.0, 1e4]), torch.zeros(5)])
    df = part(h).df
    same(df, torch.tensor([3.0, df[1], 7.0, df[3], 1e6]), 1e-8)
    assert 3 < df[1] < 7 < df[3] < 1e6
    same(part(torch.stack([h[0], excess_of(torch.tensor([3.5, 4, 5, 7, 99.0]), part), h[2]])).df[4], 99.0)


def test_a_student_t_starts_at_the_mean_and_the_variance_of_the_data() -> None:
    mean, variance = torch.rand(2, 3, 5), 0.01 + torch.rand(2, 3, 5)
    part = StudentT((2, 3, 5), df_start=6.0)
    emitted = part.start_at(mean, variance)
    assert emitted.shape == (3, 2, 3, 5)
    p = part(emitted)
    same(p.mean, mean)
    torch_p = TorchStudentT(p.df, p.location, p.scale)
    same(torch_p.variance, variance.mean((1, 2), keepdim=True).expand(2, 3, 5))
    assert StudentT((2, 3, 5), LearnedVariance).start_at(mean, variance).shape == (2, 2, 3, 5)


def test_a_student_t_describes_its_degrees_of_freedom_and_its_scale() -> None:
    part = StudentT((5,), df_start=7.0)
    h = torch.zeros(B, 3, 5)
    h[2, 1, 3], h[4, 2, :2] = 1e4, -1e4
    described = part.describe(part(h))
    assert part.varies and part.report() == {}
    same(described["df"], torch.tensor([7, 7, 5 / (4 / 7 + 1e-6), 7, 7, 7, 7]))
    same(described["squared_scale_at_floor"], torch.tensor([0, 0, 0, 0, 0.4, 0, 0]))
    learned = StudentT((5,), partial(LearnedVariance, start=0.5))
    assert learned.varies and learned.describe(learned(h[:, :2])).keys() == {"df"}
    same(learned.report()["squared_scale"], 0.5)


@pytest.mark.parametrize(
    ("df_start", "df_floor"),
    [(5.0, 5.0), (5.0, 6.0), (5.0, 0.9), (2.0, 1.0), (1.5, 1.0), (math.inf, 2.0), (5.0, math.nan)],
)
def test_degrees_of_freedom_without_a_mean_or_variance_to_start_at_are_refused(
    df_start: float, df_floor: float
) -> None:
    with pytest.raises(ZooError, match="1 <= df_floor < df_start"):
        StudentT((3,), df_start=df_start, df_floor=df_floor)


@pytest.mark.parametrize(
    ("model", "arguments"), [(VAE, {}), (IWAE, {}), (PriorSampling, {}), (PriorSampling, {"share_draws": False})]
)
def test_models_with_a_student_t_keep_the_contract(model: type[LatentVariableModel], arguments: dict[str, Any]) -> None:
    scale = partial(DecodedVariance, floor=1e-3)
    arguments = {
        "likelihood": partial(StudentT, scale=scale, df_start=4.0),
        "decoder": partial(MLP, hidden=[6]),
    } | arguments
    check_model(model, torch.randn(4, 1, 3, 2), **arguments)
