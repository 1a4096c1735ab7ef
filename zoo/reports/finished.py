"""The folder of a run that has ended: its settings, its numbers, its model and its data."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from zoo.errors import ZooError

if TYPE_CHECKING:  # what needs torch is imported where a model or data are asked for: a sweep's own process needs none
    from pytorch_lightning import LightningDataModule

    from zoo import LatentVariableModel


@dataclass(frozen=True)
class FinishedRun:
    """A run that was trained and tested, as `zoo fit` leaves it in its folder.

    Args:
        folder: The folder of the run, with `config.yaml`, `metrics.json`, `metrics.csv` and `checkpoints/`.
    """

    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """All settings, as `config.yaml` has them."""
        return _read(self.folder / "config.yaml", yaml.safe_load)

    @cached_property
    def report(self) -> dict[str, Any]:
        """What `metrics.json` holds: the facts of the run, and under `test` the numbers of the test."""
        return _read(self.folder / "metrics.json", json.loads)

    @property
    def test(self) -> dict[str, float]:
        """The numbers of the test, by their logged names without the stage."""
        return self.report["test"]

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint, or the last where no validation chose one."""
        best, last = (self.folder / "checkpoints" / f"{name}.ckpt" for name in ("best", "last"))
        return best if best.is_file() else last

    @cached_property
    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """What was logged over time: points (step, value) by name, as `val/elbo`."""
        return _read(self.folder / "metrics.csv", logged_points)

    @cached_property
    def steps_per_epoch(self) -> float:
        """How many steps an epoch had, as a mean over the run."""
        last = max(step for name, points in self.curves.items() if not name.startswith("test/") for step, _ in points)
        return (last + 1) / self.report["epochs"]

    def model(self) -> "LatentVariableModel":
        """The trained model, on the CPU and in evaluation mode."""
        from zoo import load

        return load(self.checkpoint)

    def data(self, **changed: Any) -> "LightningDataModule":
        """The data it was trained on, ready to test.

        Args:
            **changed: Options that shall be others, as `batch_size`.

        Raises:
            ZooError: Their class has not been imported, or refuses its settings.
        """
        from jsonargparse import ArgumentError, ArgumentParser
        from pytorch_lightning import LightningDataModule

        import datamodules  # noqa: F401, the zoo's own may be named by any configuration
        from zoo.cli.arguments import only_named_imports

        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(LightningDataModule, "data")
        spec = self.config["data"] | {"init_args": self.config["data"]["init_args"] | changed}
        try:
            with only_named_imports({}):
                made = parser.instantiate_classes(parser.parse_object({"data": spec}))
        except ArgumentError as error:
            raise ZooError(f"the data of {self.folder} cannot be made again: {error}") from error
        data = made["data"]
        data.prepare_data()
        data.setup("test")
        return data


def logged_points(log: str) -> dict[str, list[tuple[int, float]]]:
    """Points (step, value) by name, from the `metrics.csv` of a run that has ended or goes on."""
    whole, _, _ = log.rpartition("\n")  # what comes after the last line is still being written
    curves: dict[str, list[tuple[int, float]]] = {}
    for row in csv.DictReader(whole.splitlines()):
        for name, value in row.items():
            if value and "/" in name:
                curves.setdefault(name, []).append((int(row["step"]), float(value)))
    return curves


def finished_runs(folders: Iterable[Path]) -> list[FinishedRun]:
    """The finished runs in folders, or anywhere below them, in the order of their numbers.

    Raises:
        ZooError: A folder holds none.
    """
    runs = []
    for folder in folders:
        found = {path.parent for path in folder.rglob("metrics.json") if (path.parent / "config.yaml").is_file()}
        if not found:
            raise ZooError(
                f"{folder} holds no finished run: name folders that `zoo fit` has made and tested in, with their "
                "config.yaml and metrics.json."
            )
        runs += [FinishedRun(path) for path in sorted(found, key=_order)]
    return runs


def _read(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        found = parse(path.read_text())
        if not (found and isinstance(found, dict)):
            raise ValueError(found)
        return found
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise ZooError(f"{path} cannot be read ({why}): leave that run out, or run it again.") from error


def _order(path: Path) -> tuple[str, int, str]:
    number = int(path.name) if path.name.isdigit() else 0
    return str(path.parent), number, path.name
