"""The table that a run ends with, and its `metrics.json`."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from callbacks.protocols import NamesPixels
from zoo.files import written_whole
from zoo.steps import examples

_TERMS = {
    "objective": ("objective", ".2f"),
    "bound": ("bound", ".2f"),
    "elbo": ("ELBO", ".2f"),
    "elbo_mc": ("ELBO (KL from draws)", ".2f"),
    "kl": ("KL term", ".2f"),
    "kl_mc": ("KL term (from draws)", ".2f"),
    "log_px": ("E log p(x|z)", ".2f"),
    "variance": ("decoder variance σ²", ".4g"),
    "variance_at_floor": ("share of σ² at its floor", ".1%"),
    "squared_scale": ("decoder scale s²", ".4g"),
    "squared_scale_at_floor": ("share of s² at its floor", ".1%"),
    "df": ("degrees of freedom ν", ".4g"),
    "active_units": ("active units", ".0f"),
}

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
        self._images, self._seconds, self._began = 0, 0.0, 0.0

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts images and seconds of the steps, without validation."""
        self._images += len(examples(batch))
        self._seconds += time.perf_counter() - self._began

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Prints and writes."""
        metrics = {
            name.removeprefix("test/"): value.item()
            for name, value in trainer.callback_metrics.items()
            if name.startswith("test/")
        } | {name: value.item() for name, value in pl_module.report().items()}
        facts = self._facts(trainer, pl_module)
        known = {name: None if math.isnan(value) else value for name, value in metrics.items()}  # JSON has no nan
        path = Path(trainer.default_root_dir) / "metrics.json"
        with written_whole(path) as part:
            part.write_text(json.dumps(facts | {"test": known}, indent=2, allow_nan=False) + "\n")
        Console().print(as_table(facts, metrics))
        at_floor = max((value for name, value in metrics.items() if name.endswith("_at_floor")), default=0)
        if at_floor:
            print(AT_FLOOR.format(share=at_floor))
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, NamesPixels) and data.pixels_binary and not pl_module.suits_binary:
            print(BINARY)
        print(f"all of this run: {os.path.relpath(path.parent)}")

    def _facts(self, trainer: pl.Trainer, model: Any) -> dict[str, Any]:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        facts = {
            "model": type(model).__name__,
            "proposal": "encoder" if model.has_encoder else "prior",
            "k": model.k,
            "data": type(data).__name__,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        }
        if isinstance(data, NamesPixels):
            facts["pixels"] = data.pixels_name
        if self._seconds:  # this run trained what it tests
            rate = round(self._images * trainer.world_size / self._seconds)
            facts |= {"epochs": trainer.current_epoch, "steps": trainer.global_step, "images_per_second": rate}
        return facts


def as_table(facts: dict[str, Any], metrics: dict[str, float]) -> Table:
    """Lays facts and metrics out as a table, in nats."""
    label = "" if facts["proposal"] == "encoder" else " (prior proposal)"
    title = f"{facts['model']} on {facts['data']}, test split, in nats an example"
    table = Table(title=title, min_width=len(title))
    table.add_column("what")
    table.add_column("value", justify="right")
    for name, (words, form) in _TERMS.items():
        if name in metrics:
            table.add_row(words + (label if name.startswith("elbo") else ""), format(metrics[name], form))
    for name, value in metrics.items():
        family, _, k = name.partition("/")
        if family.startswith("log_likelihood") and k.isdigit():
            error = metrics[f"{family}/se"]
            table.add_row(f"log-likelihood, k = {k}{label}", f"{value:.2f} ± {error:.2f}")
        if family.startswith("bits_per_dimension"):
            table.add_row(f"bits per dimension, k = {k}{label}", f"{value:.3f}")
    for name in ("k", "pixels", "parameters", "epochs", "steps", "images_per_second"):
        if name in facts:
            value = facts[name]
            table.add_row(
                name.replace("_per_", "/").replace("_", " "),
                f"{value:,}" if isinstance(value, int) else value,
            )
    return table
