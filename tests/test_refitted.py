"""The refitted proposal against closed forms."""

import pytest
import torch

from tests import linear
from tests.linear import same
from tests.small import LATENT, small_model, small_x
from zoo import IWAE, LatentVariableModel, PriorSampling, Refitted
from zoo.noise import ExampleNoise, fingerprint


@pytest.mark.parametrize("cls", [IWAE, PriorSampling])
def test_the_refitted_proposal_is_the_posterior_where_that_is_diagonal(cls: type[LatentVariableModel]) -> None:
    """From the prior, or from an encoder whose means and standard deviations are off."""
    data = linear.orthogonal_data()
    x = linear.examples_of(data)
    model = linear.exact_model(cls, data)
    if cls is IWAE:
        with torch.no_grad():
            model.encoder.layers[0].bias += 0.3
    exact, found = data.posterior(x), Refitted(steps=400, lr=0.2)(model, x)
    same(found.mean, exact.mean, 1e-6)
    same(found.variance, exact.variance, 1e-6)


def test_where_the_posterior_is_not_diagonal_its_precision_is_met() -> None:
    """The variances are s2 / M_ii, up to noise; in the slope of the mean that of a pair cancels."""
    data = linear.linear_data()
    x = linear.examples_of(data)
    best = data.best_diagonal_posterior(x)
    found = Refitted(steps=400, lr=0.2)(linear.exact_model(PriorSampling, data), x)
    same(found.mean, best.mean, 1e-3)
    same(found.stddev / best.stddev, 1.0, 0.08)


def test_the_posterior_itself_is_not_moved() -> None:
    """Each draw's slope is 0 there."""
    data = linear.orthogonal_data()
    x = linear.examples_of(data)
    found, exact = Refitted(steps=20)(linear.exact_model(IWAE, data), x), data.posterior(x)
    same(found.mean, exact.mean, 1e-8)
    same(found.variance, exact.variance, 1e-8)


def test_it_is_a_better_bound_than_a_bad_encoder() -> None:
    model, x = small_model("bernoulli"), small_x()
    with torch.no_grad():
        model.encoder.layers[-1].bias.fill_(1.0)
    own, refitted = (model.log_weights(x, 300, proposal=each).mean(0) for each in (None, Refitted(steps=50)))
    assert (refitted > own + 1).all()


def test_the_noise_of_the_fit_is_not_that_of_the_estimate() -> None:
    model, x = small_model("iwae"), small_x()
    noise = Refitted()._noise(fingerprint(x), 0, torch.zeros(7, LATENT))
    q = model.encode(x)
    with torch.no_grad(), ExampleNoise(fingerprint(x)):
        estimate = (q.rsample((8,)) - q.mean) / q.stddev
    assert noise.shape == (8, 7, LATENT) and (noise - estimate).abs().min() > 1e-6
    same(noise.sum(0), 0.0)
