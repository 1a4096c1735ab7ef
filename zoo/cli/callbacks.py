"""The callbacks of every run, and their options."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, SaveConfigCallback

from callbacks import (
    Bundles,
    KeepLast,
    KLTerm,
    LogLikelihood,
    Pictures,
    PosteriorVariance,
    Predictions,
    ResourceCompetition,
)
from zoo.cli import runs
from zoo.files import written_whole

CALLBACKS = {
    "bundles": Bundles,
    "checkpoint": ModelCheckpoint,
    "keep_last": KeepLast,
    "log_likelihood": LogLikelihood,
    "kl_term": KLTerm,
    "posterior_variance": PosteriorVariance,
    "resource_competition": ResourceCompetition,
    "pictures": Pictures,
    "predictions": Predictions,
}
"""The callbacks of every run, by the name of their options."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "checkpoint": {"monitor": "val/objective", "mode": "max", "filename": "best", "enable_version_counter": False},
    "log_likelihood": {"stages": ["val", "test"], "val_k": 64, "n_images": 100, "every_n_epochs": None},
    "kl_term": {"every_n_epochs": None},
    "resource_competition": {"every_n_epochs": None},
    "posterior_variance": {"cut_k": 100},
}
"""Where they differ from those of the classes: as it trains a run watches few images with few draws, ten times."""


def add_callbacks(parser: LightningArgumentParser) -> None:
    """Adds the options of the callbacks of every run."""
    for key, callback in CALLBACKS.items():
        parser.add_lightning_class_args(callback, key)
    for key, own in DEFAULTS.items():
        parser.set_defaults({f"{key}.{name}": value for name, value in own.items()})
    parser.link_arguments("posterior_variance.threshold", "pictures.threshold")


class SaveConfig(SaveConfigCallback):
    """Writes the whole configuration of a run into its folder, once nothing is left that could refuse to go on."""

    patient = True
    """It waits for the first step alone."""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Leaves it to the first step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Writes `config.yaml` at the first step, and forgets what the run logged of steps that now come again."""
        if trainer.is_global_zero and not self.already_saved:
            self.already_saved = True
            folder = Path(trainer.default_root_dir)
            runs.forget_after(folder / "metrics.csv", trainer.global_step)
            with written_whole(folder / "config.yaml") as part:
                part.write_text(self.parser.dump(self.config, skip_unset=False))
