"""What is logged is what it is called: compared with the same number made by hand over the whole split."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import zoo
from tests.small import SmallImages

MODELS = {
    "vae": (zoo.BernoulliVAE, {"k": 2}),
    "one-draw": (zoo.BernoulliVAE, {"closed_form_kl": False}),
    "beta": (zoo.BernoulliVAE, {"kl_weight": 3.0}),
    "iwae": (zoo.IWAE, {"k": 4}),
    "prior": (zoo.PriorSampling, {"k": 4}),
    "prior-fresh": (zoo.PriorSampling, {"k": 4, "share_draws": False}),
}


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return pl.Trainer(accelerator="cpu", logger=False, default_root_dir=folder, **quiet, **options)


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize("name", MODELS)
def test_the_logged_terms_are_those_of_the_whole_split(name: str, stage: str, tmp_path: Path) -> None:
    cls, options = MODELS[name]
    model, data = cls(x_shape=SmallImages.x_shape, latent_dim=3, **options), SmallImages(eval_batch_size=4)
    run = trainer(tmp_path)
    (logged,) = (run.validate if stage == "val" else run.test)(model, datamodule=data, verbose=False)
    x = (data.splits.val if stage == "val" else data.splits.test).images / 255
    draw = model.eval().evaluation_draw(x)
    expected = {"objective": model.objective(draw).mean(), "log_px": draw.log_px.mean()}
    if model.has_encoder:
        mean, log_std = model.encoder(x).unbind(-2)
        expected["kl"] = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1).mean()
    expected["elbo"] = expected["log_px"] - expected.get("kl", 0)
    if name != "beta":
        expected["bound"] = expected["objective"]
    assert logged == pytest.approx({f"{stage}/{key}": value.item() for key, value in expected.items()}, abs=1e-10)


def test_the_objective_of_an_iwae_is_its_log_likelihood_of_the_same_k(tmp_path: Path) -> None:
    model, data = zoo.IWAE(x_shape=SmallImages.x_shape, latent_dim=3, k=4), SmallImages()
    (logged,) = trainer(tmp_path).test(model, datamodule=data, verbose=False)
    by_hand = model.log_likelihood(data.splits.test.images / 255, k=4).mean()
    assert logged["test/objective"] == pytest.approx(by_hand.item(), abs=1e-10)


def test_a_warmup_is_logged_as_objective_and_as_a_bound_only_where_it_is_one(tmp_path: Path) -> None:
    class Record(pl.Callback):
        def __init__(self) -> None:
            self.steps: list[dict[str, float]] = []

        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            self.steps.append({name: float(value) for name, value in trainer.callback_metrics.items()})

    record = Record()
    model = zoo.BernoulliVAE(x_shape=SmallImages.x_shape, latent_dim=3, kl_warmup_steps=4)
    run = trainer(tmp_path, max_steps=6, callbacks=[record], log_every_n_steps=1, limit_val_batches=0)
    run.fit(model, datamodule=SmallImages())
    for step, logged in enumerate(record.steps):
        weight = min(1.0, step / 4)
        assert logged["train/objective"] == pytest.approx(logged["train/log_px"] - weight * logged["train/kl"])
        assert ("train/bound" in logged) == (weight == 1)
    (after,) = trainer(tmp_path).validate(model, datamodule=SmallImages(), verbose=False)
    assert after["val/bound"] == after["val/objective"] == pytest.approx(after["val/elbo"])


def test_an_aborted_validation_leaves_nothing_behind(tmp_path: Path) -> None:
    class Abort(pl.Callback):
        def on_validation_batch_end(self, *_: Any) -> None:
            raise InterruptedError

    model, data = zoo.IWAE(x_shape=SmallImages.x_shape, latent_dim=3), SmallImages()
    (expected,) = trainer(tmp_path).test(model, datamodule=data, verbose=False)
    with pytest.raises(InterruptedError):
        trainer(tmp_path, callbacks=[Abort()]).validate(model, datamodule=data, verbose=False)
    (found,) = trainer(tmp_path).test(model, datamodule=data, verbose=False)
    assert found == expected and torch.isfinite(torch.tensor(list(found.values()))).all()
