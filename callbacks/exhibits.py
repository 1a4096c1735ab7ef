"""What loggers show beside numbers: histograms, tables and pictures, in W&B and TensorBoard."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from zoo.metrics import Binned


@rank_zero_only
def log_histogram(trainer: pl.Trainer, name: str, binned: Binned) -> None:
    """Logs a histogram."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb  # where it is asked for, since it takes long

            shown = wandb.Histogram(np_histogram=(np.array(binned.counts), np.array(binned.edges)))
            logger.experiment.log({name: shown, "trainer/global_step": _step(trainer)})
        elif isinstance(logger, TensorBoardLogger):
            counts, edges = np.array(binned.counts, float), np.array(binned.edges)
            centres = (edges[1:] + edges[:-1]) / 2
            logger.experiment.add_histogram_raw(
                name,
                min=edges[0],
                max=edges[-1],
                num=counts.sum(),
                sum=counts @ centres,
                sum_squares=counts @ centres**2,
                bucket_limits=edges[1:].tolist(),
                bucket_counts=counts.tolist(),
                global_step=_step(trainer),
            )


@rank_zero_only
def log_column(trainer: pl.Trainer, name: str, values: Sequence[float]) -> None:
    """Logs values as a table, its rows numbered from 1."""
    head, rows = ["", name.rpartition("/")[2]], [[i, value] for i, value in enumerate(values, 1)]
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=head, data=rows, step=_step(trainer))
        elif isinstance(logger, TensorBoardLogger):
            lines = [head, ["---", "---"], *([f"{i}", f"{value:.5g}"] for i, value in rows)]
            text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
            logger.experiment.add_text(name, text, _step(trainer))


@rank_zero_only
def log_picture(trainer: pl.Trainer, name: str, path: Path) -> None:
    """Logs a picture that was written to a file."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image(name, [str(path)], step=_step(trainer))
        elif isinstance(logger, TensorBoardLogger):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            logger.experiment.add_image(name, pixels, _step(trainer), dataformats="HWC")


def log_details(trainer: pl.Trainer, stage: str, details: Mapping[str, Sequence[float] | Binned]) -> None:
    """Logs what a monitor found beside numbers: histograms, and after a test columns."""
    for name, values in details.items():
        if isinstance(values, Binned):
            log_histogram(trainer, f"{stage}/{name}", values)
        elif stage == "test":
            log_column(trainer, f"{stage}/{name}", values)


def _step(trainer: pl.Trainer) -> int:
    """The step of Lightning's own numbers of this moment: a validation of a fit is counted to the step before it."""
    return trainer.global_step - (trainer.validating and trainer.state.fn == "fit")
