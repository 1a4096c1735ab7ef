"""What loggers show beside numbers: histograms, tables and pictures, in W&B and TensorBoard."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from zoo.histogram import Binned


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
def log_table(trainer: pl.Trainer, name: str, columns: Mapping[str, Sequence[float]]) -> None:
    """Logs columns of equal length as a table, its rows numbered from 0."""
    rows = [[i, *row] for i, row in enumerate(zip(*columns.values(), strict=True))]
    head = ["", *columns]
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=head, data=rows, step=_step(trainer))
        elif isinstance(logger, TensorBoardLogger):
            lines = [head, ["---"] * len(head), *([f"{cell:.5g}" for cell in row] for row in rows)]
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
    """Logs what a monitor found beside numbers: histograms, and after a test columns of equal length as tables."""
    tables: dict[int, dict[str, Sequence[float]]] = {}
    for name, values in details.items():
        if isinstance(values, Binned):
            log_histogram(trainer, f"{stage}/{name}", values)
        else:
            tables.setdefault(len(values), {})[name] = values
    for columns in tables.values() if stage == "test" else ():
        log_table(trainer, f"{stage}/{next(iter(columns))}", columns)


def _step(trainer: pl.Trainer) -> int:
    """The step that Lightning gives to the numbers of this moment: a validation is counted to the step before it."""
    return max(trainer.global_step - trainer.validating, 0)
