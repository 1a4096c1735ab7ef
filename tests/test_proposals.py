"""The widened and the defensive proposal against closed forms."""

import math
from functools import partial

import pytest
import torch
from scipy.special import logsumexp
from torch.distributions import MultivariateNormal

from tests import linear
from tests.linear import same, standard_error
from tests.small import LATENT, MODELS, small_model, small_x
from zoo import (
    IWAE,
    CouplingFlow,
    Defensive,
    FullGaussian,
    LatentVariableModel,
    MixtureOfGaussians,
    PriorSampling,
    Proposal,
    Refitted,
    VampPrior,
    Widened,
)
from zoo.distributions import Choice
from zoo.errors import ZooError
from zoo.measures.importance import effective_sample_size, pareto_khat
from zoo.noise import ExampleNoise, fingerprint


def narrowed(factor: float, cls: type[LatentVariableModel] = IWAE) -> LatentVariableModel:
    """The exact model of orthogonal data, the standard deviations of its posterior divided by a factor."""
    model = linear.exact_model(cls, linear.orthogonal_data())
    with torch.no_grad():
        model.encoder.layers[0].bias[model.latent_dim :] -= math.log(factor)
    return model


# --- log p(x), where it is known


ALL = [(IWAE, each) for each in (None, Widened(1.2), Defensive(0.2), Refitted(steps=100))]


@pytest.mark.parametrize(("cls", "proposal"), [*ALL, (PriorSampling, None), (PriorSampling, Refitted(steps=100))])
def test_all_proposals_agree_with_log_p(cls: type[LatentVariableModel], proposal: Proposal | None) -> None:
    """Weights divided by p(x) have the mean 1, whatever they are drawn from."""
    data = linear.linear_data(latent_dim=2, variance=1.0)
    x = linear.examples_of(data)
    log_w = linear.exact_model(cls, data).log_weights(x, 40_000, proposal=proposal)  # (k, B)
    ratio = (log_w - data.log_prob(x)).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * standard_error(ratio)).all()


# --- widened


@pytest.mark.parametrize("name", sorted({*MODELS} - {"prior"}))
def test_widened_by_one_is_the_model_itself(name: str) -> None:
    model, x = small_model(name), small_x()
    assert torch.equal(model.log_weights(x, 11, proposal=Widened(1.0)), model.log_weights(x, 11))


@pytest.mark.parametrize("factor", [1.5, 2.0, 8.0])
def test_what_was_too_narrow_is_made_exact(factor: float) -> None:
    data = linear.orthogonal_data()
    x = linear.examples_of(data)
    log_w = narrowed(factor).log_weights(x, 13, proposal=Widened(factor))
    same(log_w, data.log_prob(x))
    assert (effective_sample_size(narrowed(factor).log_weights(x, 13)) < 12).all()


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("posterior", ["diagonal", "full"])
def test_the_effective_sample_size_of_a_widened_posterior(scale: float, posterior: str) -> None:
    """E w^2 / p(x)^2 is s^2 / sqrt(2 s^2 - 1) a dimension."""
    data = linear.orthogonal_data() if posterior == "diagonal" else linear.linear_data()
    x, k = linear.examples_of(data), 60_000
    model = linear.exact_model(IWAE, data)
    if posterior == "full":
        exact = data.posterior(x)
        model.encode = lambda _: MultivariateNormal(exact.mean, scale_tril=exact.scale_tril)
    expected = (math.sqrt(2 * scale**2 - 1) / scale**2) ** 3
    found = effective_sample_size(model.log_weights(x, k, proposal=Widened(scale))) / k
    same(found, expected, 0.05 * expected)


@pytest.mark.parametrize(("narrower", "scale"), [(2.0, 1.0), (2.0, 1.3), (2.0, 1.6), (4.0, 2.0)])
def test_the_tail_of_the_weights_has_the_shape_that_the_variance_ratio_gives(narrower: float, scale: float) -> None:
    """Pareto k̂ estimates 1 - c, where c is the variance of the proposal over the posterior's."""
    x = linear.examples_of(linear.orthogonal_data(latent_dim=1, n=41))
    model = linear.exact_model(IWAE, linear.orthogonal_data(latent_dim=1, n=41))
    with torch.no_grad():
        model.encoder.layers[0].bias[1:] -= math.log(narrower)
    khat = pareto_khat(model.log_weights(x, 5000, proposal=Widened(scale)))
    assert abs(khat.mean() - (1 - (scale / narrower) ** 2)) < 0.1


