"""What a W&B run holds beside numbers over time: its configuration and versions, and the best validation."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from callbacks.monitor import logged
from callbacks.surroundings import versions


class WandbRun(pl.Callback):
    """Writes the configuration and versions of a W&B run, and into its summary the validation of the best checkpoint.

    W&B itself summarises a number by its last value, and so the `test/` of a run is that of the best checkpoint beside
    the `val/` of the last; `best/val/` is what was logged in the validation that chose it. Without a `WandbLogger` it
    does nothing.

    Args:
        config: What the configuration of the run holds under `zoo`.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self._config = dict(config or {})

    @rank_zero_only
    def setup(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Writes the configuration and the versions."""
        for logger in _wandb_loggers(trainer):
            if self._config:
                config = {"zoo": self._config, "versions": versions()}
                logger.experiment.config.update(config, allow_val_change=True)

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Writes the numbers where this validation is the best; the checkpoint is written after this."""
        checkpoint = trainer.checkpoint_callback
        if trainer.state.fn != "fit" or trainer.sanity_checking or not isinstance(checkpoint, ModelCheckpoint):
            return
        if _is_best(checkpoint, trainer.callback_metrics.get(checkpoint.monitor or "")):
            best = {f"best/val/{name}": value for name, value in logged(trainer, "val").items()}
            for logger in _wandb_loggers(trainer):
                summary = logger.experiment.summary
                for name in [name for name in summary.keys() if name.startswith("best/") and name not in best]:
                    del summary[name]
                summary.update(best | {"best/epoch": trainer.current_epoch})


def _wandb_loggers(trainer: pl.Trainer) -> list[WandbLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]


def _is_best(checkpoint: ModelCheckpoint, value: Any) -> bool:
    """Whether the value that a checkpoint is chosen by is better than all before."""
    best = checkpoint.best_model_score
    if value is None or best is None:
        return value is not None
    return bool(value > best if checkpoint.mode == "max" else value < best)
