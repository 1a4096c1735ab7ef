"""The KL term, its dimensions, its one-draw estimate and its two parts, against closed forms."""

import json
import math
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor
from torch.distributions import Independent, Laplace, MultivariateNormal, StudentT, kl_divergence

from callbacks import KLTerm, Report
from tests.linear import same, standard_error
from tests.pca import optimum
from tests.ranks import ON_RANKS, trainer_of
from tests.small import LATENT, SIZES, SmallImages, quiet_trainer, small_model
from zoo import CouplingFlow, Draw, FullGaussian, LatentVariableModel, MixtureOfGaussians
from zoo.distributions import diagonal_normal
from zoo.errors import ZooError
from zoo.measures.information import MutualInformation
from zoo.measures.units import kl_per_dimension

pytestmark = ON_RANKS

PRIOR = diagonal_normal(torch.zeros(LATENT).double(), torch.ones(LATENT).double())


def posteriors(n: int = 11) -> Independent:
    return diagonal_normal(torch.randn(n, LATENT), torch.rand(n, LATENT) + 0.1)


def numbers_of(model: LatentVariableModel, folder: Path, *callbacks: pl.Callback, batch: int = 4) -> dict[str, float]:
    trainer = quiet_trainer(folder, *callbacks)
    trainer.test(model, datamodule=SmallImages(eval_batch_size=batch), verbose=False)
    return {name.removeprefix("test/"): float(value) for name, value in trainer.callback_metrics.items()}


@pytest.mark.parametrize("active", [0, 2, 4])
def test_at_the_optimum_each_dimension_has_half_the_log_of_its_signal_to_noise(active: int) -> None:
    best, monitor = optimum(active), KLTerm()
    monitor.metrics(best.model)
    with torch.no_grad():
        for part in best.x.split(17):
            monitor.update(best.model, best.model.draw(part), part)
    details = monitor.details(best.model)
    same(torch.tensor(details["kl_per_dimension"]), best.kl)
    assert details["kl_spectrum"] == sorted(details["kl_per_dimension"], reverse=True)
    assert sum(kl > 1e-10 for kl in details["kl_spectrum"]) == active
    values = monitor.compute(best.model)
    same(values["mutual_information"] + values["aggregate_kl"], best.kl.sum())


def test_the_dimensions_add_up_to_the_kl_term() -> None:
    q, p = posteriors(), diagonal_normal(torch.randn(LATENT), torch.rand(LATENT) + 0.5)
    parts = kl_per_dimension(q, p)
    assert parts is not None
    assert parts.shape == (11, LATENT)
    same(parts.sum(1), kl_divergence(q, p))
    heavy = Independent(Laplace(q.mean, q.stddev), 1)
    parts = kl_per_dimension(heavy, p)
    assert parts is not None
    same(parts.sum(1), kl_divergence(heavy, p))


def test_what_does_not_factorise_has_no_dimensions() -> None:
    full = MultivariateNormal(torch.zeros(7, LATENT), torch.eye(LATENT))
    assert kl_per_dimension(full, PRIOR) is None
    assert kl_per_dimension(posteriors(), MixtureOfGaussians(LATENT)()) is None
    assert kl_per_dimension(posteriors(), Independent(StudentT(torch.full((LATENT,), 4.0)), 1)) is None


def test_the_one_draw_estimate_has_its_mean_and_variance() -> None:
    """Of q = N(m, s^2) and the standard normal its variance is 1/2 (s^2 - 1)^2 + m^2 s^2, a dimension."""
    mean, variance, b, k = torch.tensor([0.3, -1.5, 0.0]), torch.tensor([0.5, 0.01, 1.7]), 5, 40_000
    q = diagonal_normal(mean.expand(b, -1), variance.sqrt().expand(b, -1))
    draw = Draw(q, PRIOR, q.rsample((k,)), torch.zeros(k, b))
    monitor = KLTerm()
    monitor.metrics(small_model("bernoulli"))
    monitor.update(small_model("bernoulli"), draw, torch.zeros(b))
    values = monitor.compute(small_model("bernoulli"))
    deviations = (-draw.log_ratio - draw.kl).flatten()
    assert abs(values["kl/one_draw"] - draw.kl[0]) < 4 * standard_error(deviations)
    expected = (0.5 * (variance - 1).square() + mean.square() * variance).sum()
    assert abs(values["kl/one_draw_variance"] - expected) < 4 * standard_error(deviations.square())


