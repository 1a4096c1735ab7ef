"""Bounds of log p(x) from both sides, on data that a model has made, against closed forms and theory."""

import math
from pathlib import Path

import pytest
import torch
from scipy.special import digamma, polygamma
from torch import Tensor
from torch.distributions import Gamma

from datamodules import LinearGaussian
from tests import linear
from tests.linear import same, standard_error
from tests.small import MODELS, small_model
from zoo import IWAE, Amortised, AnnealedImportanceSampling, PriorSampling, Proposal, Widened
from zoo.errors import ZooError
from zoo.estimators import Bounds, bidirectional_monte_carlo, simulate, simulated_bounds, streamed_logmeanexp
from zoo.estimators import standard_error as error_of
from zoo.estimators.hmc import Point


def shifted(squared: float) -> tuple[IWAE, LinearGaussian]:
    """A model whose q(z|x) is the posterior moved by d with d' S^-1 d = squared: log w / p ~ N(-squared/2, squared)."""
    data = linear.orthogonal_data()
    model = linear.exact_model(IWAE, data)
    std = (data.noise_variance / linear.precision(data).diagonal()).sqrt()
    with torch.no_grad():
        model.encoder.layers[0].bias[: model.latent_dim] += std * math.sqrt(squared / model.latent_dim)
    return model, data


# --- what is simulated


def test_simulated_data_are_drawn_from_the_model() -> None:
    data = linear.linear_data()
    x, z = simulate(linear.exact_model(IWAE, data), 100_000)
    r = x - data.mu - z @ data.W.T
    same(z.mean(0), 0.0, 0.02)
    same(z.T.cov(), torch.eye(3), 0.03)
    same(r.mean(0), 0.0, 0.01)
    same(r.T.cov(), 0.3 * torch.eye(5), 0.01)


@pytest.mark.parametrize("name", MODELS)
def test_simulated_data_suit_their_model_and_follow_a_seed(name: str) -> None:
    model = small_model(name)
    one, again, other = simulate(model, 9), simulate(model, 9), simulate(model, 9, seed=1)
    model.check(one.x)
    assert torch.equal(one.x, again.x) and torch.equal(one.z, again.z)
    assert not torch.equal(one.x, other.x) and not torch.equal(one.z, other.z)


# --- there and back


@pytest.mark.parametrize("start", [None, Amortised(), Widened(1.5)])
def test_both_bounds_meet_log_p(start: Proposal | None) -> None:
    """Each within its error, and on the right side of the mean of log p(x)."""
    data = linear.linear_data()
    model = linear.exact_model(IWAE, data)
    simulated = simulate(model, 60)
    log_p = data.log_prob(simulated.x)
    ais = AnnealedImportanceSampling(50, n_chains=9, n_leapfrog=4, proposal=start)
    bounds = bidirectional_monte_carlo(model, simulated, ais)
    for off in (log_p - bounds.lower, bounds.upper - log_p):
        assert -4 * standard_error(off) < off.mean() < 0.6 and off.std() > 1e-3


def test_too_few_steps_show_as_a_gap() -> None:
    """log p(x) lies within it. The chains say so too: of one alone no error is known, and that of several is large."""
    data = linear.linear_data(variance=0.02)
    model = linear.exact_model(PriorSampling, data)
    simulated = simulate(model, 20)
    log_p = data.log_prob(simulated.x).mean()
    few, many = (
        bidirectional_monte_carlo(model, simulated, AnnealedImportanceSampling(n, n_chains=3, n_leapfrog=4)).summary()
        for n in (5, 70)
    )
    assert few["gap"] > 20 and few["lower"] + 5 < log_p < few["upper"] - 5
    assert 0 < many["gap"] < few["gap"] / 4 and many["lower"] < log_p < many["upper"]
    assert AnnealedImportanceSampling(5, n_chains=1)(model, simulated.x).error.isnan().all()
    assert (AnnealedImportanceSampling(5, n_chains=9, n_leapfrog=4)(model, simulated.x).error > 0.5).all()


