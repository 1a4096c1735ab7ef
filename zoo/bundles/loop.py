"""An epoch of training in which steps that nobody watches go without what surrounds a step."""

import math
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop
from torch import Tensor

from zoo.bundles.recorder import Recorder
from zoo.bundles.transfer import foreseeable, transfer_of
from zoo.cache import numbers_in_cache
from zoo.noise import seed_generators
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
        self._started = False

    def begin(self, n_steps: int, recorder: Recorder) -> None:
        """Begins a run: whoever watches wants to hear of one in `n_steps` steps, at least."""
        self.n_steps, self.recorder, self._started = n_steps, recorder, False
        self._pace = PATIENCE  # the seconds of a step, as far as is known
        self._transfer = transfer_of(self.trainer)
        by_step = any(each.interval == "step" for each in self.trainer.lr_scheduler_configs)
        self._ahead = foreseeable(self.trainer) and not by_step
        optimizer = self.trainer.optimizers[0]
        self._move = optimizer.move if isinstance(optimizer, FusedAdam) else optimizer.step

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Takes the steps up to the next that is watched, and that one as Lightning does."""
        if self.recorder is not None:
            self.recorder.look()
        if self.n_steps > 1 and self._started and self.recorder is not None and self.recorder.ready:
            try:
                self._bundle(data_fetcher, self.recorder)
            finally:
                self.recorder.settle()
        super().advance(data_fetcher)
        self._started = True  # the first step of a run is watched

    def _bundle(self, data_fetcher: _DataFetcher, recorder: Recorder) -> None:
        """Takes steps until one has to be watched."""
        until = time.perf_counter() + (PATIENCE if self.trainer.world_size == 1 else math.inf)
        left = self.n_steps - 1
        while (n := min(left, self._unwatched())) > 0 and (now := time.perf_counter()) < until:
            n = self._take(data_fetcher, recorder, int(min(n, max(1, (until - now) / self._pace))))
            self._pace = (time.perf_counter() - now) / n
            left -= n

    def _unwatched(self) -> float:
        """How many steps come before one at which somebody asks for something; the same on all ranks."""
        trainer, step, batches = self.trainer, self.global_step, self.batch_progress
        alone_asked = trainer.world_size == 1 and (trainer.should_stop or trainer.received_sigterm)
        if alone_asked or trainer.accumulate_grad_batches != 1:  # which a callback may change between epochs
            return 0
        often: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        logged = min(_to_multiple(n, often) for n in (step, self._batches_that_stepped))
        validated = min(_to_multiple(n, trainer.val_check_batch) for n in (batches.current.ready, batches.total.ready))
        epoch_ends = trainer.num_training_batches - batches.current.ready
        training_ends = self.max_steps - step if self.max_steps > 0 else math.inf
        return min(logged, validated, epoch_ends, training_ends) - 1

    def _take(self, data_fetcher: _DataFetcher, recorder: Recorder, n: int) -> int:
        """Takes n steps, or fewer where the batches of so many are better not held at once; returns how many."""
        index, model = self.batch_idx + 1, self._model()
        xs = self._batches(data_fetcher, index, n)
        moves = recorder.moves(xs) or [partial(self._move_by_gradient, recorder)] * len(xs)
        made = 0
        try:
            for x, seed, move in zip(xs, model.noise_seeds(index, len(xs)), moves, strict=True):
                seed_generators(seed)
                move(x)
                made += 1
        finally:
            self._count(made)
        return made

    def _batches(self, data_fetcher: _DataFetcher, index: int, n: int) -> list[Tensor]:
        """The next batches: several where they do not depend on the steps, as many as stay near the processor."""
        xs = [self._batch(data_fetcher, index)]
        n = min(n, numbers_in_cache(xs[0]) // xs[0].numel()) if self._ahead else 1
        xs += [self._batch(data_fetcher, index + i) for i in range(1, n)]
        self.batch_progress.is_last_batch = data_fetcher.done
        return xs

    def _batch(self, data_fetcher: _DataFetcher, index: int) -> Tensor:
        batch, _, _ = next(data_fetcher)
        return self._model().trained_on(self._transfer(batch), index)

    def _move_by_gradient(self, recorder: Recorder, x: Tensor) -> None:
        model, n_ranks = self._model(), self.trainer.world_size
        with self.trainer.precision_plugin.train_step_context():
            model.differentiate(x)
        if n_ranks > 1:
            _share_gradients(model.parameters(), n_ranks)
        recorder.move(self._move)

    def _model(self) -> Any:
        return self.trainer.lightning_module

    def _count(self, n: int) -> None:
        """Counts steps as Lightning does."""
        optimizer = self.automatic_optimization.optim_progress.optimizer
        self.batch_progress.increment_by(n, self.batch_progress.is_last_batch)
        optimizer.zero_grad.increment_by(n)
        optimizer.step.increment_by(n)
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        self.update_lr_schedulers("step", update_plateau_schedulers=True)
        self._batches_that_stepped += n


def _to_multiple(n: int, of: float | None) -> float:
    """How far it is from n to the next multiple of what may be none."""
    return of - n % of if of else math.inf


def _share_gradients(parameters: Iterable[Tensor], n_ranks: int) -> None:
    """Makes each gradient the mean over ranks."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    flat = torch.cat([each.reshape(-1) for each in gradients]) / n_ranks
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))
