"""From what a loader hands out to what a model sees, without asking at each batch which hooks there are."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.core.hooks import DataHooks
from pytorch_lightning.plugins import Precision

from zoo.protocols import is_foreseeable

HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
"""What Lightning asks on the way, each of the data module where it has one, else of the model."""

LIGHTNINGS = [getattr(DataHooks, name) for name in HOOKS]


def transfer_of(trainer: pl.Trainer) -> Callable[[Any], Any]:
    """What Lightning does to a batch before a step: on the CPU and in single precision, its last hook is all of it."""
    model = trainer.lightning_module
    before, to_device, last = _hooks(trainer)

    def whole(batch: Any) -> Any:
        batch = trainer.precision_plugin.convert_input(batch)
        batch = model._on_before_batch_transfer(batch, dataloader_idx=0)
        return trainer.strategy.batch_to_device(batch)

    on_cpu = trainer.strategy.root_device.type == "cpu" and type(trainer.precision_plugin) is Precision
    if on_cpu and _is_lightnings(before) and _is_lightnings(to_device):
        return lambda batch: last(batch, 0)
    return whole


def foreseeable(trainer: pl.Trainer) -> bool:
    """Whether neither the loader nor a hook looks at the steps, so that batches may be had ahead of them."""
    hooks = (_is_lightnings(hook) or is_foreseeable(_function(hook)) for hook in _hooks(trainer))
    return is_foreseeable(type(trainer.train_dataloader)) and all(hooks)


def _hooks(trainer: pl.Trainer) -> list[Any]:
    owner: Any = trainer._data_connector._datahook_selector
    return [getattr(owner.get_instance(name), name) for name in HOOKS]


def _is_lightnings(hook: Any) -> bool:
    return _function(hook) in LIGHTNINGS


def _function(hook: Any) -> Any:
    """What a hook does, be it a method or a function put in the place of one."""
    return getattr(hook, "__func__", hook)
