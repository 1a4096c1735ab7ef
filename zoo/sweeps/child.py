"""The process of one run of a sweep."""

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

from zoo.sweeps.command import NO_ACCOUNT
from zoo.sweeps.file import Sweep
from zoo.sweeps.study import Claimed
from zoo.sweeps.trial import Result


class Child:
    """A run that is trained by a process of its own, which outlives this one.

    Args:
        sweep: What was asked for.
        claimed: The run.
        jobs: How many run at the same time: they share the cores, unless `OMP_NUM_THREADS` says how many each has.
    """

    def __init__(self, sweep: Sweep, claimed: Claimed, jobs: int) -> None:
        self.sweep, self.claimed = sweep, claimed
        self.stopped, self._logged = False, 0
        trial = claimed.trial
        self._output = trial.folder / "output.log"
        more = [f"--trainer.default_root_dir={trial.folder.resolve()}", "--trainer.enable_progress_bar=false"]
        resumed = ["--ckpt_path=last"] if trial.checkpoint else []
        with self._output.open("a") as output:
            self._process = subprocess.Popen(
                [*sweep.words(trial.parameters), *more, *resumed],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(jobs),
                pass_fds=[claimed.lock],
                start_new_session=True,  # Ctrl-C comes here, and is handed on
            )

    def stop(self, early: bool = False) -> None:
        """Lets the run finish its step, save and end.

        Args:
            early: Whether for good, because others are better.
        """
        self.stopped = self.stopped or early
        self._process.send_signal(signal.SIGINT)

    def abort(self) -> None:
        """Ends the process at once."""
        os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def has_news(self) -> bool:
        """Whether it has logged more than when this was last asked."""
        before, self._logged = self._logged, len(self.claimed.trial.history(self.sweep.metric))
        return self._logged > before

    @property
    def result(self) -> Result | None:
        """What became of the run; None while it goes on."""
        status = self._process.poll()
        if status is None:
            return None
        history = self.claimed.trial.history(self.sweep.metric)
        if status == 0 or (self.stopped and history):
            return _measured(self.sweep.metric, history, "finished" if status == 0 else "stopped early")
        return Result("failed", error=f"{_last_words(self._output)} (status {status}; all it said: {self._output})")


def environment(jobs: int) -> dict[str, str]:
    """The environment of a run: programs of this installation first, its share of the cores, no account needed."""
    here = str(Path(sys.executable).parent)
    threads = max(1, len(os.sched_getaffinity(0)) // jobs) if sys.platform == "linux" else 1
    defaults = {"OMP_NUM_THREADS": str(threads)} | NO_ACCOUNT
    return defaults | os.environ | {"PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}"}


def _measured(metric: str, history: list[float], status: str) -> Result:
    if not history:
        return Result("failed", error=f"it logged no {metric}, which the sweep goes by: `metrics.csv` has the names.")
    if not math.isfinite(history[-1]):
        return Result("failed", error=f"{metric} was {history[-1]} at its end.")
    return Result(status, history[-1])


def _last_words(output: Path) -> str:
    """What a process said last, a sentence of the zoo's own before anything else."""
    lines = [line.strip() for line in output.read_text(errors="replace").splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("zoo: error: ")]
    return (own or lines or ["it said nothing"])[-1].removeprefix("zoo: error: ")
