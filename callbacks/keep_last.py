"""A last checkpoint that is always whole, and a Ctrl-C that loses nothing."""

import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl


class Stopped(Exception):
    """Training was stopped by Ctrl-C after a whole step, and saved.

    Args:
        checkpoint: Where the run goes on from.
    """

    def __init__(self, checkpoint: Path) -> None:
        super().__init__(f"stopped and saved: {checkpoint}")
        self.checkpoint = checkpoint


class KeepLast(pl.Callback):
    """Keeps `checkpoints/last.ckpt` in the folder of the run: every few minutes, at the end and at Ctrl-C.

    The first Ctrl-C lets the step finish, saves and stops; the second aborts at once. A run that goes on from there
    ends with the same weights as one that was never stopped.

    Args:
        every_minutes: How often to save; 0 is after every step.

    Raises:
        Stopped: From the end of the step in which Ctrl-C came.
    """

    def __init__(self, every_minutes: float = 1.0) -> None:
        self.every_minutes = every_minutes
        self._asked, self._saved, self._before = False, 0.0, None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Takes Ctrl-C, and starts the clock."""
        self._asked, self._saved = False, time.monotonic()
        try:
            self._before = signal.signal(signal.SIGINT, self._ask)
        except ValueError:  # only a main thread can take signals
            self._before = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves, and stops where it was asked to; on all ranks at the same step."""
        asked, due = self._asked, time.monotonic() - self._saved >= 60 * self.every_minutes
        if trainer.world_size > 1:
            asked, due = (trainer.strategy.reduce_boolean_decision(each, all=False) for each in (asked, due))
        if asked or due:
            self._save(trainer)
        if asked:
            raise Stopped(self.path(trainer))

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Saves, and gives Ctrl-C back."""
        self._save(trainer)
        self._release()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Gives Ctrl-C back."""
        self._release()

    @staticmethod
    def path(trainer: pl.Trainer) -> Path:
        """Where the last checkpoint stands."""
        return Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def _save(self, trainer: pl.Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.path(trainer))
            self._saved = time.monotonic()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        print("\nfinishing this step; Ctrl-C again aborts at once", flush=True)
        self._asked = True
        self._release()

    def _release(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