def information_of(q: Independent | MultivariateNormal, z: Tensor, n: int = 1000, batch: int = 4) -> MutualInformation:
    metric, kl = MutualInformation(n), kl_divergence(q, PRIOR) if z.shape[1] == LATENT else z[:, 0]
    for start in range(0, len(z), batch):
        part = slice(start, start + batch)
        if isinstance(q, MultivariateNormal):
            metric.update(MultivariateNormal(q.mean[part], scale_tril=q.scale_tril[part]), z[part], kl[part])
        else:
            metric.update(diagonal_normal(q.mean[part], q.stddev[part]), z[part], kl[part])
    return metric


@pytest.mark.parametrize("batch", [1, 4, 11])
def test_posteriors_far_apart_give_the_logarithm_of_their_number(batch: int) -> None:
    q = diagonal_normal(100.0 * torch.arange(11)[:, None].expand(-1, LATENT), 0.5 + torch.rand(11, LATENT))
    found = information_of(q, q.sample(), batch=batch).compute()
    same(found.mutual_information, math.log(11), 1e-9)
    same(found.ceiling, math.log(11))
    same(found.mutual_information + found.aggregate_kl, kl_divergence(q, PRIOR).mean(), 1e-9)


def test_in_single_precision_it_does_not_exceed_the_ceiling() -> None:
    mean = 10 * torch.arange(11, dtype=torch.float32)[:, None].expand(-1, LATENT)
    q = diagonal_normal(mean, torch.full_like(mean, 0.05))
    found = information_of(q, q.sample()).compute()
    same(found.mutual_information, found.ceiling, 1e-7)


def test_equal_posteriors_give_no_information() -> None:
    q = diagonal_normal(torch.ones(11, LATENT), torch.full((11, LATENT), 0.3))
    found = information_of(q, q.sample()).compute()
    same(found.mutual_information, 0.0)
    same(found.aggregate_kl, kl_divergence(q, PRIOR)[0])


@pytest.mark.parametrize("m", [0.4, 1.0, 2.5])
def test_the_information_of_a_mixture_of_two_is_its_integral(m: float) -> None:
    def integrand(z: float) -> float:
        return norm.pdf(z, m) * (norm.logpdf(z, m) - math.log((norm.pdf(z, m) + norm.pdf(z, -m)) / 2))

    n = 3000
    mean = m * torch.tensor([1.0, -1.0]).repeat(n // 2)[:, None]
    q = diagonal_normal(mean, torch.ones(n, 1))
    z = q.sample()
    metric = MutualInformation(n)
    metric.update(q, z, torch.zeros(n))
    both = norm.pdf(z, mean) + norm.pdf(z, -mean)
    error = standard_error(torch.as_tensor(norm.logpdf(z, mean)) - torch.as_tensor(both).log())[0]
    assert abs(metric.compute().mutual_information - quad(integrand, -12, 12)[0]) < 4 * error


def test_each_example_counts_by_the_mean_of_all_posteriors() -> None:
    q = posteriors()
    z = q.sample()
    log_q = q.log_prob(z[:, None])  # (i, j)
    expected = (log_q.diagonal() - log_q.logsumexp(1) + math.log(11)).mean()
    same(information_of(q, z).compute().mutual_information, expected)
    full = MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.stddev))
    same(information_of(full, z).compute().mutual_information, expected)


@pytest.mark.parametrize("n", [1, 4, 6, 11])
def test_only_the_first_examples_are_taken(n: int) -> None:
    q = posteriors()
    z = q.sample()
    first = diagonal_normal(q.mean[:n], q.stddev[:n])
    same(torch.stack(information_of(q, z, n).compute()), torch.stack(information_of(first, z[:n]).compute()))


def test_parts_are_merged_and_a_reset_begins_anew() -> None:
    q = posteriors()
    z = q.sample()
    parts = [information_of(diagonal_normal(q.mean[s], q.stddev[s]), z[s]) for s in (slice(0, 7), slice(7, 11))]
    parts[0].merge_state(parts[1])
    expected = torch.stack(information_of(q, z).compute())
    same(torch.stack(parts[0].compute()), expected)
    parts[1].reset()
    parts[1].update(q, z, kl_divergence(q, PRIOR))
    same(torch.stack(parts[1].compute()), expected)
    with pytest.raises(ZooError, match="posteriors as well"):
        parts[0].merge_state(parts[1].metric_state)