def test_the_gap_does_not_depend_on_the_batch() -> None:
    model = small_model("iwae")
    simulated = simulate(model, 5)
    ais = AnnealedImportanceSampling(6, n_chains=3, n_leapfrog=2)
    whole, parts = (bidirectional_monte_carlo(model, simulated, ais, batch_size=size) for size in (None, 2))
    same(parts.lower, whole.lower)
    same(parts.upper, whole.upper)
    assert whole.gap.abs().min() > 1e-6


def test_a_summary_has_means_and_standard_errors() -> None:
    summary = Bounds(torch.tensor([-3.0, -5.0]), torch.tensor([-2.0, -1.0])).summary()
    assert {name: float(value) for name, value in summary.items()} == pytest.approx(
        {"lower": -4, "upper": -1.5, "gap": 2.5, "lower/se": 1, "upper/se": 0.5, "gap/se": 1.5}
    )
    values = torch.randn(7)
    same(error_of(values), standard_error(values))


# --- U_k


@pytest.mark.parametrize("k", [1, 2, 9])
def test_where_q_is_the_posterior_both_bounds_are_log_p(k: int) -> None:
    model, data = shifted(0.0)
    simulated = simulate(model, 5)
    bounds = simulated_bounds(model, simulated, k)
    same(bounds.lower, data.log_prob(simulated.x))
    same(bounds.upper, data.log_prob(simulated.x))


@pytest.mark.parametrize(("k", "below", "above"), [(1, 2.0, 2.0), (5, 0.801, 0.97), (50, 0.186, 0.24)])
def test_the_bounds_of_lognormal_weights(k: int, below: float, above: float) -> None:
    """The weights over p(x) are lognormal with a variance of the logarithm of 4."""
    model, data = shifted(4.0)
    simulated = simulate(model, 20_000)
    bounds, log_p = simulated_bounds(model, simulated, k), data.log_prob(simulated.x)
    for off, expected in ((log_p - bounds.lower, below), (bounds.upper - log_p, above)):
        assert abs(off.mean() - expected) < 4 * standard_error(off) + 0.005


def test_the_upper_bound_has_the_true_weight_and_the_other_draws_by_hand() -> None:
    model, k = small_model("bernoulli"), 7
    x, z = simulated = simulate(model, 4)
    q, p = model.encode(x), model.prior()
    with torch.no_grad():
        true = model.log_px(x, z[None])[0] + p.log_prob(z) - q.log_prob(z)
    log_w = model.log_weights(x, k)
    bounds = simulated_bounds(model, simulated, k)
    same(bounds.lower, log_w.logsumexp(0) - math.log(k))
    same(bounds.upper, torch.cat([true[None], log_w[1:]]).logsumexp(0) - math.log(k))


@pytest.mark.parametrize("k", [3, 10])
def test_the_bounds_do_not_depend_on_how_many_weights_are_held(monkeypatch: pytest.MonkeyPatch, k: int) -> None:
    model = small_model("iwae")
    simulated = simulate(model, 5)
    whole = simulated_bounds(model, simulated, k)
    monkeypatch.setattr("zoo.estimators.upper_bound.NUMBERS", 2 * k)
    parts = simulated_bounds(model, simulated, k)
    same(parts.lower, whole.lower)
    same(parts.upper, whole.upper)


@pytest.mark.parametrize("function", [lambda m, s: simulate(m, 0), lambda m, s: simulated_bounds(m, s, 0)])
def test_no_examples_and_no_draws_are_refused(function: object) -> None:
    model = small_model("iwae")
    with pytest.raises(ZooError, match="is 0, where an integer of at least 1"):
        function(model, simulate(model, 2))  # type: ignore[operator]


# --- the bias and the variance of L_k


