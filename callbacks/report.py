"""The table that a run ends with, and its `metrics.json`."""

import json
import math
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from callbacks.monitor import Details, details, logged, monitors
from callbacks.protocols import NamesPixels
from callbacks.surroundings import hardware, versions
from callbacks.table import as_table
from zoo.files import written_whole
from zoo.metrics import Binned
from zoo.steps import examples

UNITS = {
    "objective": "nats",
    "bound": "nats",
    "elbo": "nats",
    "kl": "nats",
    "log_px": "nats",
    "variance": "x^2",
    "variance_at_floor": "share",
    "squared_scale": "x^2",
    "squared_scale_at_floor": "share",
    "df": "1",
}
"""The units of what models log, by the beginning of its name; monitors say their own."""

AT_FLOOR = (
    "note: the decoder's variance stands at its floor in {share:.1%} of the pixels. There the floor and not the data "
    "sets the density: a lower floor gives a higher log-likelihood, so compare it at an equal floor alone."
)

BINARY = (
    "note: the pixels are 0 or 1 and the likelihood is one of grey pixels or of real numbers, so its value says "
    "little: take --data.pixels Grey or Dequantised, or a Bernoulli likelihood."
)


class Report(pl.Callback):
    """Prints a table of a test and writes it to `metrics.json` in the folder of the run; counts images a second."""

    def __init__(self) -> None:
        self._images, self._seconds, self._began, self._tested = 0, 0.0, 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins to count images and seconds of the steps, without validation."""
        self._images, self._seconds = -pl_module.images_trained, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Stops it."""
        self._seconds += time.perf_counter() - self._began

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Starts it again."""
        self._began = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Stops it."""
        self._seconds += time.perf_counter() - self._began

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Counts the images."""
        self._images += pl_module.images_trained

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begins to count examples."""
        self._tested = 0

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Counts the examples of this rank."""
        self._tested += len(examples(batch))

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Counts those of all ranks."""
        own = torch.tensor(self._tested, device=pl_module.device)
        self._tested = int(trainer.strategy.reduce(own, reduce_op="sum"))

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Prints and writes."""
        metrics = logged(trainer, "test") | {name: value.item() for name, value in pl_module.report().items()}
        facts = self._facts(trainer, pl_module)
        known = {name: _finite(value) for name, value in metrics.items()}
        found = facts | {"test": known, "units": _units(trainer, known), "details": _plain(details(trainer))}
        path = Path(trainer.default_root_dir) / "metrics.json"
        with written_whole(path) as part:
            part.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n")
        Console().print(as_table(facts, metrics))
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, NamesPixels) and data.pixels_binary and not pl_module.suits_binary:
            print(BINARY)
        at_floor = max((value for name, value in metrics.items() if name.endswith("_at_floor")), default=0)
        if at_floor:
            print(AT_FLOOR.format(share=at_floor))
        print(f"all of this run: {os.path.relpath(path.parent)}")

    def _facts(self, trainer: pl.Trainer, model: Any) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        facts = {
            "model": type(model).__name__,
            "proposal": "encoder" if model.has_encoder else "prior",
            "k": model.k,
            "data": type(data).__name__,
            "examples": self._tested,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        }
        facts |= {"steps": model.steps_trained, "seeds": {"run": model.run_seed}}
        if isinstance(data, NamesPixels):
            facts["pixels"] = data.pixels_name
            facts["seeds"]["pixels"] = data.pixel_seed
        if self._images > 0:  # this run trained what it tests
            rate = round(self._images * trainer.world_size / self._seconds)
            facts |= {"epochs": trainer.current_epoch, "images_per_second": rate}
        return facts | {"versions": versions(), "hardware": hardware(trainer, model)}


def _units(trainer: pl.Trainer, names: Iterable[str]) -> dict[str, str]:
    """The unit of each number, where whoever logs it says one."""
    units = {name: unit for monitor in monitors(trainer) for name, unit in monitor.units.items()} | UNITS
    found = {}
    for name in names:
        plain = re.sub(r"_[^_/]+_proposal\b", "", name)
        beginning = max((each for each in units if plain.startswith(each)), key=len, default=None)
        if beginning is not None:
            found[name] = units[beginning]
    return found


def _plain(details: Details) -> dict[str, Any]:
    """What JSON can hold of it, with the parts of a histogram by their names."""
    return {
        name: values._asdict() if isinstance(values, Binned) else [_finite(value) for value in values]
        for name, values in details.items()
    }


def _finite(value: float) -> float | None:
    """The number, or None where it is none: JSON has neither nan nor infinity."""
    return value if math.isfinite(value) else None