@pytest.mark.parametrize("batch", [1, 4, 13])
@pytest.mark.parametrize("n", [5, 13, 500])
def test_what_is_logged_is_that_of_the_split(tmp_path: Path, batch: int, n: int) -> None:
    model, x = small_model("iwae"), SmallImages().splits.test.images / 255.0
    draw = model.evaluation_draw(x.double())
    found = numbers_of(model, tmp_path, KLTerm(n), batch=batch)
    n = min(n, SIZES[2])
    one_draw = -draw.log_ratio  # (3, 13)
    log_q = draw.q.log_prob(draw.z[0][:, None])[:n, :n]
    information = float((log_q.diagonal() - log_q.logsumexp(1)).mean()) + math.log(n)
    expected = {
        "kl": float(draw.kl.mean()),
        "kl/se": float(standard_error(draw.kl)),
        "kl/one_draw": float(one_draw.mean()),
        "kl/one_draw_variance": float((one_draw - draw.kl).square().mean()),
        "mutual_information": information,
        "mutual_information/ceiling": math.log(n),
        "aggregate_kl": float(draw.kl[:n].mean()) - information,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=0, abs=1e-10)


@pytest.mark.parametrize("stage", ["validate", "test"])
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("n", [1, 5, 500])
def test_ranks_change_nothing(tmp_path: Path, ranks: int, n: int, stage: str) -> None:
    """Of one reference example two ranks have none; the posterior is one that is not Gaussian."""
    found = []
    for r in (1, ranks):
        model = small_model("bernoulli", posterior=CouplingFlow if n == 5 else FullGaussian, closed_form_kl=n != 5)
        trainer = trainer_of(r, tmp_path, KLTerm(n))
        run = trainer.test if stage == "test" else trainer.validate
        run(model, datamodule=SmallImages(eval_batch_size=3), verbose=False)
        found.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert any("mutual_information" in name for name in found[0])
    assert found[1] == pytest.approx(found[0], rel=0, abs=1e-10)


def test_without_a_closed_form_the_one_draw_term_has_the_error(tmp_path: Path) -> None:
    model = small_model("bernoulli", prior=MixtureOfGaussians, closed_form_kl=False)
    monitor = KLTerm()
    found = numbers_of(model, tmp_path, monitor)
    assert found.keys() > {"kl_mc", "kl_mc/se", "mutual_information", "aggregate_kl"}
    assert not any(name.startswith("kl/") for name in found)
    assert found["mutual_information"] + found["aggregate_kl"] == pytest.approx(found["kl_mc"], abs=1e-10)
    assert monitor.found == {}


def test_without_an_encoder_nothing_is_logged(tmp_path: Path) -> None:
    found = numbers_of(small_model("prior"), tmp_path, KLTerm())
    assert not any("kl" in name or "mutual" in name for name in found)


def test_it_changes_no_training(tmp_path: Path) -> None:
    weights = []
    for monitors in ([], [KLTerm()]):
        model = small_model("iwae")
        quiet_trainer(tmp_path, *monitors, max_epochs=2).fit(model, datamodule=SmallImages())
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


@pytest.mark.parametrize("apart", [True, False])
def test_the_report_has_the_spectrum_and_says_when_the_information_is_saturated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], apart: bool
) -> None:
    model = small_model("bernoulli")
    with torch.no_grad():
        model.encoder.layers[-1].bias.fill_(-9.0 if apart else 0.0)  # the log of every standard deviation
        model.encoder.layers[-1].weight.mul_(1.0 if apart else 0.0)
    found = numbers_of(model, tmp_path, KLTerm(), Report())
    details = json.loads((tmp_path / "metrics.json").read_text())["details"]
    assert sum(details["kl_spectrum"]) == pytest.approx(found["kl"], abs=1e-9)
    assert ("13 for its 13 examples: z tells them all apart" in " ".join(capsys.readouterr().out.split())) == apart


def test_no_example_to_refer_to_is_refused() -> None:
    with pytest.raises(ZooError, match="n_reference is 0"):
        KLTerm(n_reference=0)
