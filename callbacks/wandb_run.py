"""What a W&B run holds beside numbers over time: the best validation."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger


class WandbRun(pl.Callback):
    """Writes the validation of the best checkpoint into the summary of a W&B run, under `best/`.

    W&B itself summarises a number by its last value, and so the `test/` of a run is that of the best checkpoint beside
    the `val/` of the last. Without a `WandbLogger` it does nothing.
    """

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Writes it where this validation is the best; the checkpoint is written after this."""
        checkpoint, metrics = trainer.checkpoint_callback, trainer.callback_metrics
        if trainer.state.fn != "fit" or trainer.sanity_checking or not isinstance(checkpoint, ModelCheckpoint):
            return
        if _is_best(checkpoint, metrics.get(checkpoint.monitor or "")):
            best = {f"best/{name}": value.item() for name, value in metrics.items() if name.startswith("val/")}
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger) and trainer.is_global_zero:
                    logger.experiment.summary.update(best | {"best/epoch": trainer.current_epoch})


def _is_best(checkpoint: ModelCheckpoint, value: Any) -> bool:
    """Whether the value that a checkpoint is chosen by is better than all before."""
    best = checkpoint.best_model_score
    if value is None or best is None:
        return value is not None
    return bool(value > best if checkpoint.mode == "max" else value < best)
