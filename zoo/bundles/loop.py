"""An epoch of training in which steps that nobody watches go without what surrounds a step."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor

from zoo.bundles.recorder import Recorder
from zoo.bundles.transfer import transfer_of
from zoo.optimizers import FusedAdam

PATIENCE = 0.5
"""For how many seconds at most nobody hears of a step, of a single process; several end at the same step."""


class BundledEpoch(_TrainingEpochLoop):
    """Lightning's loop over the batches of an epoch, which takes steps that nobody watches several at once.

    Such a step draws, differentiates and moves the weights as any other, in the same order with the same noise, and all
    counters count it; what is left out are the hooks before and after. A bundle ends before each step that is logged,
    that ends an epoch, the training or a stretch before validation, and after `n_steps`. So a checkpoint is never made
    within one, and the weights do not depend on where it ends. Only a recorded step goes unwatched: one that cannot be
    recorded may do more than move the weights.

    Args:
        loop: The loop that it stands for.
    """

    def __init__(self, loop: _TrainingEpochLoop) -> None:
        vars(self).update(vars(loop))
        self.n_steps = 1
        self.recorder: Recorder | None = None
        self._started, self._since = False, 0

    def begin(self, n_steps: int, recorder: Recorder) -> None:
        """Begins a run: whoever watches wants to hear of one in `n_steps` steps, at least."""
        self.n_steps, self.recorder, self._started = n_steps, recorder, False
        self._transfer: Callable[[Any], Any] = transfer_of(self.trainer)
        optimizer = self.trainer.optimizers[0]
        self._move = optimizer.move if isinstance(optimizer, FusedAdam) else optimizer.step

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Takes the steps up to the next that is watched, and that one as Lightning does."""
        if self.recorder is not None:
            self.recorder.look()
        if self.n_steps > 1 and self._started and self.recorder is not None and self.recorder.ready:
            until = time.monotonic() + PATIENCE
            try:
                while self._unwatched() and (self.trainer.world_size > 1 or time.monotonic() < until):
                    self._step(data_fetcher, self.recorder)
            finally:
                self.recorder.settle()
        self._since = 0
        super().advance(data_fetcher)
        self._started = True  # the first step of a run is watched

    def _unwatched(self) -> bool:
        """Whether nobody asks for anything at the next step; the same on all ranks."""
        trainer, step, index = self.trainer, self.global_step + 1, self.batch_progress.current.ready + 1
        alone_asked = trainer.world_size == 1 and (trainer.should_stop or trainer.received_sigterm)
        ends = index >= trainer.num_training_batches or step == self.max_steps
        often: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        logs = often and (step % often == 0 or (self._batches_that_stepped + 1) % often == 0)
        full = self._since + 1 >= self.n_steps
        accumulates = trainer.accumulate_grad_batches != 1  # which a callback may change between epochs
        return not (alone_asked or ends or logs or accumulates or full or self._before_validation(index))

    def _before_validation(self, index: int) -> bool:
        often, total = self.trainer.val_check_batch, self.batch_progress.total.ready + 1
        return bool(often) and (index % often == 0 or total % often == 0)

    def _step(self, data_fetcher: _DataFetcher, recorder: Recorder) -> None:
        trainer, index = self.trainer, self.batch_idx + 1
        model: Any = trainer.lightning_module
        batch, _, _ = next(data_fetcher)
        self.batch_progress.is_last_batch = data_fetcher.done
        batch = self._transfer(batch)
        model.on_train_batch_start(batch, index)
        x = model.trained_on(batch, index)
        if recorder.step(x) is not None and recorder.moving is not None:
            recorder.moving(x)
        else:
            with trainer.precision_plugin.train_step_context():
                model.differentiate(x)
            if trainer.world_size > 1:
                _share_gradients(model.parameters(), trainer.world_size)
            self._move()
        self._count()
        self._since += 1

    def _count(self) -> None:
        """Counts a step as Lightning does."""
        progress, optimizer = self.batch_progress, self.automatic_optimization.optim_progress.optimizer
        progress.increment_ready()
        progress.increment_started()
        optimizer.zero_grad.increment_ready()
        optimizer.zero_grad.increment_started()
        optimizer.zero_grad.increment_completed()
        optimizer.step.increment_ready()
        optimizer.step.increment_completed()
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        progress.increment_completed()
        self.update_lr_schedulers("step", update_plateau_schedulers=True)
        self._batches_that_stepped += 1


def _share_gradients(parameters: Iterable[Tensor], n_ranks: int) -> None:
    """Makes each gradient the mean over ranks."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    flat = torch.cat([each.reshape(-1) for each in gradients]) / n_ranks
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
