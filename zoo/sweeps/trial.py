"""One run of a sweep: the values it has, its folder, and what became of it."""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zoo.files import made_folder, written_whole
from zoo.reports.finished import FinishedRun, logged_points


@dataclass(frozen=True)
class Result:
    """What became of a run.

    Args:
        status: `finished`, `stopped early` or `failed`.
        value: Of what is optimised; None where it failed.
        error: Why it failed.
    """

    status: str
    value: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Args:
        number: Its place in the sweep, from 1.
        parameters: The options that are its own, and their values.
        folder: Where it works.
    """

    number: int
    parameters: Mapping[str, Any]
    folder: Path

    @property
    def result(self) -> Result | None:
        """What became of it; None where it has not ended."""
        path = self.folder / "result.json"
        return Result(**json.loads(path.read_text())) if path.is_file() else None

    @property
    def error(self) -> str | None:
        """Why it failed; None where it did not."""
        return self.result.error if self.result else None

    @property
    def run(self) -> FinishedRun | None:
        """What it left, once it is trained and tested."""
        found = sorted(self.folder.glob("*/*/metrics.json"), key=os.path.getmtime)
        return FinishedRun(found[-1].parent) if found else None

    @property
    def checkpoint(self) -> Path | None:
        """From where it goes on, where it was stopped on the way."""
        found = sorted(self.folder.glob("*/*/checkpoints/last.ckpt"), key=os.path.getmtime)
        return found[-1] if found else None

    def history(self, metric: str) -> list[float]:
        """What it has logged of a number so far, in order."""
        logs = sorted(self.folder.glob("*/*/metrics.csv"), key=os.path.getmtime)
        return [value for _, value in logged_points(logs[-1].read_text()).get(metric, [])] if logs else []

    def ends(self, result: Result) -> None:
        """Writes down what became of it."""
        with written_whole(self.folder / "result.json") as part:
            part.write_text(json.dumps(asdict(result), indent=2) + "\n")


def claim(folder: Path, wait: bool = False) -> int | None:
    """Takes a folder for this process and for the children that are handed the lock.

    The system gives it back when the last of them has ended, however it ended: so a run whose sweep was killed is not
    begun anew while its own process still trains.

    Args:
        folder: The folder; it is made where it is missing.
        wait: Whether to wait until it is free.

    Returns:
        The lock, to be closed or to be handed on; None where another process has it.

    Raises:
        ZooError: The folder cannot be made or written to.
    """
    lock = os.open(made_folder(folder) / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
