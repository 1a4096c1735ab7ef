"""The parts that models are made of: likelihoods, variances, networks and priors."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Normal

from tests.linear import same, standard_error
from zoo import MLP, Bernoulli, FixedVariance, Gaussian, LearnedVariance, Likelihood, StandardNormal, Variance
from zoo.errors import ZooError
from zoo.likelihoods import BernoulliPixels, GaussianPixels

SHAPES = [(11,), (1, 5, 3)]
K, B = 3, 7
Like = Callable[[tuple[int, ...]], Likelihood]


# --- likelihoods


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(), (B,), (K, B)])
def test_bernoulli_is_the_probability_of_its_pixels(shape: tuple[int, ...], leading: tuple[int, ...]) -> None:
    logits = 5 * torch.randn(*leading, 1, *shape)
    x = torch.rand(B, *shape).round() if leading else torch.rand(shape).round()
    p = Bernoulli(shape)(logits)
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    probability = logits.sigmoid().squeeze(-1 - len(shape))
    expected = torch.as_tensor(stats.bernoulli(probability.numpy()).logpmf(x.numpy()))
    same(p.log_prob(x), expected.flatten(len(leading)).sum(-1))
    same(p.mean, probability)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("leading", [(), (B,), (K, B)])
@pytest.mark.parametrize("variance", [0.01, 0.7, 30.0])
def test_gaussian_is_the_density_of_its_pixels(
    shape: tuple[int, ...], leading: tuple[int, ...], variance: float
) -> None:
    mean = torch.randn(*leading, 1, *shape)
    x = torch.randn(B, *shape) if leading else torch.randn(shape)
    p = Gaussian(shape, partial(FixedVariance, value=variance))(mean)
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    mean = mean.squeeze(-1 - len(shape))
    expected = torch.as_tensor(stats.norm(mean.numpy(), variance**0.5).logpdf(x.numpy()))
    same(p.log_prob(x), expected.flatten(len(leading)).sum(-1))
    same(p.mean, mean)
    same(p.variance, variance)


def test_extreme_logits_give_finite_probabilities_and_gradients() -> None:
    logits = torch.tensor([[[-800.0, 800.0, -800.0]], [[800.0, -800.0, 0.0]]], requires_grad=True)
    log_px = Bernoulli((3,))(logits[:, None]).log_prob(torch.tensor([0.0, 1.0, 0.0]).expand(2, 3))
    same(log_px, torch.tensor([0.0, -1600 - math.log(2)])[:, None])
    log_px.sum().backward()
    same(logits.grad, torch.tensor([[[0.0, 0.0, 0.0]], [[-2.0, 2.0, -1.0]]]))


@pytest.mark.parametrize("pixels", [BernoulliPixels, GaussianPixels])
def test_draws_follow_their_own_mean(pixels: type) -> None:
    arguments = (torch.tensor(0.3),) if pixels is GaussianPixels else ()
    p = pixels(torch.linspace(-2, 2, 5), *arguments, 1)
    draws = p.sample(torch.Size([20_000]))
    assert ((draws.mean(0) - p.mean).abs() < 4 * standard_error(draws)).all()
    same(p.log_prob(draws[:K]), p.base_dist.log_prob(draws[:K]).sum(-1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian])
def test_start_at_is_what_the_decoder_emits_for_a_mean(likelihood: Like, shape: tuple[int, ...]) -> None:
    mean = torch.rand(shape).clamp(0.01, 0.99)
    part = likelihood(shape)
    emitted = part.start_at(mean)
    assert emitted.shape == (part.n_params, *shape)
    same(part(emitted).mean, mean)


def test_a_bernoulli_starts_away_from_pixels_that_never_change() -> None:
    part = Bernoulli((3,))
    same(part(part.start_at(torch.tensor([0.0, 0.5, 1.0]))).mean, torch.tensor([0.001, 0.5, 0.999]))


@pytest.mark.parametrize("likelihood", [Bernoulli, Gaussian])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(likelihood: Like, value: float) -> None:
    x = torch.rand(B, 11).round()
    likelihood((11,)).check(x)
    x[3, 4] = value
    with pytest.raises(ZooError, match="NaN or infinite"):
        likelihood((11,)).check(x)


@pytest.mark.parametrize("value", [0.5, 1e-6, -1.0, 255.0])
def test_only_a_bernoulli_refuses_grey_pixels(value: float) -> None:
    x = torch.rand(B, 11).round()
    x[3, 4] = value
    Gaussian((11,)).check(x)
    with pytest.raises(ZooError, match="0 or 1 and these are grey: make them binary"):
        Bernoulli((11,)).check(x)


# --- variances


def test_a_fixed_variance_is_its_value_and_its_floor() -> None:
    variance = FixedVariance(0.03)
    assert variance() == variance.floor == 0.03
    assert not list(variance.parameters()) and not variance.state_dict()


@pytest.mark.parametrize(("start", "floor"), [(0.1, 1e-4), (3.0, 1e-12), (0.02, 0.0199)])
def test_a_learned_variance_begins_at_its_start_and_keeps_above_its_floor(start: float, floor: float) -> None:
    variance = LearnedVariance(start, floor)
    assert variance().item() == pytest.approx(start, rel=1e-12)
    assert variance.floor == floor
    for excess in (-3.0, 0.0, 5.0):
        variance.excess.data.fill_(excess)
        (gradient,) = torch.autograd.grad(variance().log(), variance.excess)
        same(gradient, 1 / (1 + math.exp(-excess)))
    variance.excess.data.fill_(-1e4)
    assert variance().item() == floor


@pytest.mark.parametrize("value", [0.0, -0.1, math.inf, math.nan])
def test_a_fixed_variance_refuses_what_is_no_variance(value: float) -> None:
    with pytest.raises(ZooError, match=r"the variance is .* a positive number was expected"):
        FixedVariance(value)


@pytest.mark.parametrize(
    ("start", "floor"), [(0.1, 0.0), (0.1, 0.1), (0.1, 0.2), (0.1, -1.0), (math.inf, 0.1), (math.nan, 0.1)]
)
def test_a_learned_variance_refuses_a_start_below_its_floor(start: float, floor: float) -> None:
    with pytest.raises(ZooError, match="0 < floor < start was expected"):
        LearnedVariance(start, floor)


@pytest.mark.parametrize("variance", [FixedVariance, LearnedVariance])
def test_a_gaussian_reports_its_variance(variance: Callable[[], Variance]) -> None:
    part = Gaussian((11,), variance)
    same(part.report()["variance"], part.variance().detach())
    assert Bernoulli((11,)).report() == {}


# --- networks and priors


@pytest.mark.parametrize("hidden", [[], [6], [6, 4]])
@pytest.mark.parametrize("leading", [(), (B,), (K, B), (2, K, B)])
def test_an_mlp_maps_each_input_whatever_axes_lead(hidden: list[int], leading: tuple[int, ...]) -> None:
    network = MLP((1, 5, 3), (2, 4), hidden)
    x = torch.randn(*leading, 1, 5, 3)
    y = network(x)
    assert y.shape == (*leading, 2, 4)
    same(y.reshape(-1, 2, 4), torch.stack([network(one) for one in x.reshape(-1, 1, 5, 3)]))


def test_an_mlp_begins_with_glorots_weights_and_zero_biases() -> None:
    network = MLP((1, 28, 28), (2, 50), hidden=[200, 100], activation=nn.ReLU)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]  # nothing after the last
    for layer, widths in zip(network.layers[::2], [(784, 200), (200, 100), (100, 100)], strict=True):
        assert layer.weight.shape == widths[::-1]
        limit, n = math.sqrt(6 / sum(widths)), layer.weight.numel()
        assert 0.999 * limit < layer.weight.abs().max() <= limit
        squares = (layer.weight / limit).detach().square()  # of a uniform number: mean 1/3, variance 4/45
        assert abs(squares.mean() - 1 / 3) < 4 * math.sqrt(4 / 45 / n)
        assert not layer.bias.any()


@pytest.mark.parametrize("hidden", [[], [6, 4]])
def test_only_an_untrained_network_is_started(hidden: list[int]) -> None:
    network = MLP((3,), (2, 4), hidden)
    first = torch.randn(2, 4)
    network.start_at(first)
    same(network(torch.zeros(B, 3)), first)
    network.start_at(torch.randn(2, 4))
    same(network(torch.zeros(B, 3)), first)


def test_an_mlp_refuses_a_layer_without_units() -> None:
    with pytest.raises(ZooError, match="widths of at least 1"):
        MLP((3,), (4,), hidden=[5, 0])


def test_the_standard_normal_is_one_and_follows_its_model() -> None:
    prior = StandardNormal(5)
    p, z = prior(), torch.randn(K, B, 5)
    assert (p.batch_shape, p.event_shape) == ((), (5,))
    same(p.log_prob(z), torch.as_tensor(stats.norm.logpdf(z.numpy()).sum(-1)))
    same(p.log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(-1))
    assert prior.float()().sample().dtype == torch.float32
    assert not prior.state_dict()  # so that a checkpoint fits a model whose prior was made otherwise
