"""The likelihoods of 8-bit pixels, which are probabilities: discretised logistic and categorical."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Categorical as TorchCategorical

from tests.linear import same, standard_error
from zoo import (
    IWAE,
    MLP,
    VAE,
    Bernoulli,
    Categorical,
    ChannelVariance,
    DecodedVariance,
    DiscretisedLogistic,
    FixedVariance,
    LatentVariableModel,
    LearnedVariance,
    OptimalVariance,
    PriorSampling,
    StudentT,
)
from zoo.errors import ZooError
from zoo.testing import check_model

SHAPES = [(11,), (1, 5, 3)]
K, B = 3, 7
SMALL = partial(MLP, hidden=[6])
LIKELIHOODS = [
    DiscretisedLogistic,
    partial(DiscretisedLogistic, scale=DecodedVariance, levels=5),
    partial(Categorical, levels=6),
]


def pixels(*shape: int, levels: int = 256) -> Tensor:
    return torch.randint(levels, shape) / (levels - 1)


def logistic(squared_scale: float, levels: int = 256, shape: tuple[int, ...] = (1,)) -> DiscretisedLogistic:
    return DiscretisedLogistic(shape, partial(FixedVariance, value=squared_scale), levels)


def every_value(levels: int) -> Tensor:
    """(levels, 1, 1): one x of one element for each value, that broadcasts to a batch."""
    return (torch.arange(levels) / (levels - 1)).view(-1, 1, 1)


# --- both


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_probabilities_of_all_values_sum_to_1_and_have_the_mean(likelihood: Any) -> None:
    part = likelihood((1,))
    p = part(3 * torch.randn(B, part.n_params, 1))
    x = every_value(part.levels)
    probability = p.log_prob(x).exp()  # (levels, B)
    same(probability.sum(0), 1.0)
    same(p.mean[:, 0], (probability * x[..., 0]).sum(0))


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic, Categorical])
def test_the_probabilities_of_a_model_in_16_bits_sum_to_1(likelihood: Any) -> None:
    part = likelihood((1,)).to(torch.bfloat16)
    p = part(torch.full((1, part.n_params, 1), 0.4, dtype=torch.float32))
    same(p.log_prob(every_value(256).bfloat16()).exp().double().sum(), 1.0, 1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_draws_shared_by_a_batch_cost_what_they_cost_each_example(likelihood: Any, shape: tuple[int, ...]) -> None:
    part = likelihood(shape)
    h = torch.randn(K, 1, part.n_params, *shape)
    x = pixels(B, *shape, levels=part.levels)
    p, each = part(h), part(h.expand(K, B, *h.shape[2:]))
    assert (p.batch_shape, p.event_shape) == ((K, 1), shape)
    assert p.log_prob(x).shape == (K, B)
    same(p.log_prob(x), each.log_prob(x))
    one_by_one = [[part(h[i, 0]).log_prob(x[b]).item() for b in range(B)] for i in range(K)]
    same(p.log_prob(x), torch.tensor(one_by_one))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_draws_follow_the_probabilities(likelihood: Any) -> None:
    part = likelihood((2,))
    p = part(0.7 * torch.randn(B, part.n_params, 2))
    n = 20_000
    draws = p.sample((n,))
    assert draws.shape == (n, B, 2)
    part.check(draws)
    assert ((draws.mean(0) - p.mean).abs() < 4 * standard_error(draws)).all()
    one = likelihood((1,))
    p = one(0.3 * torch.randn(one.n_params, 1))
    for value in (0.0, 1.0):
        share = p.log_prob(torch.tensor([value])).exp()
        drawn = (p.sample((n,)) == value).double().mean()
        assert (drawn - share).abs() < 4 * (share * (1 - share) / n).sqrt() + 1e-12


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(
    "change", [lambda x: x + 0.001, lambda x: x + 1, lambda x: x - 1, lambda x: 255 * x + 2, lambda x: 0.99 * x + 0.005]
)
def test_values_off_the_grid_are_refused(likelihood: Any, change: Any) -> None:
    part = likelihood((2, 3))
    x = pixels(B, 2, 3, levels=part.levels)
    part.check(x)
    part.check(x.float())
    part.check((x.float() * (part.levels - 1)).round() / torch.tensor(part.levels - 1, dtype=torch.float32))
    with pytest.raises(ZooError, match=f"i/{part.levels - 1} with i = 0 to {part.levels - 1}.*--data.pixels Grey"):
        part.check(change(x))
    x[3, 1, 2] = math.nan
    with pytest.raises(ZooError, match="NaN or infinite"):
        part.check(x)


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic, Categorical])
@pytest.mark.parametrize("levels", [1, 0, -3])
def test_a_grid_of_fewer_than_two_levels_is_refused(likelihood: Any, levels: int) -> None:
    with pytest.raises(ZooError, match=f"levels is {levels}, where at least 2"):
        likelihood((3,), levels=levels)


@pytest.mark.parametrize(
    ("likelihood", "levels"),
    [
        (DiscretisedLogistic, 256),
        (partial(DiscretisedLogistic, scale=DecodedVariance, levels=9), 9),
        (partial(Categorical, levels=8), 8),
    ],
)
@pytest.mark.parametrize(
    ("model", "arguments"),
    [(VAE, {}), (IWAE, {}), (PriorSampling, {}), (PriorSampling, {"share_draws": False})],
)
def test_models_with_a_discrete_likelihood_keep_the_contract(
    likelihood: Any, levels: int, model: type[LatentVariableModel], arguments: dict[str, Any]
) -> None:
    arguments = {"likelihood": likelihood, "decoder": SMALL} | arguments
    checked = check_model(model, pixels(4, 1, 3, 2, levels=levels), **arguments)
    assert checked.likelihood.levels == levels


# --- discretised logistic


@pytest.mark.parametrize("levels", [2, 5, 256])
@pytest.mark.parametrize("scale", [0.02, 0.3, 4.0])
def test_a_discretised_logistic_is_the_probability_of_the_cell_of_each_pixel(levels: int, scale: float) -> None:
    shape, half = (1, 5, 3), 0.5 / (levels - 1)
    location = torch.rand(K, B, *shape) * 1.4 - 0.2
    x = pixels(B, *shape, levels=levels)
    law, left = stats.logistic(location.numpy(), scale), (x < location).numpy()
    # Of the tail on the side of x, so that nothing cancels: the probability to be beyond an edge of the cell.
    lower = np.where(left, law.cdf((x - half).numpy()), -law.sf((x - half).numpy()))
    upper = np.where(left, law.cdf((x + half).numpy()), -law.sf((x + half).numpy()))
    lower, upper = np.where(x == 0, np.where(left, 0, -1), lower), np.where(x == 1, np.where(left, 1, 0), upper)
    expected = torch.as_tensor(upper - lower).log().flatten(2).sum(-1)
    p = logistic(scale**2, levels, shape)(location.unsqueeze(2))
    assert (p.batch_shape, p.event_shape) == ((K, B), shape)
    same(p.log_prob(x), expected, 1e-9)


@pytest.mark.parametrize("squared_scale", [1e-10, 1e-4, 0.3, 1e6])
@pytest.mark.parametrize("location", [-1e4, -0.5, 0.1234, 0.5, 1.0, 37.0, 1e4])
def test_a_discretised_logistic_in_float32_is_that_of_float64(squared_scale: float, location: float) -> None:
    def log_probability(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        h = torch.full((256, 1, 1), location, dtype=dtype, requires_grad=True)
        log_px = logistic(squared_scale).to(dtype)(h).log_prob(every_value(256).to(dtype)[:, 0])
        (gradient,) = torch.autograd.grad(log_px.sum(), h)
        return log_px.detach().double(), gradient.flatten().double()

    exact, slope = log_probability(torch.float64)
    single, slope_of_single = log_probability(torch.float32)
    assert exact.isfinite().all() and slope.isfinite().all()
    rounding = 1e-6 * max(1.0, abs(location)) / squared_scale**0.5  # of the location in units of the scale
    torch.testing.assert_close(single, exact, rtol=1e-5, atol=1e-5 + rounding)
    torch.testing.assert_close(slope_of_single, slope, rtol=1e-4, atol=1e-4 + rounding / squared_scale**0.5)


def test_the_gradient_of_a_discretised_logistic_by_its_scale_is_that_of_finite_differences() -> None:
    part = DiscretisedLogistic((4,), DecodedVariance)
    h = torch.randn(B, 2, 4, requires_grad=True)
    x = pixels(B, 4)
    x[0], x[1] = 0.0, 1.0
    assert torch.autograd.gradcheck(lambda h: part(h).log_prob(x), (h,))


def test_a_discretised_logistic_starts_at_the_location_and_the_scale_of_the_data() -> None:
    mean, variance = torch.rand(2, 3, 5), 0.01 + torch.rand(2, 3, 5)
    learned = DiscretisedLogistic((2, 3, 5), LearnedVariance)
    same(learned.start_at(mean, variance), mean[None])
    same(learned.report()["squared_scale"], variance.mean() * 3 / math.pi**2)
    decoded = DiscretisedLogistic((2, 3, 5), DecodedVariance)
    p = decoded(decoded.start_at(mean, variance))
    same(p.location, mean)
    same(p.squared_scale, (variance.mean((1, 2), keepdim=True) * 3 / math.pi**2).expand(2, 3, 5))
    same(torch.tensor(stats.logistic(0.5, 0.1).var()), 0.01 * decoded.unit_variance)


def test_the_scale_is_reported_where_it_is_learned_and_described_where_it_is_decoded() -> None:
    learned = DiscretisedLogistic((2, 3), partial(ChannelVariance, start=0.5))
    assert learned.report().keys() == {"squared_scale", "squared_scale_at_floor"} and not learned.varies
    same(learned.report()["squared_scale"], 0.5)
    p = learned(torch.randn(B, 1, 2, 3))
    assert learned.describe(p) == {}
    decoded = DiscretisedLogistic((2, 3), DecodedVariance)
    assert decoded.report() == {} and decoded.varies
    h = torch.zeros(B, 2, 2, 3)
    h[3, 1, 1] = -1e4
    described = decoded.describe(decoded(h))
    same(described["squared_scale_at_floor"], torch.tensor([0, 0, 0, 0.5, 0, 0, 0]))
    same(described["squared_scale"], torch.tensor([0.1, 0.1, 0.1, 0.05005, 0.1, 0.1, 0.1]))


@pytest.mark.parametrize("likelihood", [DiscretisedLogistic, StudentT])
def test_a_variance_fitted_to_gaussian_errors_is_refused_as_a_scale(likelihood: Any) -> None:
    with pytest.raises(ZooError, match=f"OptimalVariance is fitted .* {likelihood.__name__} .* take LearnedVariance"):
        likelihood((3,), OptimalVariance)


# --- categorical


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(), (B,), (K, B)])
@pytest.mark.parametrize("levels", [2, 9])
def test_a_categorical_is_that_of_torch(shape: tuple[int, ...], leading: tuple[int, ...], levels: int) -> None:
    logits = 3 * torch.randn(*leading, levels, *shape)
    x = pixels(*leading[-1:], *shape, levels=levels)
    p = Categorical(shape, levels)(logits)
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    torch_p = TorchCategorical(logits=logits.movedim(-1 - len(shape), -1))
    same(p.log_prob(x), torch_p.log_prob((x * (levels - 1)).round()).flatten(len(leading)).sum(-1))


def test_a_categorical_of_two_levels_is_a_bernoulli() -> None:
    logits, x = 3 * torch.randn(K, B, 2, 5), torch.rand(B, 5).round()
    two, one = Categorical((5,), levels=2)(logits), Bernoulli((5,))(logits.diff(dim=2))
    same(two.log_prob(x), one.log_prob(x))
    same(two.mean, one.mean)
    mean = torch.tensor([0.0, 0.2, 0.5, 0.93, 1.0])
    started = Categorical((5,), levels=2).start_at(mean, mean * (1 - mean))
    same(started.diff(dim=0), Bernoulli((5,)).start_at(mean), 1e-8)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("levels", [2, 7, 256])
@pytest.mark.parametrize("spread", [None, 0.0, 1e-4, 0.02, 1.0])
def test_a_categorical_starts_at_the_mean_of_the_data(
    shape: tuple[int, ...], levels: int, spread: float | None
) -> None:
    mean = torch.rand(shape)
    mean.flatten()[:4] = torch.tensor([0.0, 1.0, 0.5, 0.001])
    variance = None if spread is None else spread * mean * (1 - mean)
    part = Categorical(shape, levels)
    emitted = part.start_at(mean, variance)
    assert emitted.shape == (levels, *shape)
    same(part(emitted).mean, mean.clamp(0.001, 0.999))
    assert emitted.min() >= math.log(1e-3 / levels) - 1e-10  # no value begins as good as impossible


def test_a_categorical_starts_at_the_variance_of_the_data_where_the_ends_clip_nothing() -> None:
    part, mean, variance = Categorical((3,)), torch.tensor([0.45, 0.5, 0.52]), torch.tensor([1e-3, 4e-3, 2e-3])
    p = part(part.start_at(mean, variance))
    x = torch.arange(256.0)[:, None] / 255
    second = (p.log_probs.exp() * (x - p.mean).square()).sum(0)
    uniform = (x - mean).square().mean(0)
    same(second, 0.999 * variance + 0.001 * uniform, 1e-7)


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
def test_a_categorical_is_finite_at_extreme_logits_in_float32(size: float) -> None:
    part = Categorical((4,), levels=5)
    for shared in (True, False):
        h = (size * torch.randn(K, 1 if shared else B, 5, 4)).float().requires_grad_()
        log_px = part(h).log_prob(pixels(B, 4, levels=5).float())
        log_px.sum().backward()
        assert log_px.isfinite().all() and h.grad is not None and h.grad.isfinite().all()
        same(h.grad.double().sum(2), 0.0, 1e-4)  # a softmax does not change where all logits move by the same
