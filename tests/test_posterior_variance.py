"""The variance of the posterior, its units, and the log-likelihood without the dead ones."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks import LogLikelihood, PosteriorVariance, Report
from tests.linear import same, standard_error
from tests.pca import optimum
from tests.ranks import ON_RANKS, trainer_of
from tests.small import LATENT, SIZES, SmallImages, quiet_trainer, small_model
from zoo import FullGaussian, LatentVariableModel, MixtureOfGaussians
from zoo.errors import ZooError
from zoo.measures.units import cut_log_likelihood
from zoo.metrics import Histogram

pytestmark = ON_RANKS

K = 7


def whole_split() -> Tensor:
    return (SmallImages().splits.test.images / 255.0).double()


def numbers_of(model: LatentVariableModel, folder: Path, *callbacks: pl.Callback, **options: int) -> dict[str, float]:
    trainer = quiet_trainer(folder, *callbacks, **options)
    trainer.test(model, datamodule=SmallImages(eval_batch_size=4), verbose=False)
    return {name.removeprefix("test/"): float(value) for name, value in trainer.callback_metrics.items()}


def threshold_of(model: LatentVariableModel) -> float:
    """So that two units of three are active."""
    with torch.no_grad():
        return float(model.encode(whole_split()).mean.var(0, correction=0).sort().values[:2].mean())


@pytest.mark.parametrize("active", [0, 2, 4])
def test_at_the_optimum_the_variance_is_that_of_the_noise_in_each_direction(active: int) -> None:
    best, monitor = optimum(active), PosteriorVariance()
    monitor.metrics(best.model)
    with torch.no_grad():
        for part in best.x.split(17):
            monitor.update(best.model, best.model.draw(part), part)
    values, details = monitor.compute(best.model), monitor.details(best.model)
    assert values["active_units"] == active
    same(values["posterior_variance"], best.variance.mean())
    same(torch.tensor(details["posterior_variance_per_dimension"]), best.variance)
    same(torch.tensor(details["variance_of_means"]), 1 - best.variance)
    same(torch.tensor(details["posterior_variance_spread"]), 0.0)
    assert sum(details["log_posterior_variance_active"].counts) == active * len(best.x)
    assert sum(details["log_posterior_variance_inactive"].counts) == (4 - active) * len(best.x)
    assert ("posterior_variance/active" in values) == (active > 0)
    if active:
        same(values["posterior_variance/active"], best.variance[:active].mean())


@pytest.mark.parametrize("active", [0, 2, 4])
def test_a_unit_that_is_cut_costs_what_its_variance_says(active: int) -> None:
    """Nothing where it has collapsed. The weights are constant, so the loss is that of one direction made noise."""
    best, units = optimum(active), torch.arange(4)
    whole = best.model.log_likelihood(best.x, K)
    for u, v in enumerate(best.variance):
        loss = whole - cut_log_likelihood(best.model, best.x, K, units != u)
        same(loss.mean(), 0.5 * (1 / v - 1 + v.log()))
        assert (u < active) == bool(loss.mean() > 1e-3)


def test_with_all_units_kept_nothing_is_cut() -> None:
    model, x = small_model("iwae"), whole_split()
    same(cut_log_likelihood(model, x, K, torch.ones(LATENT, dtype=torch.bool)), model.log_likelihood(x, K))


def cut_by_hand(model: LatentVariableModel, x: Tensor, kept: Tensor) -> Tensor:
    """As Burda et al. do it: z_u = 0, and its factors left out, with the draws of the model's own k = K."""
    with torch.no_grad():
        draw = model.evaluation_draw(x)
        z = torch.where(kept, draw.z, 0.0)
        log_q = torch.distributions.Normal(draw.q.mean[:, kept], draw.q.stddev[:, kept]).log_prob(z[..., kept]).sum(-1)
        log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z[..., kept]).sum(-1)
        return (model.decode(z).log_prob(x) + log_p - log_q).logsumexp(0) - np.log(K)


def test_what_is_cut_is_zero_and_has_no_factor() -> None:
    model, kept = small_model("iwae", k=K), torch.tensor([True, False, True])
    same(cut_log_likelihood(model, whole_split(), K, kept), cut_by_hand(model, whole_split(), kept))


def test_units_that_depend_on_each_other_are_not_cut(tmp_path: Path) -> None:
    for part in ({"posterior": FullGaussian}, {"prior": partial(MixtureOfGaussians, components=2)}):
        model = small_model("iwae", **part)
        with pytest.raises(ZooError, match="does not factorise"):
            cut_log_likelihood(model, whole_split(), K, torch.ones(LATENT, dtype=torch.bool))
        found = numbers_of(model, tmp_path, PosteriorVariance(cut_k=K))
        assert "active_units" in found
        assert not any("cut" in name for name in found)


