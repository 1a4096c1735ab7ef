"""The folder of a run, and what is written there: `runs/<model>-<data>/<n>`."""

import csv
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.plugins import TorchCheckpointIO
from pytorch_lightning.utilities import rank_zero_only

from zoo.errors import ZooError
from zoo.files import written_whole

ENVIRONMENT = "ZOO_RUN_DIR"
"""Where the processes of one run find its folder."""


def is_first() -> bool:
    """Whether this process is the first of its run, as far as the environment tells before there is a trainer."""
    return rank_zero_only.rank == 0  # pyright: ignore[reportFunctionMemberAccess]


def new_run(parent: Path) -> Path:
    """Makes the next numbered folder of a run; the processes of one run share it.

    Raises:
        ZooError: The folder cannot be made.
    """
    if ENVIRONMENT in os.environ:
        return Path(os.environ[ENVIRONMENT])
    if not is_first():  # started beside the first process and not by it: that one makes the folder and writes there
        return parent.resolve()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(folder.name) for folder in parent.iterdir() if folder.name.isdigit()), default=0)
        while True:
            number += 1
            try:
                (parent / str(number)).mkdir()
                return (parent / str(number)).resolve()
            except FileExistsError:  # another run was faster
                continue
    except OSError as error:
        raise ZooError(
            f"the folder of the run cannot be made in {parent} ({error.strerror}): name another with "
            "--trainer.default_root_dir."
        ) from error


def forget_empty(folder: str | None) -> None:
    """Removes the folder of a run that was refused before it wrote anything."""
    if folder is not None and is_first():
        with suppress(OSError):  # which a folder that holds something raises
            os.rmdir(folder)
            os.rmdir(Path(folder).parent)


def forget_start(folder: Path) -> None:
    """Removes what every start writes to the folder of a run, where nothing else is there yet."""
    files = list(folder.iterdir())
    started = (file.name in ("config.yaml", "hparams.yaml") or file.name.startswith("events.") for file in files)
    if is_first() and all(started):
        for file in files:
            file.unlink()


def checkpoint_of(parent: Path, name: str) -> Path:
    """The checkpoint `last` or `best` of the newest run that has one.

    Raises:
        ZooError: There is none.
    """
    runs = [folder for folder in parent.glob("*") if (folder / "checkpoints" / f"{name}.ckpt").is_file()]
    runs = [folder for folder in runs if folder.name.isdigit()]
    if not runs:
        raise ZooError(
            f"there is no checkpoint '{name}' of a run in {parent}: start one with `zoo fit`, without --ckpt_path, or "
            "give the path of a checkpoint."
        )
    return max(runs, key=lambda folder: int(folder.name)) / "checkpoints" / f"{name}.ckpt"


def run_of(checkpoint: Path) -> Path | None:
    """The folder of the run that a checkpoint belongs to, where it belongs to one."""
    folder = checkpoint.resolve().parent
    return folder.parent if folder.name == "checkpoints" and (folder.parent / "config.yaml").is_file() else None


def loggers(folder: Path, asked: Any) -> list[Logger]:
    """The loggers that were asked for, by default TensorBoard, and a `metrics.csv` in the folder of the run.

    Args:
        folder: The folder of the run.
        asked: A Trainer's `logger`.
    """
    if asked is False:
        return []
    own = [TensorBoardLogger(folder, name="", version="")] if asked in (None, True) else as_list(asked)
    kept = [] if any(isinstance(logger, CSVLogger) for logger in own) else [KeptCSV(folder)]
    return [*own, *kept]


def as_list(value: Any) -> list[Any]:
    """The value in a list, unless it is one; nothing for None."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


class KeptCSV(CSVLogger):
    """A CSV logger that keeps the rows of before a resumption, where Lightning's own deletes them.

    Args:
        folder: The folder of `metrics.csv`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, name="", version="")

    @property
    def experiment(self) -> Any:
        """The writer of the rows."""
        if self._experiment is None:
            self._experiment = _KeepingWriter(self.log_dir)
        return self._experiment


class _KeepingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(newline="") as file:
                self.metrics_keys = list(next(csv.reader(file), []))


def forget_after(path: Path, step: int) -> None:
    """Takes the rows of steps that a resumed run will make again out of a `metrics.csv`."""
    if not path.is_file():
        return
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        fields, rows = reader.fieldnames or [], [row for row in reader if int(row["step"]) < step]
    with written_whole(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint whole or not at all: beside its place first, then moved there in one step."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint."""
        with written_whole(path) as part:
            try:
                torch.save(checkpoint, part)
            except RuntimeError as error:  # torch's writer hides what the system said
                raise OSError("torch could not write it whole, as on a full disk") from error
