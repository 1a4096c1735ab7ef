"""Many processes: the same numbers as one, every example once, and noise of their own in training."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from callbacks import (
    GradientNoise,
    KeepLast,
    KLTerm,
    LogLikelihood,
    PosteriorVariance,
    Predictions,
    ResourceCompetition,
)
from datamodules import Images
from tests.ranks import ON_RANKS, trainer_of
from tests.small import MODELS, SIZES, SmallImages, small_model
from zoo import MLP, Draw

pytestmark = ON_RANKS


class Watch(pl.Callback):
    """Each rank writes what it saw and drew to a file of its own, since only logged numbers come back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, list[torch.Tensor]] = {"x": [], "noise": [], "test": []}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.seen["x"].append(batch.x)

    def on_test_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Draw, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.seen["test"].append(batch.x)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: Any, loss: torch.Tensor) -> None:
        self.seen["noise"].append(torch.rand(2))  # the next numbers of the generator stand for those before

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        record = {**self.seen, "weights": pl_module.state_dict()}
        torch.save(record, self.folder / f"{trainer.state.fn.value}-{trainer.global_rank}.pt")

    @staticmethod
    def read(folder: Path, stage: str, ranks: int) -> list[dict[str, Any]]:
        return [torch.load(folder / f"{stage}-{rank}.pt") for rank in range(ranks)]


BOTH = ("val", "test")
OF_A_BATCH = {f"{stage}/competition/{name}" for stage in BOTH for name in ("winners", "top_draw")}
"""What is about the batch of a rank, and so depends on both."""


def measure(ranks: int, folder: Path, name: str, batch: int) -> dict[str, float]:
    """Fits a model without moving its weights, validates it and tests it."""
    monitors = [
        LogLikelihood(7, BOTH), PosteriorVariance(0.001, BOTH, cut_k=3), KLTerm(7, BOTH), ResourceCompetition(BOTH),
        GradientNoise(5, 3, BOTH),
    ]  # fmt: skip
    data = SmallImages(eval_batch_size=batch)
    trainer = trainer_of(ranks, folder, *monitors, Watch(folder), max_epochs=1)
    model = small_model(name, optimizer=partial(torch.optim.SGD, lr=0.0))
    trainer.fit(model, datamodule=data)
    found = {f"fit-{key}": value for key, value in trainer.callback_metrics.items() if key.startswith("val/")}
    for run in (trainer.validate, trainer.test):
        run(model, datamodule=data, verbose=False)
        found |= trainer.callback_metrics
    return {key: float(value) for key, value in found.items() if key.removeprefix("fit-") not in OF_A_BATCH}


@pytest.mark.parametrize("name", MODELS)
def test_the_numbers_do_not_depend_on_ranks(tmp_path: Path, name: str) -> None:
    """Also where there are fewer examples than ranks times batch."""
    one = measure(1, tmp_path, name, 4)
    assert {"fit-val/objective", "val/objective", "test/objective"} < one.keys()
    assert ("test/log_likelihood_cut/3" in one) == (name != "prior")
    assert ("test/competition/entropy" in one) == (name == "prior")
    assert any(key.startswith("test/log_likelihood") for key in one)
    assert ("val/active_units" in one) == (name != "prior")
    for ranks, batch in ((2, 3), (3, 7)):
        assert measure(ranks, tmp_path, name, batch) == pytest.approx(one, rel=0, abs=1e-10)


@pytest.mark.parametrize("ranks", [2, 3])
def test_each_example_is_evaluated_once(tmp_path: Path, ranks: int) -> None:
    measure(ranks, tmp_path, "iwae", 3)
    parts = [torch.cat(record["test"]) for record in Watch.read(tmp_path, "test", ranks)]
    assert len({len(part) for part in parts}) == 2  # 13 examples: the ranks hold unequal numbers
    data = SmallImages()
    seen = sorted(map(tuple, torch.cat(parts).flatten(1).tolist()))
    assert seen == sorted(map(tuple, (data.splits.test.images / 255).flatten(1).tolist()))


