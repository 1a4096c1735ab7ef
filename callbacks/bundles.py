"""Training at the speed of its arithmetic."""

from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl

from zoo.bundles import Recorder, say, watchers
from zoo.bundles.loop import BundledEpoch
from zoo.bundles.moving import takes_over
from zoo.checks import check_counts
from zoo.denormals import flush_denormals
from zoo.errors import ZooError
from zoo.memory import keep_freed
from zoo.optimizers import FusedAdam
from zoo.steps import LightningSteps


class Bundles(pl.Callback):
    """Takes steps that nobody watches several at once, recorded, and compiled where that pays.

    The weights become what they become without it: the same operations run on the same batches with the same noise.
    Compiled they are those but for rounding. Numbers below 2^-126 are zero until the run ends: see `zoo.denormals`.
    What is left out of most steps is what surrounds them: hooks, and the building of distributions and of a graph for
    the gradient.

    A bundle ends where a step is logged, before a validation and at the end of an epoch, and after half a second of a
    single process, so that Ctrl-C and progress are served. Where something watches each step (a callback with hooks of
    a batch, clipping, accumulation, `log_every_n_steps` of 1, a model with a backward or an optimiser's step of its
    own) the steps go one by one, and a note says so. An objective that cannot be recorded, or compiled, is run as it is
    written, with a note; see `zoo.bundles.recording.RecordedStep` for what is recorded.

    Args:
        n_steps: How many steps there are at most from one whose hooks are called to the next; 1 is no bundle.
        compile: Whether to compile the step; by default where the steps to come would save more than that takes, by an
            estimate from sizes.

    Raises:
        ZooError: n_steps is below 1, or the model is none of this zoo.

    Example:
        >>> trainer = pl.Trainer(callbacks=[Bundles()], logger=False, enable_checkpointing=False, accelerator="cpu")
    """

    def __init__(self, n_steps: int = 50, compile: bool | None = None) -> None:
        check_counts(n_steps=n_steps)
        self.n_steps, self.compile = n_steps, compile
        self._undo = ExitStack()

    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Gives the trainer its loop, before the counters of a checkpoint are loaded into it."""
        if not isinstance(pl_module, LightningSteps):
            raise ZooError(f"Bundles takes steps of a model of this zoo, and {type(pl_module).__name__} is none.")
        loop: Any = trainer.fit_loop.epoch_loop
        keep_freed()
        self._undo.callback(flush_denormals, flush_denormals())
        if stage == "fit" and not isinstance(loop, BundledEpoch):
            trainer.fit_loop.epoch_loop = BundledEpoch(loop)

    def on_train_start(self, trainer: pl.Trainer, pl_module: LightningSteps) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Looks who watches, and says so."""
        reasons = [] if self.n_steps == 1 else list(watchers(trainer, pl_module))
        if reasons:
            say(f"steps go one by one, since {' and '.join(reasons)}.")
        calls, optimizer = trainer.estimated_stepping_batches, trainer.optimizers[0]
        alone = not reasons and self.n_steps > 1 and trainer.world_size == 1  # several share their gradients
        adam = optimizer if isinstance(optimizer, FusedAdam) and alone else None
        pl_module.recorder = recorder = Recorder(pl_module, calls, self.compile, adam)
        self._undo.callback(recorder.close)
        if adam is not None:
            self._undo.callback(takes_over(adam, recorder.move))
        loop: Any = trainer.fit_loop.epoch_loop
        loop.begin(1 if reasons else self.n_steps, recorder)

    def on_exception(self, trainer: pl.Trainer, pl_module: LightningSteps, exception: BaseException) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ends also where a run was stopped."""
        self.teardown(trainer, pl_module, "")

    def teardown(self, trainer: pl.Trainer, pl_module: LightningSteps, stage: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Forgets what was recorded, and undoes what was changed of the process and the optimiser."""
        pl_module.recorder = None
        self._undo.close()
