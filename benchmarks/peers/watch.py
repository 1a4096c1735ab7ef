"""What a Lightning Trainer takes turns by: a callback of whole epochs, which no path of steps has to avoid."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from benchmarks.peers.net import REPEATS, tensors
from benchmarks.task import Task
from benchmarks.turns import Turns


class Watch(pl.Callback):
    """Begins at the weights of the task, and takes turns by the epoch."""

    def __init__(self) -> None:
        self.task, self.turns = Task.given(), Turns()
        self.x = torch.from_numpy(self.task.images()[: self.task.batch]).to(self.task.device)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Takes the weights."""
        with torch.no_grad():
            for own, weight in zip(pl_module.parameters(), tensors(self.task), strict=True):
                own.copy_(weight)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Ends a stretch and begins the next."""
        self.turns.wait(lambda: self._losses(pl_module))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The steps are done."""
        self._synchronise()
        self.turns.trained()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """The whole is done, but for what the Trainer does between two epochs."""
        self._synchronise()

    def loss(self, model: Any, x: Tensor) -> Tensor:
        """The loss of a batch, in nats an image."""
        return model.loss(x)

    def _synchronise(self) -> None:
        if self.task.device == "cuda":
            torch.cuda.synchronize()

    def _losses(self, model: Any) -> list[float]:
        with torch.no_grad(), torch.random.fork_rng():
            return [self.loss(model, self.x).item() for _ in range(REPEATS)]