@pytest.mark.parametrize("name", MODELS)
def test_default_ddp_trains(tmp_path: Path, name: str) -> None:
    """Without `find_unused_parameters`, which would hide parameters that no gradient reaches."""
    model = small_model(name)
    trainer_of(2, tmp_path, Watch(tmp_path), max_epochs=2).fit(model, datamodule=SmallImages())
    first, second = (record["weights"] for record in Watch.read(tmp_path, "fit", 2))
    before = small_model(name).state_dict()
    for key, value in first.items():
        assert torch.equal(value, second[key])
        assert not torch.equal(value, before[key]), f"{key} was not trained"


def test_each_rank_draws_its_own_noise_and_pixels(tmp_path: Path) -> None:
    """Of a data set of equal images, so that only the noise can tell the pixels of two ranks apart."""
    data = SmallImages()
    grey = torch.full_like(data.splits.train.images, 128)
    data.splits = data.splits._replace(train=Images(grey))
    trainer_of(2, tmp_path, Watch(tmp_path), max_epochs=2).fit(small_model("iwae"), datamodule=data)
    ranks = Watch.read(tmp_path, "fit", 2)
    for what in ("x", "noise"):
        drawn = [each for record in ranks for each in record[what]]
        assert len(drawn) == 2 * 2 * 3  # ranks, epochs, batches: 12 examples a rank in batches of 5
        assert len({tuple(each.flatten().tolist()[:40]) for each in drawn}) == len(drawn)


def test_predictions_are_those_of_one_process(tmp_path: Path) -> None:
    files = []
    for ranks, batch in ((1, 13), (2, 3)):
        path = tmp_path / f"{ranks}.npz"
        trainer = trainer_of(ranks, tmp_path, Predictions(k=7, path=str(path)))
        data = SmallImages(eval_batch_size=batch)
        trainer.predict(small_model("bernoulli"), datamodule=data, return_predictions=False)
        with np.load(path) as file:
            files.append(dict(file))
    one, many = files
    assert set(one) == set(many) == {"codes", "reconstructions", "log_likelihood", "k"}
    assert len(one["codes"]) == SIZES[2]
    for key in one:
        np.testing.assert_allclose(many[key], one[key], rtol=0, atol=1e-10)


class StopOne(pl.Callback):
    """Only the second rank is asked to stop."""

    def __init__(self, keep: KeepLast) -> None:
        self.keep = keep

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 3 and trainer.global_rank == 1:
            self.keep._asked = True


def test_ranks_stop_together_and_go_on(tmp_path: Path) -> None:
    """12 examples a rank in batches of 5 make 3 batches an epoch: the stop is within the second."""
    whole, last = tmp_path / "whole", tmp_path / "checkpoints" / "last.ckpt"
    whole.mkdir()
    trainer_of(2, whole, Watch(whole)).fit(small_model("iwae"), datamodule=SmallImages())
    keep = KeepLast()
    with pytest.raises(Exception, match="stopped and saved"):  # as the launcher hands it on from a rank
        trainer_of(2, tmp_path, keep, StopOne(keep)).fit(small_model("iwae"), datamodule=SmallImages())
    assert torch.load(last)["global_step"] == 4
    resumed = trainer_of(2, tmp_path, Watch(tmp_path))
    resumed.fit(small_model("iwae", seed=99), datamodule=SmallImages(), ckpt_path=last, weights_only=True)
    for end, other in zip(Watch.read(whole, "fit", 2), Watch.read(tmp_path, "fit", 2), strict=True):
        for key, value in end["weights"].items():
            assert torch.equal(value, other["weights"][key])


def test_a_part_without_gradient_is_refused_by_default_ddp(tmp_path: Path) -> None:
    """Without this, the tests of default DDP could not fail."""
    model = small_model("iwae")
    model.unused = MLP((2,), (2,), hidden=[])
    with pytest.raises(Exception, match="not used in producing"):
        trainer_of(2, tmp_path, max_epochs=2).fit(model, datamodule=SmallImages())


@pytest.mark.parametrize("stage", ["fit", "validate", "test"])
def test_fewer_examples_than_ranks_are_refused(tmp_path: Path, stage: str) -> None:
    data, trainer = SmallImages(sizes=(23, 2, 2)), trainer_of(3, tmp_path)
    with pytest.raises(Exception, match="holds 2 examples for 3 ranks"):  # as the launcher hands it on from a rank
        getattr(trainer, stage)(small_model("iwae"), datamodule=data)
