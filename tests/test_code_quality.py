"""What codes say about labels: classifiers against codes that are known, and on any number of ranks."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from callbacks import CodeQuality
from datamodules import Dynamic, Grey, Images, LinearGaussian, Splits
from tests.linear import exact_model, linear_model, same
from tests.ranks import ON_RANKS, trainer_of
from tests.small import SIZES, SmallImages, quiet_trainer, small_model
from zoo import GaussianVAE, LatentVariableModel
from zoo.cli import main
from zoo.errors import ZooError
from zoo.measures.classifiers import linear_probe, nearest_neighbours

pytestmark = ON_RANKS

NAMES = {
    "linear_probe",
    "linear_probe/se",
    "linear_probe_train",
    "nearest_neighbours",
    "nearest_neighbours/se",
    "chance",
}


class Labelled(SmallImages):
    """The small images in the order of their labels, as a data set may be."""

    def __init__(self, label: Callable[[Tensor], Tensor], sizes: tuple[int, int, int] = SIZES, **options: Any) -> None:
        super().__init__(sizes, **options)
        self.label = label

    def load(self) -> Splits:
        splits = super().load()
        return Splits(*(Images(part.images, self.label(part.images)) for part in splits))


def third(images: Tensor) -> Tensor:
    """Three classes in order."""
    return torch.arange(len(images)) * 3 // len(images)


def of_pixels(images: Tensor) -> Tensor:
    """Whether the first pixels are bright: what a code may know."""
    return (images.flatten(1)[:, :4].double().mean(1) > 128).long()


def evaluate(
    folder: Path,
    model: pl.LightningModule,
    data: pl.LightningDataModule,
    ranks: int = 1,
    stage: str = "test",
    **arguments: Any,
) -> dict[str, float]:
    """What is logged of a split, its names without the stage and the family."""
    trainer = trainer_of(ranks, folder, CodeQuality(**{"n_neighbours": 3, "stages": ("val", "test")} | arguments))
    run = trainer.test if stage == "test" else trainer.validate
    run(model, datamodule=data, verbose=False)
    family, found = f"{stage}/code_quality/", trainer.callback_metrics.items()
    return {name.removeprefix(family): float(value) for name, value in found if name.startswith(family)}


class Given(GaussianVAE):
    """A model whose codes are a function of the pixels that is given."""

    of: Callable[[Tensor], Tensor]

    def codes(self, x: Tensor) -> Tensor:
        return self.of(x)


def given(of: Callable[[Tensor], Tensor]) -> LatentVariableModel:
    model = Given(x_shape=(1, 5, 4), latent_dim=3)
    model.of = of
    return model


# --- the monitor


@pytest.mark.parametrize("batch", [1, 4, 13])
@pytest.mark.parametrize("stage", ["val", "test"])
def test_what_is_logged_is_that_of_the_split(tmp_path: Path, batch: int, stage: str) -> None:
    model, data = small_model("bernoulli"), Labelled(of_pixels, (101, 41, 43), eval_batch_size=batch)
    found = evaluate(tmp_path, model, data, stage=stage, n_train=50)
    x, labels = map(torch.cat, zip(*data.training_batches(50), strict=True))
    part = getattr(data.splits, stage)
    codes, own = model.codes(x), model.codes(part.images / 255.0)
    probe, neighbours = linear_probe(codes, labels), nearest_neighbours(codes, labels, 3)
    right = {"linear_probe": probe(own), "nearest_neighbours": neighbours(own), "chance": labels.mode().values}
    expected = {"linear_probe_train": float((probe(codes) == labels).double().mean())}
    for name, predicted in right.items():
        each = (predicted == part.labels).double()
        expected |= {name: float(each.mean()), f"{name}/se": float(each.std() / math.sqrt(len(each)))}
    del expected["chance/se"]
    assert found == pytest.approx(expected, rel=0, abs=1e-10)


def test_codes_that_are_the_class_are_right_and_constant_ones_are_chance(tmp_path: Path) -> None:
    data = Labelled(of_pixels, (101, 11, 43), pixels=Grey())

    def one_hot(x: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((x.flatten(1)[:, :4].mean(1) > 128 / 255).long(), 3).double()

    found = evaluate(tmp_path, given(one_hot), data)
    assert found["linear_probe"] == found["linear_probe_train"] == found["nearest_neighbours"] == 1
    found = evaluate(tmp_path, given(lambda x: torch.zeros(len(x), 3)), data)
    assert found["linear_probe"] == found["chance"] < 1
    commonest = of_pixels(data.splits.train.images).mode().values
    same(torch.tensor(found["chance"]), (of_pixels(data.splits.test.images) == commonest).double().mean())


@pytest.mark.parametrize("name", ["iwae", "prior"])
@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_change_nothing(tmp_path: Path, ranks: int, stage: str, name: str) -> None:
    """Of prior sampling many images have the same code, so that neighbours are equally far."""
    model, data = small_model(name), Labelled(third, (53, 11, 13), eval_batch_size=13)
    one = evaluate(tmp_path, model, data, stage=stage)
    many = evaluate(tmp_path, model, Labelled(third, (53, 11, 13), eval_batch_size=2), ranks, stage)
    assert one.keys() == NAMES
    assert many == pytest.approx(one, rel=0, abs=1e-10)


def test_it_changes_no_training(tmp_path: Path) -> None:
    weights, states = [], []
    for monitors in ([], [CodeQuality(20, 3, ("val",))]):
        model, data = small_model("iwae"), Labelled(third, pixels=Dynamic())
        trainer = quiet_trainer(tmp_path, *monitors, max_epochs=3, val_check_interval=2)
        trainer.fit(model, datamodule=data)
        assert any("code_quality" in name for name in trainer.callback_metrics) == bool(monitors)
        weights.append(model.state_dict())
        states.append(torch.get_rng_state())
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name])
    assert torch.equal(*states)


def test_training_batches_are_the_same_at_every_call_and_leave_the_order_alone(own_place: None) -> None:
    data = Labelled(of_pixels, pixels=Dynamic(), eval_batch_size=4)
    data.setup("fit")
    before = data.train_dataloader().state_dict()
    first, again = list(data.training_batches(10)), list(data.training_batches(10))
    assert [len(batch.x) for batch in first] == [4, 4, 2]
    assert all(torch.equal(a.x, b.x) and torch.equal(a.y, b.y) for a, b in zip(first, again, strict=True))
    assert data.train_dataloader().state_dict() == before
    every = torch.cat([batch.y for batch in data.training_batches(10_000)])
    assert every.sum() == of_pixels(data.splits.train.images).sum() and len(every) == SIZES[0]
    assert set(torch.cat([batch.x for batch in first]).unique().tolist()) == {0.0, 1.0}
    with pytest.raises(ValueError, match="the number of examples is 0"):
        next(data.training_batches(0))


def test_training_batches_are_not_in_the_order_of_the_classes() -> None:
    labels = torch.cat([batch.y for batch in Labelled(third, (300, 11, 13)).training_batches(100)])
    assert labels.unique().tolist() == [0, 1, 2]
    assert not torch.equal(labels, labels.sort().values)


class Signs(LinearGaussian):
    """Linear data labelled by the sign of the first latent of the best posterior mean."""

    def load(self) -> Splits:
        return Splits(*(Images(part.images, self.sign(part.images)) for part in super().load()))

    def sign(self, x: Tensor) -> Tensor:
        return (self.best_diagonal_posterior(x).mean[:, 0] > 0).long()


def test_exact_codes_of_linear_data_hold_what_blind_ones_do_not(tmp_path: Path) -> None:
    data = Signs(latent_dim=3, n_train=400, n_val=0, n_test=201)
    found = evaluate(tmp_path, exact_model(GaussianVAE, data), data)
    assert found["linear_probe"] > 0.97 and found["linear_probe_train"] > 0.97 and found["nearest_neighbours"] > 0.85
    blind = linear_model(GaussianVAE, data)
    with torch.no_grad():
        blind.encoder.layers[0].weight.zero_()
    found = evaluate(tmp_path, blind, data)
    assert found["linear_probe"] == found["chance"]


# --- what has no labels


def unlabelled(images: Tensor) -> Tensor:
    return torch.full((len(images),), -1)


def few(images: Tensor) -> Tensor:
    return torch.where(torch.arange(len(images)) % 2 == 0, third(images), -1)


@pytest.mark.parametrize(
    ("data", "arguments", "sentence"),
    [
        (SmallImages(), {}, "there are 0 of 0 classes"),
        (Labelled(unlabelled), {}, "there are 0 of 0 classes"),
        (Labelled(lambda images: torch.full((len(images),), 7)), {}, "there are 23 of 1 classes"),
        (Labelled(third), {"n_neighbours": 24}, r"n_neighbours is 24), and there are 23 of 3 classes"),
        (Labelled(lambda images: third(images) if len(images) == SIZES[0] else unlabelled(images)), {}, "no image of"),
    ],
)
def test_data_that_have_no_labels_are_tested_with_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: SmallImages, arguments: dict[str, int], sentence: str
) -> None:
    assert evaluate(tmp_path, small_model("bernoulli"), data, **arguments) == {}
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize("ranks", [1, 3])
def test_examples_without_a_label_are_left_out(tmp_path: Path, ranks: int) -> None:
    """Of the test, ranks 0, 1 and 2 of three hold three, two and two that have one."""
    model, data = small_model("bernoulli"), Labelled(few, eval_batch_size=1)
    found = evaluate(tmp_path, model, data, ranks)
    known = data.splits.test.labels >= 0
    x, labels = map(torch.cat, zip(*data.training_batches(100), strict=True))
    assert int((labels >= 0).sum()) == 12 and int(known.sum()) == 7
    probe = linear_probe(model.codes(x[labels >= 0]), labels[labels >= 0])
    right = probe(model.codes(data.splits.test.images[known] / 255.0)) == data.splits.test.labels[known]
    assert found["linear_probe"] == pytest.approx(float(right.double().mean()), abs=1e-12)


def test_a_probe_that_has_not_converged_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callbacks.code_quality.linear_probe", lambda *given: linear_probe(*given, max_iter=1))
    assert evaluate(tmp_path, small_model("bernoulli"), Labelled(third)).keys() == NAMES
    assert "has not converged" in capsys.readouterr().out


# --- as a user meets it


@pytest.mark.parametrize("arguments", [{"n_train": 0}, {"n_neighbours": 0}, {"n_train": 2.5}])
def test_bad_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ZooError, match=f"{next(iter(arguments))} is .*, where an integer of at least 1"):
        CodeQuality(**arguments)


def test_data_without_training_batches_are_refused_before_the_training(tmp_path: Path) -> None:
    loader = torch.utils.data.DataLoader(torch.rand(10, 1, 5, 4))
    with pytest.raises(ZooError, match="NoneType has no training_batches: pass a data module that derives from"):
        quiet_trainer(tmp_path, CodeQuality()).fit(small_model("gaussian"), loader, loader)


def test_it_is_added_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_place: None, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    options = [
        "--data=LinearGaussian",
        "--model=GaussianVAE",
        "--trainer.fast_dev_run=true",
        "--pictures.stages=[]",
        "--trainer.accelerator=cpu",
    ]
    main(["fit", *options, "--trainer.callbacks+=CodeQuality", "--trainer.callbacks.n_train=50"])
    assert "there are 0 of 0 classes" in " ".join(capsys.readouterr().out.split())
