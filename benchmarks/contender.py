"""The benchmark's side of a contender: a process of its own, so that no library's threads or caches meet another's."""

import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

from benchmarks.task import Task


class Failed(Exception):
    """A contender ended before its turn did."""


class Contender:
    """A process that runs a stretch when it is asked to.

    Args:
        name: What it is called in the tables.
        module: The module that is run, which takes turns.
        task: What it does.
        options: What it is told besides, in its environment.
    """

    def __init__(self, name: str, module: str, task: Task, **options: str) -> None:
        self.name = name
        self._log = Path(task.folder) / f"{module}-{len(list(Path(task.folder).glob('*.log')))}.log"
        self._pipe, theirs = Pipe()
        environment = {"BENCHMARK_TASK": task.dump(), "BENCHMARK_PIPE": str(theirs.fileno()), **options}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module], env=os.environ | environment, pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        theirs.close()

    def turn(self) -> dict[str, float]:
        """The seconds of one stretch: of its `steps`, and of its `whole` with validation."""
        return self._ask("stretch")

    def losses(self) -> list[float]:
        """Its loss on the first batch, of several draws of the noise, in nats an image."""
        return self._ask("losses")

    def peak(self) -> int | None:
        """The most memory that it has had, in bytes; None where the system does not say, as Linux does.

        What `getrusage` calls its peak begins at that of the process which started it.
        """
        status = Path(f"/proc/{self._process.pid}/status")
        lines = status.read_text().splitlines() if status.is_file() else []
        return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def _ask(self, what: str) -> Any:
        try:
            self._pipe.send(what)
            return self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise Failed(f"{self.name} ended early:\n{self._log.read_text()[-2000:]}") from error
