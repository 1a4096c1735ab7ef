"""What all likelihoods do: begin at a mean, refuse what is no data; and the Bernoulli."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy import stats

from tests.linear import same, standard_error
from zoo import Bernoulli, Gaussian, Likelihood
from zoo.errors import ZooError
from zoo.likelihoods import BernoulliPixels

SHAPES = [(11,), (1, 5, 3)]
K, B = 3, 7
Like = Callable[[tuple[int, ...]], Likelihood]


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


def test_extreme_logits_give_finite_probabilities_and_gradients() -> None:
    logits = torch.tensor([[[-800.0, 800.0, -800.0]], [[800.0, -800.0, 0.0]]], requires_grad=True)
    log_px = Bernoulli((3,))(logits[:, None]).log_prob(torch.tensor([0.0, 1.0, 0.0]).expand(2, 3))
    same(log_px, torch.tensor([0.0, -1600 - math.log(2)])[:, None])
    log_px.sum().backward()
    same(logits.grad, torch.tensor([[[0.0, 0.0, 0.0]], [[-2.0, 2.0, -1.0]]]))


def test_draws_follow_their_own_mean() -> None:
    p = BernoulliPixels(torch.linspace(-2, 2, 5), 1)
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