@pytest.mark.parametrize(("k", "a"), [(1, 1.0), (5, 1.0), (5, 3.5), (50, 0.4)])
def test_the_bias_and_variance_of_gamma_weights(k: int, a: float) -> None:
    """Their mean is Gamma too: E[L_k] - log a = ψ(ka) - log(ka), and the variance is ψ'(ka)."""
    log_w = Gamma(torch.tensor(a), 1.0).sample(torch.Size([k, 100_000])).log()
    off = streamed_logmeanexp(log_w.split(3)) - math.log(a)
    assert abs(off.mean() - (digamma(k * a) - math.log(k * a))) < 4 * standard_error(off)
    squares = (off - off.mean()).square()
    assert abs(squares.mean() - float(polygamma(1, k * a))) < 4 * standard_error(squares)


# --- stopped and gone on with


class Stopped(Exception):
    """As by a signal."""


def stop_at(monkeypatch: pytest.MonkeyPatch, call: int) -> list[int]:
    """Lets a run be stopped in the middle of what makes its n-th path; returns where the batches are counted."""
    from zoo.estimators import ais

    made: list[int] = []

    class Counted(ais.Annealing):
        def at(self, z: Tensor) -> Point:
            if len(made) == call:
                raise Stopped
            return super().at(z)

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            made.append(len(self.keys))

    monkeypatch.setattr(ais, "Annealing", Counted)
    return made


@pytest.mark.parametrize("kind", ["forward", "both"])
def test_a_run_that_was_stopped_goes_on_to_the_same_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model = small_model("iwae")
    simulated = simulate(model, 7)
    ais = AnnealedImportanceSampling(5, n_chains=3, n_leapfrog=2, proposal=Amortised())

    def run(file: Path | None) -> Tensor:
        if kind == "forward":
            return ais(model, simulated.x, file, batch_size=2).log_w
        return torch.stack([*vars(bidirectional_monte_carlo(model, simulated, ais, file, batch_size=2)).values()])

    whole, file = run(None), tmp_path / "folder" / "a.pt"
    with monkeypatch.context() as patch:
        assert not stop_at(patch, 3) and not file.exists()
        with pytest.raises(Stopped):
            run(file)
    with monkeypatch.context() as patch:
        made = stop_at(patch, 99)
        assert torch.equal(run(file), whole)
        assert made == [2, 1]  # of 7 examples, 4 were finished
        assert torch.equal(run(file), whole) and made == [2, 1]
    assert [*file.parent.iterdir()] == [file]


def test_the_file_of_another_run_is_refused(tmp_path: Path) -> None:
    model, x, file = small_model("iwae"), simulate(small_model("iwae"), 3).x, tmp_path / "a.pt"
    make = AnnealedImportanceSampling
    make(2, n_chains=2)(model, x, file)
    others = [make(3, n_chains=2), make(2, n_chains=3), make(2, n_chains=2, seed=1), make(2, 2, 9)]
    cases = [(model, x, each) for each in [*others, make(2, n_chains=2, proposal=Widened())]]
    cases += [(small_model("iwae", seed=4), x, make(2, n_chains=2)), (model, 1 - x, make(2, n_chains=2))]
    for other_model, other_x, other in cases:
        with pytest.raises(ZooError, match="holds the numbers of another model, other examples or other settings"):
            other(other_model, other_x, file)
    widened = make(2, n_chains=2, proposal=Widened(1.5))
    widened(model, x, tmp_path / "b.pt")
    with pytest.raises(ZooError, match="other settings"):
        make(2, n_chains=2, proposal=Widened(1.6))(model, x, tmp_path / "b.pt")


@pytest.mark.parametrize("content", [b"", b"not a file of torch"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.pt"
    file.write_bytes(content)
    model = small_model("iwae")
    with pytest.raises(ZooError, match=r"a\.pt holds no numbers to go on from"):
        AnnealedImportanceSampling(2, n_chains=2)(model, simulate(model, 3).x, file)
    assert file.read_bytes() == content


def test_a_bar_shows_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model("iwae")
    x, ais = simulate(model, 5).x, AnnealedImportanceSampling(4, n_chains=2)
    ais(model, x, batch_size=2)
    assert capsys.readouterr().err == ""
    ais(model, x, batch_size=2, progress=True)
    assert "18/18" in capsys.readouterr().err  # 3 batches, 3 trajectories each to tune and to estimate
