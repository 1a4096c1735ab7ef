"""Runs a sweep: so many children at a time, until all that was asked for is done."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from zoo.checks import check_counts
from zoo.sweeps.child import Child
from zoo.sweeps.file import Sweep
from zoo.sweeps.study import Study
from zoo.sweeps.trial import Trial

POLL_SECONDS = 0.3


class Interrupted(KeyboardInterrupt):
    """A sweep was stopped, by Ctrl-C or as a system ends processes; what was under way has saved itself."""


def run_sweep(
    sweep: Sweep, folder: Path, jobs: int = 1, count: int | None = None, seed: int = 0, progress: bool = False
) -> list[Trial]:
    """Runs what is left of a sweep.

    Several calls on one folder, of any processes and machines that share it, share the runs. What was interrupted goes
    on from its last checkpoint; what has ended is not run again.

    Args:
        sweep: What was asked for.
        folder: Where the runs are, each in a folder of its number.
        jobs: How many run at the same time.
        count: How many there are at most, those of before included; None for all of a grid.
        seed: Of what is chosen by chance.
        progress: Whether a bar and a line a run show how far it is.

    Returns:
        All runs of the sweep that have begun.

    Raises:
        ZooError: The sweep has no end, the folder holds another, or jobs or count is below 1.
        Interrupted: By Ctrl-C.
    """
    check_counts(jobs=jobs, count=1 if count is None else count)
    study = Study(sweep, folder, sweep.count(count), seed)
    with tqdm(total=study.count, unit="run", disable=not progress, desc=sweep.name) as bar:
        Runner(study, jobs, bar).work()
    return study.trials()


class Runner:
    """The children of this process that work on a sweep.

    Args:
        study: The runs.
        jobs: How many children there are at the same time.
        bar: What shows how far it is.
    """

    def __init__(self, study: Study, jobs: int, bar: tqdm) -> None:
        self._study, self._jobs, self._bar = study, jobs, bar
        self._children: list[Child] = []
        self._interrupts = 0

    def work(self) -> None:
        """Starts children and takes in what became of them, until there is nothing left to do."""
        with self._taking_interrupts():
            try:
                while self._goes_on():
                    time.sleep(POLL_SECONDS)
                    self._children = [child for child in self._children if not self._has_ended(child)]
            finally:
                for child in self._children:  # there are some where this process itself failed
                    child.abort()
        if self._interrupts:
            raise Interrupted

    def _goes_on(self) -> bool:
        """Whether something is left to do, here or in another process; begins what can be begun."""
        study = self._study
        self._bar.update(study.n_ended - self._bar.n)
        while not self._interrupts and len(self._children) < self._jobs and (claimed := study.claim_next()):
            self._children.append(Child(study.sweep, claimed, self._jobs))
        return bool(self._children) or not (self._interrupts or study.is_over)

    def _has_ended(self, child: Child) -> bool:
        """Whether a run has ended, of which then is written down what became of it."""
        result = child.result
        if result is None:
            self._stop_early(child)
            return False
        if self._interrupts and result.status == "failed":  # it was told to end, and goes on the next time
            self._study.leave(child.claimed)
            return True
        trial, values = child.claimed.trial, self._study.sweep.said(child.claimed.trial.parameters)
        self._study.tell(child.claimed, result)
        what = result.error if result.value is None else f"{self._study.sweep.metric} = {result.value:.6g}"
        self._say(f"run {trial.number} {result.status}, {values}: {what}")
        return True

    def _stop_early(self, child: Child) -> None:
        """Stops a run that the rule of the sweep finds too far behind."""
        sweep = self._study.sweep
        if sweep.stopping is None or child.stopped or not child.has_news:
            return
        sign = -1 if sweep.maximise else 1
        logged = {t.number: [sign * each for each in t.history(sweep.metric)] for t in self._study.trials()}
        if sweep.stopping.stops(logged[child.claimed.trial.number], list(logged.values())):
            child.stop(early=True)

    def _say(self, sentence: str) -> None:
        if not self._bar.disable:
            self._bar.write(sentence)

    @contextmanager
    def _taking_interrupts(self) -> Iterator[None]:
        """Within it, Ctrl-C lets the children save and end, and a second one ends them at once."""
        signals = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(each, self._interrupt) for each in signals]
        try:
            yield
        finally:
            for each, handler in zip(signals, before, strict=True):
                signal.signal(each, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._say("the runs finish their step and save; Ctrl-C again ends them at once")
        for child in self._children:
            child.stop() if self._interrupts == 1 else child.abort()
