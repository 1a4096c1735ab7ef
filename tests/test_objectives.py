"""The objectives as formulas of a Draw: weights of known law, groups of draws, gradients, and Burda's run."""

import math
from collections.abc import Callable

import pytest
import torch
from scipy.special import digamma, polygamma
from torch import Tensor
from torch.distributions import Gamma

import zoo
from tests import linear
from tests.linear import same
from zoo import IWAE, Draw, GaussianVAE, PriorSampling, elbo_mc, iwae


def weighing(log_w: Tensor) -> Draw:
    """A Draw with these log-weights, (k, B): its proposal is the prior."""
    k, n = log_w.shape
    p = zoo.StandardNormal(2)()
    return Draw(p.expand(torch.Size([n])), p, torch.randn(k, n, 2), log_w)


@pytest.mark.parametrize(("k", "shape"), [(1, 1.0), (5, 1.0), (7, 0.4), (33, 2.5)])
def test_the_bound_of_gamma_weights_has_its_known_mean_and_variance(k: int, shape: float) -> None:
    n = 40_000
    bound = iwae(weighing(Gamma(shape, 1.0).sample(torch.Size([k, n])).log()))
    mean, variance = float(digamma(k * shape)) - math.log(k), float(polygamma(1, k * shape))
    assert abs(bound.mean() - mean) < 4 * math.sqrt(variance / n)
    squares = (bound - mean).square()
    assert abs(squares.mean() - variance) < 4 * linear.standard_error(squares)


def test_more_draws_tighten_the_bound_whatever_the_weights() -> None:
    log_w = 3 * torch.randn(6, 11)
    whole = iwae(weighing(log_w))
    left_out = torch.stack([iwae(weighing(log_w[torch.arange(6) != i])) for i in range(6)])
    assert (left_out.mean(0) < whole).all()  # Burda's Theorem 1: the mean over subsets lies below
    same(iwae(weighing(log_w.flip(0))), whole)
    same(iwae(weighing(log_w - 5000)), whole - 5000, 1e-9)  # nothing underflows
    same(iwae(weighing(log_w[:1])), log_w[0])


@pytest.mark.parametrize("cls", [IWAE, PriorSampling])
def test_with_one_draw_the_importance_weighted_bound_is_the_elbo(cls: type[zoo.LatentVariableModel]) -> None:
    data = linear.linear_data()
    draw = linear.linear_model(cls, data, k=1).draw(linear.examples_of(data))
    assert torch.equal(iwae(draw), elbo_mc(draw))


@pytest.mark.parametrize("groups", [(1, 64), (4, 16), (16, 4), (64, 1)])
def test_a_new_objective_is_one_method_and_its_groups_of_draws_keep_their_roles(
    groups: tuple[int, int],
) -> None:
    m, k = groups  # MIWAE (Rainforth et al. 2018): the mean over m of k-draw bounds

    class MIWAE(zoo.LatentVariableModel):
        def objective(self, draw: Draw) -> Tensor:
            return zoo.logmeanexp(draw.log_w.unflatten(0, (m, k)), dim=1).mean(0)

    data = linear.linear_data()
    x = linear.examples_of(data)
    model = linear.exact_model(MIWAE, data, k=m * k)
    draw = model.draw(x)
    if m == 1:
        same(model.objective(draw), iwae(draw))
    elif k == 1:
        same(model.objective(draw), elbo_mc(draw))
    else:  # four of the groups of 4 make one of 16, so that the larger groups lie above, for every draw
        coarse, fine = (zoo.logmeanexp(draw.log_w.unflatten(0, g), dim=1).mean(0) for g in ((4, 16), (16, 4)))
        assert (coarse > fine + 1e-3).all()
        same(model.objective(draw), coarse if m == 4 else fine)


def test_the_gradient_of_the_bound_weighs_each_draw_by_its_share() -> None:
    data = linear.linear_data()
    model = linear.linear_model(IWAE, data, k=6)
    draw = model.draw(linear.examples_of(data))
    share = draw.log_w.softmax(0).detach()
    surrogate = (share * draw.log_w).sum()
    parameters = list(model.parameters())
    expected = torch.autograd.grad(surrogate, parameters, retain_graph=True)
    for gradient, value in zip(torch.autograd.grad(iwae(draw).sum(), parameters), expected, strict=True):
        assert value.abs().max() > 0.1
        torch.testing.assert_close(gradient, value, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variance", [zoo.FixedVariance, zoo.LearnedVariance])
def test_no_gaussian_model_exceeds_the_bound_of_its_variance_and_a_perfect_one_attains_it(
    variance: Callable[[], zoo.Variance],
) -> None:
    x = torch.rand(1, 11).expand(7, 11) + 1e-3 * torch.randn(7, 11)
    model = GaussianVAE(x_shape=(11,), latent_dim=3, k=5, variance=variance)
    floor = model.likelihood.variance.floor
    bound = -11 / 2 * math.log(2 * math.pi * floor)
    model.decoder.layers[-1].weight.data.zero_()
    model.decoder.layers[-1].bias.data.copy_(x[0])  # a perfect reconstruction of the first example
    if variance is zoo.LearnedVariance:
        model.likelihood.variance.excess.data.fill_(-1000.0)  # as small as it can be
    for gain in (0.0, 1.0, 30.0):  # encoders from one that says nothing to one that says far too much
        torch.nn.init.normal_(model.encoder.layers[-1].weight, std=gain / 14)
        terms = model.terms(model.draw(x))
        assert (terms["elbo"] <= terms["log_px"]).all()
        assert (terms["log_px"] <= bound + 1e-9).all()
        same(terms["log_px"][0], bound, 1e-9)
        assert (terms["log_px"][1:] < bound - 1e-6).all()


def test_burdas_schedule_goes_through_its_eight_phases_in_3280_epochs() -> None:
    optimizer = zoo.FusedAdam([torch.zeros(1, requires_grad=True)], lr=1e-3)
    schedule = zoo.BurdaSchedule(optimizer)
    rates = []
    for _ in range(3280 + 100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    starts = [0, 1, 4, 13, 40, 121, 364, 1093]
    expected = [1e-3, 7.2e-4, 5.2e-4, 3.7e-4, 2.7e-4, 1.9e-4, 1.4e-4, 1e-4]
    assert [epoch for epoch in range(len(rates)) if epoch == 0 or rates[epoch] != rates[epoch - 1]] == starts
    assert [rates[start] for start in starts] == pytest.approx(expected, rel=1e-12)
    shorter = zoo.BurdaSchedule(optimizer, length=0.1)
    assert [shorter.factor(epoch) for epoch in (0, 1, 2, 3, 4, 12, 13, 36, 37, 109, 110)] == [
        *(1.0, 0.52, 0.37, 0.37, 0.27, 0.27, 0.19, 0.19, 0.14, 0.14, 0.1)
    ]


def test_the_default_iwae_on_mnist_has_as_many_parameters_as_burdas() -> None:
    model = IWAE(x_shape=(1, 28, 28))
    assert sum(parameter.numel() for parameter in model.parameters()) == 425_284
