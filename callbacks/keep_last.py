"""A last checkpoint that is always whole, and a Ctrl-C that loses nothing."""

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from zoo.errors import ZooError


class Stopped(Exception):
    """Training was stopped by Ctrl-C after a whole step, and saved.

    Args:
        checkpoint: Where the run goes on from.
    """

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(f"stopped and saved: {checkpoint}")
        self.checkpoint = checkpoint


class KeepLast(Checkpoint):
    """Keeps `checkpoints/last.ckpt` in the folder of the run: every few minutes, at the end and at Ctrl-C.

    The first Ctrl-C lets the step finish (and a validation, or the gradient's other batches, that belong to it),
    saves and stops; the second aborts at once. A run that goes on from there ends with the same weights as one that
    was never stopped.

    Args:
        every_minutes: How often to save; 0 is after every step.

    Raises:
        ZooError: every_minutes is negative.
        Stopped: From the end of the step in which Ctrl-C came.
    """

    def __init__(self, every_minutes: float = 1.0) -> None:
        if every_minutes < 0:
            raise ZooError(f"every_minutes is {every_minutes}, where 0 or more was expected.")
        self.every_minutes = every_minutes
        self._asked, self._saved, self._before = False, 0.0, None

    @property
    def patient(self) -> bool:
        """Whether it may be called after a bundle of steps: not where it saves after each."""
        return self.every_minutes > 0

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Takes the last place, so that what is saved holds what all others made of a validation."""
        trainer.callbacks = [each for each in trainer.callbacks if each is not self] + [self]  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Takes Ctrl-C, and starts the clock."""
        self._asked, self._saved = False, time.monotonic()
        try:
            self._before = signal.signal(signal.SIGINT, self._ask)
        except ValueError:  # only a main thread can take signals
            self._before = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Saves and stops, unless a validation or the epoch's end follows: resumed from here, they would be lost."""
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        assert fetcher is not None  # a batch has just come out of it
        if not loop._is_training_done and not loop._should_check_val_fx(fetcher):
            self._save_or_stop(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Saves and stops, after a validation within an epoch."""
        within = trainer.state.fn == "fit" and not trainer.sanity_checking
        if within and not trainer.fit_loop.epoch_loop._is_training_done:
            self._save_or_stop(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Saves and stops, unless this was the last step of all: then the end of training does."""
        if trainer.global_step != trainer.max_steps:
            self._save_or_stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Saves, and gives Ctrl-C back."""
        self._save(trainer)
        self._release()
        if _by_any(trainer, self._asked):
            raise Stopped(self.path(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Gives Ctrl-C back."""
        self._release()

    @staticmethod
    def path(trainer: pl.Trainer) -> Path:
        """Where the last checkpoint stands."""
        return Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def _save_or_stop(self, trainer: pl.Trainer) -> None:
        """Saves where it is time, and stops where it was asked to; on all ranks at the same step."""
        if trainer.fit_loop._should_accumulate():  # no checkpoint holds half of a gradient
            return
        asked = _by_any(trainer, self._asked)
        if _by_any(trainer, time.monotonic() - self._saved >= 60 * self.every_minutes) or asked:
            self._save(trainer)
        if asked:
            raise Stopped(self.path(trainer))

    def _save(self, trainer: pl.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.path(trainer))
            self._saved = time.monotonic()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        print("\nfinishing this step; Ctrl-C again aborts at once", flush=True)
        self._asked = True
        # Not what held before: a shell starts what it puts in the background with Ctrl-C ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _release(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


def _by_any(trainer: pl.Trainer, decision: bool) -> bool:
    """Whether any rank decided so."""
    if trainer.world_size == 1:
        return decision
    return trainer.strategy.reduce_boolean_decision(decision, all=False)
