"""Annealed importance sampling against closed forms, and whatever its batches."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from tests import linear
from tests.linear import same, standard_error
from tests.small import MODELS, small_model, small_x
from zoo import (
    IWAE,
    Amortised,
    AnnealedImportanceSampling,
    CouplingFlow,
    Defensive,
    Draw,
    GaussianVAE,
    LatentVariableModel,
    MixtureOfGaussians,
    PriorSampling,
    Proposal,
    Refitted,
    VampPrior,
    Widened,
)
from zoo.errors import ZooError
from zoo.estimators import AnnealedWeights, evaluating, simulate
from zoo.estimators.ais import FORWARD
from zoo.estimators.annealing import Annealing, tuned_steps
from zoo.measures.importance import relative_error
from zoo.noise import ExampleNoise, fingerprint, mix

STARTS = [None, Amortised(), Widened(1.3), Defensive(0.3), Refitted(steps=20)]


def off_model(
    cls: type[LatentVariableModel] = IWAE, variance: float = 0.3
) -> tuple[LatentVariableModel, Tensor, Tensor]:
    """An exact decoder whose encoder is off, examples (7, 5), and their log p(x)."""
    data = linear.linear_data(variance=variance)
    model = linear.exact_model(cls, data)
    if model.has_encoder:
        with torch.no_grad():
            model.encoder.layers[0].bias += 0.3
    x = linear.examples_of(data)
    return model, x, data.log_prob(x)


# --- log p(x), where it is known


@pytest.mark.parametrize("start", STARTS, ids=lambda start: type(start).__name__)
def test_log_p_is_met_within_the_stated_error(start: Proposal | None) -> None:
    model, x, log_p = off_model()
    found = AnnealedImportanceSampling(40, n_chains=60, n_leapfrog=4, proposal=start)(model, x)
    assert (found.error < 0.3).all() and (found.error > 0.01).all()
    assert ((found.log_likelihood - log_p).abs() < 4 * found.error).all()


@pytest.mark.parametrize("start", [None, Amortised()])
@pytest.mark.parametrize("n", [2, 5])
def test_the_mean_weight_is_p_of_x(n: int, start: Proposal | None) -> None:
    """Whatever the number of temperatures, over many chains."""
    model, x, log_p = off_model(variance=1.0)
    log_w = AnnealedImportanceSampling(n, n_chains=5000, n_leapfrog=2, proposal=start)(model, x).log_w
    ratio = (log_w - log_p).exp()
    assert ((ratio.mean(0) - 1).abs() < 4 * standard_error(ratio)).all() and (ratio.std(0) > 0.1).all()


@pytest.mark.parametrize("start", [None, Amortised()])
@pytest.mark.parametrize("way", ["forward", "reverse"])
def test_the_mean_weight_is_right_there_and_back(way: str, start: Proposal | None) -> None:
    """E w = p(x) from the start and E 1/w = 1/p(x) from the posterior, over what the model makes."""
    data = linear.linear_data(variance=1.0)
    model = linear.exact_model(IWAE, data)
    simulated = simulate(model, 20_000)
    ais = AnnealedImportanceSampling(4, n_chains=1, n_leapfrog=2, proposal=start)
    with evaluating(model):
        path = Annealing(model, simulated.x, start)
        steps = torch.full((3, 20_000), -0.5)
        run = ais.forward(path, steps) if way == "forward" else ais.reverse(path, simulated.z, steps)
    log_p = data.log_prob(simulated.x)
    ratio = (run.log_w[0] + (log_p if way == "reverse" else -log_p)).exp()
    assert abs(ratio.mean() - 1) < 4 * standard_error(ratio) and ratio.std() > 0.1
    assert 0.3 < run.acceptance.mean() < 0.99


@pytest.mark.parametrize("start", STARTS, ids=lambda start: type(start).__name__)
def test_one_temperature_is_importance_sampling(start: Proposal | None) -> None:
    model, x, _ = off_model()
    found = AnnealedImportanceSampling(1, n_chains=9, proposal=start)(model, x)
    with evaluating(model):
        q = model.prior().expand(torch.Size([len(x)])) if start is None else start(model, x)
        with ExampleNoise(fingerprint(x), seed=mix(FORWARD, 0)):
            z = q.rsample((9,))
        same(found.log_w, Draw(q, model.prior(), z, model.log_px(x, z)).log_w, 1e-12)
    assert (found.acceptance == 1).all()


def test_from_the_posterior_itself_every_weight_is_p_of_x() -> None:
    data = linear.orthogonal_data()
    x = linear.examples_of(data)
    found = AnnealedImportanceSampling(7, n_chains=3, proposal=Amortised())(linear.exact_model(IWAE, data), x)
    same(found.log_w, data.log_prob(x), 1e-10)
    same(found.error, 0.0, 1e-6)


def test_the_log_likelihood_rises_to_log_p_with_the_temperatures() -> None:
    model, x, log_p = off_model(variance=0.05)
    estimates = [AnnealedImportanceSampling(n, n_chains=9, n_leapfrog=4)(model, x) for n in (2, 10, 60)]
    few, more, many = [float((log_p - found.log_likelihood).mean()) for found in estimates]
    assert few > 2 * more > 10 * abs(many)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("prior", [None, MixtureOfGaussians, VampPrior])
def test_it_agrees_with_draws_whatever_the_model(name: str, prior: type | None) -> None:
    if name == "prior" and prior is not None:
        pytest.skip("PriorSampling takes priors whose draws have a gradient")
    model, x = small_model(name, **({} if prior is None else {"prior": partial(prior, components=3)})), small_x()
    x = x.round() if name != "gaussian" else x
    log_w = model.log_weights(x, 20_000, proposal=Defensive(0.5) if model.has_encoder else None)
    found = AnnealedImportanceSampling(20, n_chains=80, n_leapfrog=3)(model, x)
    error = (found.error.square() + relative_error(log_w).square()).sqrt()
    assert (error < 0.6).all()
    assert ((found.log_likelihood - log_w.logsumexp(0) + math.log(20_000)).abs() < 4 * error).all()


def test_it_starts_at_a_flow() -> None:
    model, x = small_model("iwae", posterior=CouplingFlow), small_x().round()
    found = AnnealedImportanceSampling(10, n_chains=40, n_leapfrog=3, proposal=Amortised())(model, x)
    error = (found.error.square() + relative_error(model.log_weights(x, 5000)).square()).sqrt()
    assert ((found.log_likelihood - model.log_likelihood(x, 5000)).abs() < 4 * error).all() and (error < 0.3).all()


# --- step sizes


def test_step_sizes_are_tuned_to_the_acceptance_of_each_example() -> None:
    """From the prior to a posterior that is a tenth as wide, each step size falls to a fifth or less."""
    model, x, _ = off_model(GaussianVAE, variance=0.01)
    ais = AnnealedImportanceSampling(100, n_chains=20, n_leapfrog=3)
    with evaluating(model):
        path = Annealing(model, x, None)
        steps = ais.tuned_steps(path)  # (99, 7)
        run = ais.forward(path, steps)
    assert (steps[-1] < steps[0] - math.log(5)).all()
    assert ((run.acceptance[20:].mean(0) - 0.65).abs() < 0.1).all()
    assert torch.equal(run.log_steps, steps)  # the estimate itself does not move them


def test_step_sizes_of_many_temperatures_are_those_of_few_interpolated() -> None:
    model, x, _ = off_model()
    with evaluating(model):
        few, many = (tuned_steps(Annealing(model, x, None), n, 2, 1, seed=5) for n in (100, 298))
    assert few.shape == (99, 7) and many.shape == (297, 7)
    same(many[[0, -1]], few[[0, -1]])
    middle = few[49]  # of 99, as 149 of 297
    same(many[148], middle, 1e-9)


def test_the_noise_of_tuning_is_not_that_of_the_estimate() -> None:
    model, x, _ = off_model()
    ais = AnnealedImportanceSampling(3, n_chains=2)
    with evaluating(model):
        path = Annealing(model, x, None)
        starts = torch.stack([path.begin(2, mix(role, seed)) for role in (0, 1, 2, 3, 4) for seed in (0, 1)])
    pairs = (starts[:, None] - starts).abs().amin((2, 3, 4)) + torch.eye(10)
    assert (pairs > 1e-6).all()
    other = AnnealedImportanceSampling(3, n_chains=2, seed=1)(model, x).log_w
    assert (other - ais(model, x).log_w).abs().min() > 1e-6


# --- whatever the batch, and with nothing changed


@pytest.mark.parametrize(
    ("name", "start"),
    [("gaussian", None), ("prior", None), ("iwae", None), ("iwae", Amortised()), ("iwae", Defensive(0.3))],
)
def test_the_numbers_do_not_depend_on_the_batch(name: str, start: Proposal | None) -> None:
    model, x = small_model(name), small_x().round()
    ais = AnnealedImportanceSampling(6, n_chains=5, n_leapfrog=3, proposal=start)
    whole = ais(model, x)
    for batch_size in (2, 5):
        same(ais(model, x, batch_size=batch_size).log_w, whole.log_w)
    some = ais(model, x[[5, 2]])
    same(some.log_w, whole.log_w[:, [5, 2]])
    same(some.acceptance, whole.acceptance[[5, 2]])


def test_the_first_chains_are_those_of_fewer_where_step_sizes_are_given() -> None:
    model, x, _ = off_model()
    few, many = (AnnealedImportanceSampling(5, n_chains=n) for n in (2, 9))
    with evaluating(model):
        path = Annealing(model, x, None)
        steps = torch.full((4, 7), -1.0)
        same(many.forward(path, steps).log_w[:2], few.forward(path, steps).log_w)


@pytest.mark.parametrize("cls", [IWAE, PriorSampling])
def test_a_model_is_not_touched(cls: type[LatentVariableModel]) -> None:
    model, x, _ = off_model(cls)
    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    AnnealedImportanceSampling(3, n_chains=2)(model, x)
    simulate(model, 5)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(module.training for module in model.modules())
    assert all((parameter.grad == 1).all() for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_where_lightning_tests_nothing_has_a_gradient_and_the_numbers_are_the_same() -> None:
    model, x, _ = off_model()
    ais = AnnealedImportanceSampling(5, n_chains=3)
    expected = ais(model, x).log_w
    with torch.inference_mode():
        assert torch.equal(ais(model, x + 0.0).log_w, expected)
        assert torch.equal(simulate(model, 5).x, simulate(model, 5).x)


def test_a_model_in_16_bits_is_annealed_in_32() -> None:
    model = small_model("bernoulli").to(torch.float32)
    x = small_x().round()
    expected = AnnealedImportanceSampling(20, n_chains=40)(model, x.float()).log_likelihood
    found = AnnealedImportanceSampling(20, n_chains=40)(model.to(torch.bfloat16), x.bfloat16()).log_likelihood
    same(found, expected, 0.3)


# --- as a user meets it


def test_the_error_is_that_of_the_mean_weight_and_one_chain_has_none() -> None:
    found = AnnealedWeights(torch.tensor([[1.0], [3.0]]).log(), torch.ones(1))
    same(found.log_likelihood, math.log(2))
    same(found.error, math.sqrt(1 / 1.6 - 1 / 2))
    same(found.ess, 1.6)
    assert AnnealedWeights(torch.zeros(1, 2), torch.ones(2)).error.isnan().all()


def test_passes_are_what_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, _ = off_model()
    codes = 0

    def count(x: Tensor, z: Tensor) -> Tensor:
        nonlocal codes
        codes += z.shape[:2].numel()
        return type(model).log_px(model, x, z)

    monkeypatch.setattr(model, "log_px", count)
    for n in (1, 2, 130):
        codes, ais = 0, AnnealedImportanceSampling(n, n_chains=3, n_leapfrog=2)
        ais(model, x)
        assert codes == ais.passes * len(x)


@pytest.mark.parametrize("name", ["n_temperatures", "n_chains", "n_leapfrog"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ZooError, match=f"{name} is 0, where an integer of at least 1"):
        AnnealedImportanceSampling(**{name: 0})


def test_what_is_no_proposal_is_refused() -> None:
    with pytest.raises(ZooError, match="where a proposal was expected"):
        AnnealedImportanceSampling(proposal=Amortised)  # pyright: ignore


def test_the_encoder_of_a_model_without_one_is_refused() -> None:
    model, x, _ = off_model(PriorSampling)
    with pytest.raises(ZooError, match="has no encoder"):
        AnnealedImportanceSampling(2, proposal=Amortised())(model, x)


def test_the_defensive_mixture_has_the_moments_of_its_draws() -> None:
    model, x = small_model("iwae"), small_x()
    with torch.no_grad():
        r = Defensive(0.3)(model, x)
        z = r.rsample((200_000,))
    same(r.mean, z.mean(0), 0.02)
    same(r.stddev, z.std(0), 0.02)
