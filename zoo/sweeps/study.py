"""Which run comes next: Optuna's study, in a file that processes and machines share."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from zoo.errors import ZooError
from zoo.files import written_whole
from zoo.sweeps.file import Sweep
from zoo.sweeps.trial import Result, Trial, claim


@dataclass(frozen=True)
class Claimed:
    """A run that is this process's to do.

    Args:
        trial: The run.
        lock: What keeps others from it, while it is open.
    """

    trial: Trial
    lock: int


class Study:
    """The runs of a sweep: which there are, who works on them, and which comes next.

    What is changed is changed by one process at a time. A run that nobody works on any more, because its process was
    killed, comes before any new one.

    Args:
        sweep: What was asked for.
        folder: Where the runs are.
        count: How many there are at most.
        seed: Of the choices that are made by chance; each run has its own of it.

    Raises:
        ZooError: The folder holds another sweep.
    """

    def __init__(self, sweep: Sweep, folder: Path, count: int, seed: int = 0) -> None:
        self.sweep, self.folder, self.count, self.seed = sweep, folder, count, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with self._alone():
            self._keep_file()
            self._study = optuna.create_study(
                storage=JournalStorage(JournalFileBackend(str(folder / "study.journal"))),
                study_name="sweep",
                direction="maximize" if sweep.maximise else "minimize",
                load_if_exists=True,
            )
            for point in sweep.points()[len(self._frozen()) :]:  # all, unless this was interrupted before
                self._study.enqueue_trial(point)

    def claim_next(self) -> Claimed | None:
        """Takes the next run that nobody works on; None where there is none now."""
        with self._alone():
            frozen = self._frozen()
            for each in frozen:
                if each.state is TrialState.RUNNING and (lock := claim(self._folder(each))) is not None:
                    return Claimed(self._trial(each), lock)
            begun = sum(each.state is not TrialState.WAITING for each in frozen)
            if begun >= self.count:
                return None
            self._study.sampler = self.sweep.sampler(random.Random(f"{self.seed}, {begun}").getrandbits(32))
            asked = self._study.ask(self.sweep.distributions)
            trial = self._trial(self._frozen()[asked.number])
            lock = claim(trial.folder)
            assert lock is not None  # nobody else knows of it yet
            return Claimed(trial, lock)

    def tell(self, claimed: Claimed, result: Result) -> None:
        """Writes down what became of a run, and gives it free."""
        claimed.trial.ends(result)
        state = TrialState.FAIL if result.value is None else TrialState.COMPLETE
        with self._alone():
            self._study.tell(claimed.trial.number - 1, result.value, state, skip_if_finished=True)
        os.close(claimed.lock)

    def leave(self, claimed: Claimed) -> None:
        """Gives a run free that has not ended."""
        os.close(claimed.lock)

    def trials(self) -> list[Trial]:
        """All runs that have begun, in order."""
        return [self._trial(each) for each in self._frozen() if each.state is not TrialState.WAITING]

    @property
    def n_ended(self) -> int:
        """How many runs have ended."""
        return sum(each.state.is_finished() for each in self._frozen())

    @property
    def is_over(self) -> bool:
        """Whether all runs have begun and ended, those of other processes too."""
        states = [each.state for each in self._frozen() if each.state is not TrialState.WAITING]
        return len(states) >= self.count and TrialState.RUNNING not in states

    def _frozen(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _trial(self, frozen: FrozenTrial) -> Trial:
        return Trial(frozen.number + 1, self.sweep.values(frozen.params), self._folder(frozen))

    def _folder(self, frozen: FrozenTrial) -> Path:
        return self.folder / str(frozen.number + 1)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = claim(self.folder, wait=True)
        assert lock is not None  # it was waited for
        try:
            yield
        finally:
            os.close(lock)

    def _keep_file(self) -> None:
        path = self.folder / "sweep.yaml"
        if not path.is_file():
            with written_whole(path) as part:
                part.write_text(self.sweep.text)
        elif yaml.safe_load(path.read_text()) != yaml.safe_load(self.sweep.text):
            raise ZooError(
                f"{self.folder} holds another sweep, {path}: name another place with --folder, or go on with that file."
            )
