"""Callbacks log what a computation by hand gives on the whole split, and change nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks import KeepLast, KLTerm, LogLikelihood, Pictures, PosteriorVariance, Predictions, Report
from callbacks.monitor import logged
from tests.small import MODELS, SIZES, SmallImages, quiet_trainer, small_model
from zoo import LatentVariableModel, Refitted
from zoo.errors import ZooError

K = 7


def evaluate(
    folder: Path, model: LatentVariableModel, *callbacks: pl.Callback, batch: int = 4, stage: str = "test"
) -> dict[str, float]:
    trainer = quiet_trainer(folder, *callbacks)
    run = trainer.test if stage == "test" else trainer.validate
    run(model, datamodule=SmallImages(eval_batch_size=batch), verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def whole_split(stage: str) -> Tensor:
    return getattr(SmallImages().splits, stage).images / 255.0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stage", ["val", "test"])
def test_the_log_likelihood_is_that_of_the_split(tmp_path: Path, name: str, stage: str) -> None:
    model = small_model(name)
    log_w = model.log_weights(whole_split(stage).double(), K)  # (K, N)
    each = log_w.logsumexp(0) - np.log(K)
    n, key = len(each), "log_likelihood_prior_proposal" if name == "prior" else "log_likelihood"
    for batch in (1, 4, n):
        found = evaluate(tmp_path, model, LogLikelihood(K, [stage]), batch=batch, stage=stage)
        assert found[f"{stage}/{key}/{K}"] == pytest.approx(float(each.mean()), abs=1e-10)
        assert found[f"{stage}/{key}/se"] == pytest.approx(float(each.std(correction=1) / n**0.5), abs=1e-10)
        assert sum("log_likelihood" in name for name in found) == 3  # and its Monte-Carlo error


@pytest.mark.parametrize("stage", ["val", "test"])
def test_posterior_variance_and_active_units_are_those_of_the_split(tmp_path: Path, stage: str) -> None:
    model = small_model("bernoulli")
    with torch.no_grad():
        q = model.encode(whole_split(stage).double())
    spread = q.mean.var(0, correction=0)
    threshold = float(spread.sort().values[:2].mean())  # so that some units are active and one is not
    for batch in (1, 4, len(q.mean)):
        found = evaluate(tmp_path, model, PosteriorVariance(threshold), batch=batch, stage=stage)
        assert found[f"{stage}/active_units"] == 2
        assert found[f"{stage}/posterior_variance"] == pytest.approx(float(q.variance.mean()), abs=1e-10)


def test_without_an_encoder_there_are_no_units(tmp_path: Path) -> None:
    found = evaluate(tmp_path, small_model("prior"), PosteriorVariance())
    assert not {"test/active_units", "test/posterior_variance", "test/kl"} & found.keys()
    assert "test/elbo" in found


@pytest.mark.parametrize("name", MODELS)
def test_monitors_change_nothing(tmp_path: Path, name: str) -> None:
    weights = []
    for number in range(2):
        monitors = [
            LogLikelihood(3, ("val", "test")),
            PosteriorVariance(),
            Pictures(),
            Predictions(),
            Report(),
            KeepLast(every_minutes=0),
        ]
        # Once with everything that watches, once with nothing, not even a validation.
        options = {} if number else {"limit_val_batches": 0}
        trainer = quiet_trainer(tmp_path, *(monitors if number else []), max_epochs=2, **options)
        model = small_model(name)
        trainer.fit(model, datamodule=SmallImages())
        weights.append(model.state_dict())
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key])


def test_a_test_between_two_trainings_changes_nothing(tmp_path: Path) -> None:
    """The weights of a test are those that it found, and the generator is where it was."""
    model = small_model("iwae")
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    evaluate(tmp_path, model, LogLikelihood(3), PosteriorVariance(), Pictures(), Report())
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    assert torch.equal(state, torch.get_rng_state())


class Logged(pl.Callback):
    """After which epochs a number was there."""

    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        assert "objective" in logged(trainer, "val")
        if f"log_likelihood/{K}" in logged(trainer, "val"):
            self.epochs.append(trainer.current_epoch)


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3, 4]), (2, [1, 3]), (3, [2])])
def test_every_n_epochs(tmp_path: Path, every: int, expected: list[int]) -> None:
    """What Lightning keeps of an epoch before is not taken for a number of this one."""
    watch = Logged()
    trainer = quiet_trainer(tmp_path, LogLikelihood(K, ["val"], every), watch, max_epochs=5, num_sanity_val_steps=1)
    trainer.fit(small_model("iwae"), datamodule=SmallImages())
    assert watch.epochs == expected


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LogLikelihood(k=0), "k is 0"),
        (lambda: LogLikelihood(every_n_epochs=0), "every_n_epochs is 0"),
        (lambda: LogLikelihood(val_k=2.5), "val_k is 2.5, where at least one draw"),  # type: ignore[arg-type]
        (lambda: LogLikelihood(proposal=Refitted), "where a proposal was expected, as Refitted"),  # type: ignore[arg-type]
        (lambda: PosteriorVariance(threshold=float("nan")), "threshold is nan"),
        (lambda: PosteriorVariance(cut_k=True), "cut_k is True"),
        (lambda: Pictures(seed=2**70), "below 2.63 was expected"),
        (lambda: Pictures(threshold=-1.0), "threshold is -1.0"),
        (lambda: PosteriorVariance(every_n_epochs=-1), "every_n_epochs is -1"),
    ],
)
def test_bad_arguments_are_refused(make: Callable[[], pl.Callback], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("name", MODELS)
def test_the_report(tmp_path: Path, capsys: pytest.CaptureFixture, name: str) -> None:
    model = small_model(name)
    found = evaluate(tmp_path, model, LogLikelihood(K), PosteriorVariance(), Report())
    written = json.loads((tmp_path / "metrics.json").read_text())
    for key, value in found.items():
        assert written["test"][key.removeprefix("test/")] == pytest.approx(value, abs=1e-12)
    assert ("variance" in written["test"]) == (name == "gaussian")
    assert written["model"] == type(model).__name__
    assert written["data"] == "SmallImages"
    assert written["pixels"] == "dynamic"
    assert written["proposal"] == ("prior" if name == "prior" else "encoder")
    assert written["parameters"] == sum(each.numel() for each in model.parameters())
    assert "images_per_second" not in written  # nothing was trained
    printed = capsys.readouterr().out
    assert f"log-likelihood, k = {K}" in printed
    assert f"{found['test/objective']:.2f}" in printed


def test_one_image_has_no_standard_error_and_is_reported(tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, LogLikelihood(K), Report(), limit_test_batches=1)
    trainer.test(small_model("iwae"), datamodule=SmallImages(eval_batch_size=1), verbose=False)
    written = json.loads((tmp_path / "metrics.json").read_text())["test"]
    assert written["log_likelihood/se"] is None
    assert written[f"log_likelihood/{K}"] < 0


@pytest.mark.parametrize("batch", [1, 4, 13])
def test_predictions_are_in_the_order_of_the_data(tmp_path: Path, batch: int) -> None:
    model, x = small_model("bernoulli"), whole_split("test").double()
    trainer = quiet_trainer(tmp_path, Predictions(k=K))
    trainer.predict(model, datamodule=SmallImages(eval_batch_size=batch), return_predictions=False)
    with np.load(tmp_path / "predictions.npz") as file:
        found = {name: torch.as_tensor(value) for name, value in file.items()}
    expected: dict[str, Tensor] = {
        "codes": model.codes(x),
        "reconstructions": model.reconstruct(x),
        "log_likelihood": model.log_likelihood(x, K),
        "k": torch.tensor(K),
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-10)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.npz"]  # and no half of one


@pytest.mark.parametrize("stages", ["test", ["valid"], ["val", "fit"]])
def test_a_stage_that_is_none_is_refused(stages: Any) -> None:
    with pytest.raises(ZooError, match="where a list of 'val' and 'test' was expected"):
        LogLikelihood(stages=stages)


@pytest.mark.parametrize(
    "twice",
    [
        lambda: [KLTerm(3), KLTerm(5)],
        lambda: [PosteriorVariance(), PosteriorVariance(0.5, ["test"])],
        lambda: [Pictures(stages=["val", "test"]), Pictures(stages=["val", "test"])],
    ],
)
def test_two_monitors_whose_numbers_have_the_same_names_are_refused(tmp_path: Path, twice: Callable[[], Any]) -> None:
    with pytest.raises(ZooError, match=r"two .* monitors would log numbers of the same names"):
        evaluate(tmp_path, small_model("iwae"), *twice())
    evaluate(tmp_path, small_model("iwae"), KLTerm(3, ["val"]), KLTerm(5, ["test"]))


def test_one_latent_dimension_is_a_list_of_one(tmp_path: Path) -> None:
    model = small_model("bernoulli", latent_dim=1)
    monitors = [PosteriorVariance(1e-9, cut_k=2), KLTerm(), Pictures(n=2)]
    found = evaluate(tmp_path, model, *monitors, Report())
    details = json.loads((tmp_path / "metrics.json").read_text())["details"]
    assert details["kl_spectrum"] == [pytest.approx(found["test/kl"])]
    assert details["posterior_variance_per_dimension"] == [pytest.approx(found["test/posterior_variance"])]
    assert sum(details["log_posterior_variance_active"]["counts"]) == SIZES[2]
