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

from callbacks.monitor import Monitor
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
    "mutual_information": ("mutual information", ".2f"),
    "aggregate_kl": ("aggregate KL", ".2f"),
    "active_units": ("active units", ".0f"),
    "posterior_variance/active": ("posterior variance of active units", ".3g"),
}

_WEIGHTS = {
    "ess/median": ("effective draws, median", ".1f"),
    "khat/median": ("Pareto k̂, median", ".2f"),
    "khat/above": ("images with k̂ above its threshold", ".1%"),
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
        found = facts | {"test": known, "details": _details(trainer)}
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
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        }
        if isinstance(data, NamesPixels):
            facts["pixels"] = data.pixels_name
        if self._seconds:  # this run trained what it tests
            rate = round(self._images * trainer.world_size / self._seconds)
            facts |= {"epochs": trainer.current_epoch, "steps": trainer.global_step, "images_per_second": rate}
        return facts


def _details(trainer: pl.Trainer) -> dict[str, list[Any]]:
    """What the monitors found that is more than a number."""
    monitors = [each for each in trainer.callbacks if isinstance(each, Monitor)]  # type: ignore[attr-defined]
    return {name: values for monitor in monitors for name, values in monitor.found.items()}


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
    for row in _estimates(metrics, label):
        table.add_row(*row)
    for name in ("k", "pixels", "parameters", "epochs", "steps", "images_per_second"):
        if name in facts:
            value = facts[name]
            table.add_row(
                name.replace("_per_", "/").replace("_", " "),
                f"{value:,}" if isinstance(value, int) else value,
            )
    return table


def _estimates(metrics: dict[str, float], label: str) -> list[tuple[str, str]]:
    """The rows of what estimates log p(x), and of the weights behind it; an error is that of its largest k."""
    rows = []
    for name, value in metrics.items():
        family, _, k = name.partition("/")
        if family.startswith("log_likelihood") and k.isdigit():
            largest = max((other for other in metrics if other.startswith(f"{family}/")), key=_draws)
            error = f" ± {metrics[f'{family}/se']:.2f}" if name == largest else ""
            cut = ", inactive units cut" if family.endswith("_cut") else ""
            rows.append((f"log-likelihood, k = {k}{label}{cut}", f"{value:.2f}{error}"))
        elif family.startswith("jvi1"):
            rows.append((f"JVI-1, no bound{label}", f"{value:.2f}"))
        elif family.startswith("bits_per_dimension"):
            rows.append((f"bits per dimension, k = {k}{label}", f"{value:.3f}"))
        elif name in _WEIGHTS:
            words, form = _WEIGHTS[name]
            rows.append((words, format(value, form)))
    return rows


def _draws(name: str) -> int:
    """The number of draws that a name ends with, or 0."""
    k = name.rpartition("/")[2]
    return int(k) if k.isdigit() else 0
