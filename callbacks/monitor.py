"""The base of all monitors: a metric that reads the draws of validation and test, and what it logs of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torchmetrics import Metric

from callbacks.exhibits import log_details
from callbacks.protocols import Weighs
from zoo.checks import check_counts
from zoo.draw import Draw
from zoo.errors import ZooError
from zoo.metrics import Binned
from zoo.steps import examples, labels

Stage = Literal["val", "test"]

Details = dict[str, list[float] | Binned]
"""What is more than a number, by its name: columns and histograms."""


class Monitor(pl.Callback, ABC):
    """Feeds a metric with the draws of a split and logs what it computes.

    A leaf makes the `metrics`, takes in a batch in `update` and names its numbers in `compute`.

    Args:
        stages: Where it watches: in validation (`val`), in `test` or in both.
        every_n_epochs: In validation, how often; None for ten times a run.

    Attributes:
        data: The data module that is watched, if there is one.
        labels: The labels of the batch that is taken in, (B,); -1 for an example that has none.
        found: The `details` of the last split.
        note: What a reader of the test should know before believing its numbers; printed at its end.
        stale: What it logged of an earlier split and not of this one, of which Lightning keeps the old numbers.

    Raises:
        ZooError: every_n_epochs is below 1, or a stage is neither val nor test.
    """

    units: ClassVar[Mapping[str, str]] = {}
    """The unit of each number, by the beginning of its name."""

    family: str = ""
    """How the names of its numbers begin, where not those of all of its class begin alike."""

    def __init__(self, stages: Sequence[Stage] = ("test",), every_n_epochs: int | None = 1) -> None:
        if isinstance(stages, str) or not {*stages} <= {*get_args(Stage)}:
            raise ZooError(f"stages is {stages!r}, where a list of 'val' and 'test' was expected, as ['val', 'test'].")
        if every_n_epochs is not None:
            check_counts(every_n_epochs=every_n_epochs)
        self.stages, self.every_n_epochs = tuple(stages), every_n_epochs
        self.data: Any = None
        self.labels = torch.empty(0)
        self.found: Details = {}
        self.note = ""
        self._rank, self._ranks = 0, 1
        self._metrics: list[Metric] = []
        self._fresh: set[str] = set()
        self.stale: set[str] = set()

    @abstractmethod
    def metrics(self, model: Weighs) -> list[Metric]:
        """The metrics of a split, new and empty; none where the model has nothing to watch."""

    @abstractmethod
    def update(self, model: Weighs, draw: Draw, x: Tensor) -> None:
        """Takes in a batch x (B, *x_shape) and its draw."""

    @abstractmethod
    def compute(self, model: Weighs) -> dict[str, Tensor]:
        """The numbers of the split, by their names."""

    def details(self, model: Weighs) -> Details:
        """What is more than a number: for the loggers, and of a test for `metrics.json`."""
        return {}

    def own_share(self, n: int) -> int:
        """How many of the first n examples of a split are this rank's: rank r of R holds r, r + R, r + 2R, ..."""
        return len(range(self._rank, n, self._ranks))

    def names(self, model: Any) -> str:
        """What sets the names of its numbers apart from those of another monitor of its class."""
        return ""

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Refuses two monitors whose numbers have the same names: Lightning would log a mixture.

        Raises:
            ZooError: There are two.
        """
        for other in monitors(trainer):
            alike = type(other) is type(self) and other.family == self.family
            same = alike and other.names(pl_module) == self.names(pl_module)
            if other is not self and same and not {*self.stages}.isdisjoint(other.stages):
                raise ZooError(
                    f"two {type(self).__name__} monitors would log numbers of the same names: give them stages that are"
                    " apart, or take one alone."
                )

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins anew."""
        self._start(trainer, pl_module, "val")

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins anew."""
        self._start(trainer, pl_module, "test")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes in a batch."""
        self._feed(pl_module, outputs, batch)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Takes in a batch."""
        self._feed(pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Logs."""
        self._finish(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Logs."""
        self._finish(trainer, pl_module, "test")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Prints the note of a validation by itself."""
        if trainer.state.fn == "validate":
            self._print_note()

    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Prints the note, where there is one."""
        self._print_note()

    @rank_zero_only
    def _print_note(self) -> None:
        if self.note:
            print(self.note)

    def _start(self, trainer: pl.Trainer, model: Any, stage: Stage) -> None:
        watches = stage in self.stages and not trainer.sanity_checking
        if stage == "val" and trainer.state.fn == "fit":
            often = self.every_n_epochs or math.ceil(_epochs(trainer) / 10)
            watches = watches and (trainer.current_epoch + 1) % often == 0
        self.data = trainer.datamodule  # type: ignore[attr-defined]
        self.stale, self._fresh = self.stale | self._fresh, set()
        self.found, self.note, self._rank, self._ranks = {}, "", trainer.global_rank, trainer.world_size
        self._metrics = [metric.to(model.device) for metric in self.metrics(model)] if watches else []

    def _feed(self, model: Any, draw: Draw, batch: Any) -> None:
        if self._metrics:
            self.labels = labels(batch)
            self.update(model, draw, examples(batch))

    def _finish(self, trainer: pl.Trainer, model: Any, stage: Stage) -> None:
        if self._metrics:
            values = self.compute(model)
            log_split(model, stage, values)
            self._fresh = {f"{stage}/{name}" for name in values}
            self.stale -= self._fresh
            self.found = self.details(model)
            log_details(trainer, stage, self.found)


def _epochs(trainer: pl.Trainer) -> float:
    """How many epochs a run goes on at most; 1 where nothing says so."""
    by_epochs, by_steps = trainer.max_epochs or -1, trainer.max_steps / trainer.num_training_batches
    return min((epochs for epochs in (by_epochs, by_steps) if epochs > 0), default=1)


def log_split(model: Any, stage: Stage, values: dict[str, Tensor]) -> None:
    """Logs the numbers of a split, which are equal on all ranks, and so is their mean."""
    model.log_dict({f"{stage}/{name}": value for name, value in values.items()}, sync_dist=True, batch_size=1)


def monitors(trainer: pl.Trainer) -> list[Monitor]:
    """The monitors of a run."""
    return [each for each in trainer.callbacks if isinstance(each, Monitor)]  # type: ignore[attr-defined]


def logged(trainer: pl.Trainer, stage: str) -> dict[str, float]:
    """What was logged of this split, by its name without the stage."""
    stale = {name for monitor in monitors(trainer) for name in monitor.stale}
    metrics = {name: value.item() for name, value in trainer.callback_metrics.items() if name not in stale}
    return {name.partition("/")[2]: metrics[name] for name in metrics if name.startswith(f"{stage}/")}


def details(trainer: pl.Trainer) -> Details:
    """What the monitors of a run found that is more than a number."""
    return {name: values for monitor in monitors(trainer) for name, values in monitor.found.items()}