def test_a_posterior_that_is_no_gaussian_is_not_widened() -> None:
    model = small_model("iwae", posterior=CouplingFlow)
    with pytest.raises(ZooError, match="Widened was asked to widen a FlowDistribution"):
        model.log_likelihood(small_x(), 3, proposal=Widened())


# --- defensive

PARTS = {
    "diagonal and normal": {},
    "full and a mixture": {"posterior": FullGaussian, "prior": partial(MixtureOfGaussians, components=4)},
    "a flow and a VampPrior of flows": {"posterior": CouplingFlow, "prior": partial(VampPrior, components=4)},
    "diagonal and a VampPrior": {"prior": partial(VampPrior, components=4)},
}


@pytest.mark.parametrize("parts", PARTS)
def test_no_weight_is_above_its_bound(parts: str) -> None:
    model, x, alpha = small_model("iwae", **PARTS[parts]), small_x(), 0.3
    for _, z in model.evaluation_codes(x, 50, proposal=Defensive(alpha)):
        log_px = model.log_px(x, z)
    log_w = model.log_weights(x, 50, proposal=Defensive(alpha))
    assert log_px.shape == log_w.shape == (50, 7)
    assert (log_w <= log_px - math.log(alpha) + 1e-12).all()
    with torch.no_grad():
        log_ratio = model.prior(model.encode).log_prob(z) - model.encode(x).log_prob(z)  # of q alone
    assert (log_w <= log_px + log_ratio - math.log1p(-alpha) + 1e-12).all()


def test_the_bound_is_met_where_q_never_draws() -> None:
    """A q that is a point: all other draws are the prior's, and their weight is p(x|z) / alpha."""
    model, x = narrowed(1e9), linear.examples_of(linear.orthogonal_data())
    ((_, z),) = model.evaluation_codes(x, 100, proposal=Defensive(0.25))
    from_prior = (z - model.encode(x).mean).abs().amax(-1) > 1e-6
    bound = model.log_px(x, z) - math.log(0.25)
    same(model.log_weights(x, 100, proposal=Defensive(0.25))[from_prior], bound[from_prior])
    assert 0.2 < from_prior.double().mean() < 0.3


@pytest.mark.parametrize("parts", PARTS)
def test_the_density_is_that_of_the_mixture(parts: str) -> None:
    model, x, alpha = small_model("iwae", **PARTS[parts]), small_x(), 0.3
    with torch.no_grad():
        r, q, p = Defensive(alpha)(model, x), model.encode(x), model.prior(model.encode)
        z = torch.randn(5, 7, LATENT)
        both = torch.stack([q.log_prob(z), p.log_prob(z)]).numpy()
    weights = torch.tensor([1 - alpha, alpha])[:, None, None].numpy()
    same(r.log_prob(z), torch.as_tensor(logsumexp(both, axis=0, b=weights)))


@pytest.mark.parametrize("parts", PARTS)
def test_the_draws_are_those_of_the_mixture(parts: str) -> None:
    """Under evaluation noise, by their first two moments."""
    model, x, alpha, k = small_model("iwae", **PARTS[parts]), small_x(2), 0.3, 6_000
    with torch.no_grad(), ExampleNoise(fingerprint(x)):
        r, p = Defensive(alpha)(model, x), model.prior(model.encode)
        z, of_q = r.rsample((k,)), model.encode(x).rsample((k,))
        of_p = p.sample((k, 2))
    for power in (1, 2):
        found, *parts_of_it = (each**power for each in (z, of_q, of_p))
        expected = (1 - alpha) * parts_of_it[0].mean(0) + alpha * parts_of_it[1].mean(0)
        error = sum(standard_error(each).square() for each in (found, *parts_of_it)) ** 0.5
        assert ((found.mean(0) - expected).abs() < 4 * error).all()


def test_a_choice_is_drawn_as_often_as_it_is_likely() -> None:
    logits = torch.tensor([0.3, -20.0, 1.0, -1.0])
    drawn = Choice(logits).sample((60_001,))
    share = drawn.bincount(minlength=4) / len(drawn)
    error = (logits.softmax(0) / len(drawn)).sqrt()
    assert ((share - logits.softmax(0)).abs() <= 4 * error).all() and drawn.max() == 3
