"""Data modules under a Trainer: every example in every stage, orders that resume."""

from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from datamodules import Batch, DataError, Dynamic, ImageDataModule, Static
from tests.toy import Toy

pytestmark = pytest.mark.usefixtures("own_place")


class Recorder(pl.LightningModule):
    """A model that remembers every batch it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.trained: list[Batch] = []
        self.validated: list[Batch] = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        self.trained.append(batch)
        return (self.scale * batch.x).mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.validated.append(batch)

    test_step = validation_step

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return batch.y

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def quiet_trainer(**options: Any) -> pl.Trainer:
    silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return pl.Trainer(accelerator="cpu", **(dict.fromkeys(silent, False) | options))


def labels(batches: list[Batch]) -> list[list[int]]:
    return [batch.y.tolist() for batch in batches]


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(torch.equal(p.x, q.x) and torch.equal(p.y, q.y) for p, q in zip(a, b, strict=True))


def fitted(data: ImageDataModule, **options: Any) -> Recorder:
    model = Recorder()
    quiet_trainer(**options).fit(model, data)
    return model


def test_a_trainer_sees_every_example_in_every_stage() -> None:
    data = Toy(batch_size=4, eval_batch_size=3)
    model = fitted(data, max_epochs=3, num_sanity_val_steps=0, reload_dataloaders_every_n_epochs=1)
    epochs = [labels(model.trained[i : i + 3]) for i in (0, 3, 6)]
    assert [sorted(chain(*epoch)) for epoch in epochs] == [list(range(11))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert labels(model.validated) == [[11, 12, 13], [14, 15]] * 3
    predicted = quiet_trainer().predict(model, data)
    assert predicted is not None
    assert torch.cat(predicted).tolist() == list(range(16, 23))


def test_the_order_follows_the_global_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fitted(Toy(batch_size=4), max_epochs=1).trained
    assert same(fitted(Toy(batch_size=4), max_epochs=1).trained, first)
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    assert not same(fitted(Toy(batch_size=4), max_epochs=1).trained, first)
    monkeypatch.delenv("PL_GLOBAL_SEED")
    torch.manual_seed(3)
    assert same(fitted(Toy(batch_size=4), max_epochs=1).trained, first)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_a_resumed_fit_sees_the_rest(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(Toy(batch_size=4, pixels=Dynamic()), max_steps=8).trained
    stopped, trainer = Recorder(), quiet_trainer(max_steps=stop)
    trainer.fit(stopped, Toy(batch_size=4, pixels=Dynamic()))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    monkeypatch.setenv("PL_GLOBAL_SEED", "4")
    resumed = Recorder()
    quiet_trainer(max_steps=8).fit(resumed, Toy(batch_size=4, pixels=Dynamic()), ckpt_path=tmp_path / "last.ckpt")
    assert same(stopped.trained + resumed.trained, whole)


def test_limited_epochs_walk_through_the_data() -> None:
    model = fitted(Toy(batch_size=4), max_epochs=3, limit_train_batches=1)
    assert sorted(chain(*labels(model.trained))) == list(range(11))


@pytest.mark.parametrize("overfit", [2, 0.7])
def test_overfitting_repeats_the_first_batches(overfit: float) -> None:
    model = fitted(Toy(batch_size=4, eval_batch_size=1), max_epochs=2, overfit_batches=overfit, num_sanity_val_steps=0)
    assert labels(model.trained) == [[0, 1, 2, 3], [4, 5, 6, 7]] * 2
    assert labels(model.validated) == [[11 + i] for i in range(2 if overfit == 2 else 3)] * 2


def test_a_validation_split_may_be_empty() -> None:
    with pytest.warns(UserWarning, match="is zero. Please make sure this was your intention"):
        model = fitted(Toy(sizes=(11, 0, 7), batch_size=4), max_epochs=1)
    assert len(model.trained) == 3
    assert not model.validated


def test_batches_have_the_precision_of_the_trainer() -> None:
    assert fitted(Toy(), max_steps=1, precision="64-true").trained[0].x.dtype == torch.float64


def test_a_run_goes_on_with_its_own_pixels_alone(tmp_path: Path) -> None:
    model, path = Recorder(), tmp_path / "a.ckpt"
    trainer = quiet_trainer(max_epochs=1)
    trainer.fit(model, Toy(pixels=Dynamic()))
    trainer.save_checkpoint(path)
    with pytest.raises(
        DataError, match=r"has dynamic pixels and these are static: resume with the same --data\.pixels"
    ):
        quiet_trainer(max_epochs=2).fit(Recorder(), Toy(pixels=Static()), ckpt_path=path, weights_only=True)
    quiet_trainer().test(
        model, Toy(pixels=Static()), ckpt_path=path, weights_only=True
    )  # what they are tested on is free
    quiet_trainer(max_epochs=2).fit(Recorder(), Toy(pixels=Dynamic()), ckpt_path=path, weights_only=True)
