"""From what a loader hands out to what a model sees, without asking at each batch which hooks there are."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.core.hooks import DataHooks
from pytorch_lightning.plugins import Precision


def transfer_of(trainer: pl.Trainer) -> Callable[[Any], Any]:
    """What Lightning does to a batch before a step: on the CPU and in single precision, its last hook is all of it."""
    model, data = trainer.lightning_module, trainer.datamodule  # type: ignore[attr-defined]

    def whole(batch: Any) -> Any:
        batch = trainer.precision_plugin.convert_input(batch)
        batch = model._on_before_batch_transfer(batch, dataloader_idx=0)
        return trainer.strategy.batch_to_device(batch)

    if trainer.strategy.root_device.type != "cpu" or type(trainer.precision_plugin) is not Precision:
        return whole
    for hook in ("on_before_batch_transfer", "transfer_batch_to_device"):
        if any(getattr(type(each), hook) is not getattr(DataHooks, hook) for each in (model, data) if each is not None):
            return whole
    last = _owner(data, model)
    return lambda batch: last.on_after_batch_transfer(batch, 0)


def _owner(data: Any, model: Any) -> Any:
    """Whose last hook Lightning calls: the data module's where it has one, else the model's."""
    own = data is not None and type(data).on_after_batch_transfer is not DataHooks.on_after_batch_transfer
    return data if own else model
