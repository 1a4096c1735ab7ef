"""Who keeps the recorded step of a run, and says why there is none."""

import gc
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from zoo.bundles.adam import PlainAdam
from zoo.bundles.moving import MovingStep
from zoo.bundles.purity import Unrecordable, state
from zoo.bundles.recording import RecordedStep
from zoo.bundles.shares import compile_step
from zoo.compiling import compiles
from zoo.keeping import buffers_kept
from zoo.optimizers import FusedAdam

TIMES = 3
"""How often a step is recorded, anew where something that it holds has changed between two steps."""


class Recorder:
    """Records the step of a model at its first batch, and anew where the model has changed.

    Args:
        model: The model that is trained.
        calls: How many steps it is trained for.
        compile: Whether to compile the step; by default where that pays: see `zoo.compiling.compiles`.
        optimizer: Adam, where its moves may be compiled with the step.
    """

    def __init__(
        self, model: pl.LightningModule, calls: float, compile: bool | None = None, optimizer: FusedAdam | None = None
    ) -> None:
        self.model, self.calls, self.compile, self.optimizer = model, calls, compile, optimizer
        self._step: RecordedStep | None = None
        self._state: list[Any] = []
        self._times = self._joins = 0
        self.moving: MovingStep | None = None
        self._aside = False

    @property
    def ready(self) -> bool:
        """Whether there is a recorded step."""
        return self._step is not None

    def look(self) -> None:
        """Forgets a step whose model has changed: to be called wherever a hook may have changed it."""
        if self._step is not None:
            changed = state(self.model) != self._state
            if self.model.trainer.strategy.reduce_boolean_decision(changed, all=False):
                self._step = self.moving = None
        if self.moving is not None and not self.moving.holds():
            self.moving = None

    def step(self, x: Tensor) -> RecordedStep | None:
        """The recorded step of such a batch, where there is one."""
        if self._step is None and self._times <= TIMES and not self._ends_epoch():
            self._times += 1
            self._record(x)
        if self._step is None or not self._step.fits(x):
            return None
        if (
            self.moving is None
            and self._joins < TIMES
            and self.optimizer is not None
            and self._step.compiled is not None
        ):
            self._join(self._step, self.optimizer, x)
        return self._step

    def moves(self, xs: Sequence[Tensor]) -> list[Callable[[Tensor], None]] | None:
        """The compiled moves by such batches, one after the other, where there are some."""
        fit = all([self.step(x) is not None for x in xs])
        return self.moving.moves(len(xs)) if self.moving is not None and fit else None

    def move(self, otherwise: Callable[[], Any]) -> None:
        """Moves the weights by the gradients that they have: by compiled code, where there is some for them."""
        if self.moving is not None and self.moving.has_gradients:
            self.moving.by_gradients()
            return
        if self.moving is not None:
            self.moving.settle()  # before others read how many moves there were
        otherwise()

    def settle(self) -> None:
        """Ends a bundle: the optimiser's state tells its moves, and Python leaves what is there by now be."""
        if self.moving is not None:
            self.moving.settle()
        if not self._aside:
            gc.collect(1)  # what recording left
            gc.freeze()  # a search for garbage in all of torch and its compiler takes as long as a hundred steps
            self._aside = True

    def close(self) -> None:
        """Has Python look for garbage everywhere again."""
        if self._aside:
            gc.unfreeze()
            self._aside = False

    def _join(self, step: RecordedStep, optimizer: FusedAdam, x: Tensor) -> None:
        if not optimizer.state:
            return  # it is there after the first step
        self._joins += 1
        try:
            if PlainAdam(optimizer, step.differentiated).possible:
                self.moving = MovingStep(step, optimizer, x)
        except Unrecordable as reason:
            say(f"the step of {type(self.model).__name__} and Adam's move are compiled apart, since {reason}.")
        if self.moving is None:
            self._joins = TIMES

    def _record(self, x: Tensor) -> None:
        try:
            if self._times > TIMES:
                raise Unrecordable("its attributes change as it trains")
            with buffers_kept(self.model):  # a step is run several times to record it
                self._step, self._state = RecordedStep(self.model, x), state(self.model)
                if self._pays(self._step, x):
                    compile_step(self._step, x)
        except Unrecordable as reason:
            how = "compiled" if self.ready else "recorded: each step goes by itself, as it is written"
            say(f"the step of {type(self.model).__name__} is not {how}, since {reason}.")
        if not self.model.trainer.strategy.reduce_boolean_decision(self.ready):  # all ranks take bundles, or none
            self._step, self._times = None, TIMES + 1

    def _ends_epoch(self) -> bool:
        """Whether this batch is the last of several, and so perhaps a smaller one."""
        trainer = self.model.trainer
        return trainer.num_training_batches > 1 and trainer.fit_loop.epoch_loop.batch_progress.is_last_batch

    def _pays(self, step: RecordedStep, x: Tensor) -> bool:
        if self.compile is not None:
            return self.compile
        return compiles(self.calls, step.flops(x), x.device)


@rank_zero_only
def say(sentence: str) -> None:
    """Prints it, on one rank."""
    print(f"note: {sentence}")