def test_the_cut_log_likelihood_of_a_test_is_that_of_its_active_units(tmp_path: Path) -> None:
    model, x = small_model("iwae", k=K), whole_split()
    threshold = threshold_of(model)
    kept = model.encode(x).mean.var(0, correction=0) > threshold
    assert kept.sum() == 2
    each = cut_by_hand(model, x, kept)
    found = numbers_of(model, tmp_path, PosteriorVariance(threshold, cut_k=K), LogLikelihood(K), Report())
    assert found[f"log_likelihood_cut/{K}"] == pytest.approx(float(each.mean()), abs=1e-10)
    assert found["log_likelihood_cut/se"] == pytest.approx(float(standard_error(each)), abs=1e-10)
    assert found[f"log_likelihood_cut/{K}"] != pytest.approx(found[f"log_likelihood/{K}"], abs=1e-4)


def test_the_second_pass_sees_the_batches_of_the_first(tmp_path: Path) -> None:
    model = small_model("iwae", k=K)
    found = numbers_of(model, tmp_path, PosteriorVariance(0.0, cut_k=K), LogLikelihood(K), limit_test_batches=2)
    assert found[f"log_likelihood_cut/{K}"] == pytest.approx(found[f"log_likelihood/{K}"], abs=1e-10)


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_change_nothing(tmp_path: Path, ranks: int) -> None:
    """Neither the numbers nor the arrays, which the report of the first rank writes."""
    found = []
    for r in (1, ranks):
        model = small_model("bernoulli")
        trainer = trainer_of(r, tmp_path, PosteriorVariance(threshold_of(model), cut_k=K), Report())
        trainer.test(model, datamodule=SmallImages(eval_batch_size=3), verbose=False)
        written = json.loads((tmp_path / "metrics.json").read_text())
        assert written["examples"] == SIZES[2]
        columns = written["details"] | {
            name: written["details"][name]["counts"]
            for name in ("log_posterior_variance_active", "log_posterior_variance_inactive")
        }
        found.append(
            written["test"] | {f"{name}/{i}": v for name, values in columns.items() for i, v in enumerate(values)}
        )
    assert {f"log_likelihood_cut/{K}", "posterior_variance_spread/2", "active_units"} < found[0].keys()
    assert found[1] == pytest.approx(found[0], rel=0, abs=1e-10)


def test_the_arrays_are_those_of_the_split(tmp_path: Path) -> None:
    model = small_model("bernoulli")
    q = model.encode(whole_split())
    monitor = PosteriorVariance(threshold_of(model))
    numbers_of(model, tmp_path, monitor)
    variance, log_variance = q.variance.detach(), q.variance.log().detach().numpy()
    same(torch.tensor(monitor.found["posterior_variance_per_dimension"]), variance.mean(0))
    same(torch.tensor(monitor.found["posterior_variance_spread"]), variance.std(0, correction=0))
    same(torch.tensor(monitor.found["variance_of_means"]), q.mean.detach().var(0, correction=0))
    kept = (q.mean.var(0, correction=0) > monitor.threshold).numpy()
    for name, units in (("active", kept), ("inactive", ~kept)):
        counts, edges = monitor.found[f"log_posterior_variance_{name}"]
        assert counts == np.histogram(log_variance[:, units], edges)[0].tolist()


def test_a_split_that_is_not_watched_leaves_no_arrays(tmp_path: Path) -> None:
    monitor = PosteriorVariance(stages=["test"])
    trainer = quiet_trainer(tmp_path, monitor)
    trainer.test(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    assert monitor.found
    trainer.validate(small_model("iwae"), datamodule=SmallImages(), verbose=False)
    assert not monitor.found


def test_it_changes_no_training_and_no_generator(tmp_path: Path) -> None:
    weights = []
    for monitors in ([], [PosteriorVariance(cut_k=K)]):
        model = small_model("iwae")
        trainer = quiet_trainer(tmp_path, *monitors, max_epochs=2)
        trainer.fit(model, datamodule=SmallImages())
        before = torch.get_rng_state()
        trainer.test(model, datamodule=SmallImages(), verbose=False)
        assert torch.equal(before, torch.get_rng_state())
        weights.append(model.state_dict())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])


@pytest.mark.parametrize("sizes", [[13], [1, 12], [5, 4, 4]])
def test_a_histogram_is_numpys_for_any_split_of_the_data(sizes: list[int]) -> None:
    values = 3 * torch.randn(sum(sizes), 2)
    values[0] = torch.tensor([-9.0, 1.0])  # beyond the first edge, and on an edge
    parts = [Histogram(2, -2.0, 4.0, 6) for _ in sizes]
    for metric, part in zip(parts, values.split(sizes), strict=True):
        metric.update(part)
    for other in parts[1:]:
        parts[0].merge_state(other)
    for u in range(2):
        expected = np.histogram(values[:, u].clamp(-2, 3.9), np.linspace(-2, 4, 7))[0]
        assert parts[0].compute()[u].tolist() == expected.tolist()


def test_fewer_draws_than_none_are_refused() -> None:
    with pytest.raises(ZooError, match="cut_k is -1"):
        PosteriorVariance(cut_k=-1)
