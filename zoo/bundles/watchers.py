"""Who watches each single step, so that none may go unwatched."""

from collections.abc import Iterator
from inspect import Parameter, signature
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import DeviceStatsMonitor, LearningRateMonitor, ModelCheckpoint, ProgressBar, Timer
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy

HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
"""What Lightning calls at each step, of callbacks and models."""

OF_MODELS = (
    *("on_train_batch_end", *HOOKS[2:], "backward", "optimizer_step", "optimizer_zero_grad"),
    *("configure_gradient_clipping", "lr_scheduler_step"),
)
"""What a model may do at each step in its own way; `on_train_batch_start` is always called."""


@runtime_checkable
class Patient(Protocol):
    """A callback with hooks of a step to which it is enough to be called from time to time."""

    @property
    def patient(self) -> bool:
        """Whether it is."""
        ...


def watchers(trainer: pl.Trainer, model: pl.LightningModule) -> Iterator[str]:
    """Says why steps of this trainer must go one by one, each reason in words that follow on "since"."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if any(_replaces(callback, pl.Callback, hook) for hook in HOOKS) and not _is_patient(callback):
            yield f"{type(callback).__name__} watches each of them"
    for hook in OF_MODELS:
        if _replaces(model, pl.LightningModule, hook):
            yield f"{type(model).__name__} has an `{hook}` of its own"
    settings = {
        "gradients are accumulated": trainer.accumulate_grad_batches != 1,
        "the gradient is clipped": bool(trainer.gradient_clip_val),
        "each of them is logged": trainer.log_every_n_steps == 1,  # type: ignore[attr-defined]
        "a profiler looks at each of them": not isinstance(trainer.profiler, PassThroughProfiler),  # type: ignore[attr-defined]
        "the strategy is another than one device or DDP": type(trainer.strategy)
        not in (SingleDeviceStrategy, DDPStrategy),
        "DDP has a hook for its gradients": isinstance(trainer.strategy, DDPStrategy)
        and trainer.strategy._ddp_comm_hook is not None,
        "their gradients are scaled": isinstance(trainer.precision_plugin, MixedPrecision)
        and trainer.precision_plugin.scaler is not None,
        "the number of batches is not known": trainer.num_training_batches == float("inf"),
        "the optimiser asks for the loss itself": any(_asks(each) for each in trainer.optimizers),
    }
    yield from (reason for reason, holds in settings.items() if holds)


def _is_patient(callback: pl.Callback) -> bool:
    if isinstance(callback, Patient):
        return callback.patient
    if isinstance(callback, ModelCheckpoint):
        return not callback._every_n_train_steps
    return isinstance(callback, ProgressBar | Timer | LearningRateMonitor | DeviceStatsMonitor)


def _replaces(thing: Any, base: type, hook: str) -> bool:
    return getattr(type(thing), hook) is not getattr(base, hook)


def _asks(optimizer: Any) -> bool:
    closure = signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is Parameter.empty
