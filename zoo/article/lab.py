"""The runs of the article, and what is measured of them once and kept."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo import LatentVariableModel, Proposal, RefittedEncoder
from zoo.errors import ZooError
from zoo.estimators import AnnealedImportanceSampling
from zoo.files import written_whole
from zoo.reports.finished import FinishedRun
from zoo.reports.groups import Compared
from zoo.reports.measured import FITTED, examples, log_likelihoods
from zoo.sweeps import Sweep, run_sweep
from zoo.sweeps.trial import Trial


@dataclass(frozen=True)
class Scale:
    """How much is run and measured.

    Args:
        name: The folder of its sweeps, under `configs/article/`.
        k: Draws of a log-likelihood.
        n_images: Test images.
        refit_epochs: How long a fresh encoder is trained for a frozen decoder.
        n_annealed: Test images of annealed importance sampling.
        n_temperatures: Its temperatures.
    """

    name: str
    k: int
    n_images: int
    refit_epochs: int
    n_annealed: int
    n_temperatures: int


SMALL = Scale("small", k=500, n_images=200, refit_epochs=15, n_annealed=40, n_temperatures=200)
FULL = Scale("full", k=5000, n_images=1000, refit_epochs=50, n_annealed=100, n_temperatures=1000)


class LogPx(NamedTuple):
    """log p(x) of a decoder, (S, N) each, from a fresh encoder that was trained for it.

    Args:
        annealed: By annealed importance sampling from its q(z|x), which is close.
        refitted: By L_k with its q(z|x), which may lie far below.
    """

    annealed: np.ndarray
    refitted: np.ndarray


class Lab:
    """The runs of a scale in a folder: they are trained where they are missing, and measured once.

    Args:
        folder: Where `sweeps/` and `measured/` are.
        scale: How much is run.
        jobs: How many runs are trained at a time.
        progress: Whether bars are shown.
    """

    def __init__(self, folder: Path, scale: Scale, jobs: int = 1, progress: bool = False) -> None:
        self.folder, self.scale, self.jobs, self.progress = folder, scale, jobs, progress
        self._trials: dict[str, list[Trial]] = {}
        self._models: dict[tuple[str, ...], dict[Any, Compared]] = {}

    def sweep(self, name: str) -> Sweep | None:
        """A sweep of this scale; None where the scale has none of that name."""
        path = Path(str(files("configs"))) / "article" / self.scale.name / f"{name}.yaml"
        return Sweep.read(path) if path.is_file() else None

    def trials(self, name: str) -> list[Trial]:
        """The runs of a sweep, trained now as far as they have not been before; none where the scale has none."""
        if name not in self._trials:
            sweep = self.sweep(name)
            folder = self.folder / "sweeps" / name
            self._trials[name] = [] if sweep is None else run_sweep(sweep, folder, self.jobs, progress=self.progress)
        return self._trials[name]

    def models(self, name: str, *varied: str) -> dict[Any, Compared]:
        """The models of a sweep, by the values of what is varied beside the seed: one alone, or several together.

        Raises:
            ZooError: A run of it has failed.
        """
        if (name, *varied) not in self._models:
            runs: dict[Any, list[FinishedRun]] = {}
            for trial in self.trials(name):
                if trial.run is None or trial.error is not None:
                    why = trial.error or "it was not tested"
                    raise ZooError(f"run {trial.number} of the sweep {name} has failed: {why}")
                values = tuple(trial.parameters[each] for each in varied)
                runs.setdefault(values[0] if len(values) == 1 else values, []).append(trial.run)
            self._models[name, *varied] = {key: Compared(f"{name} {key}", own) for key, own in runs.items()}
        return self._models[name, *varied]

    def log_likelihood(self, model: Compared) -> np.ndarray:
        """L_k of the test images under q(z|x), with the k and the images of the scale, (S, N)."""
        return self.log_likelihoods(model, [self.scale.k])[self.scale.k]

    def log_likelihoods(
        self, model: Compared, ks: Sequence[int], proposal: Proposal | None = None, what: str = "own"
    ) -> dict[int, np.ndarray]:
        """L_k of the test images for several k, (S, N) each.

        Args:
            model: The model.
            ks: The numbers of draws.
            proposal: What z is drawn from; by default q(z|x).
            what: What the proposal is called, for the file.
        """

        def made() -> np.ndarray:
            x = examples(model.runs[0], self.scale.n_images)
            return np.stack(list(log_likelihoods(model, x, ks, proposal, self.progress).values()))

        return dict(zip(ks, self.kept(model, f"L_k, {what}, {ks}", made), strict=True))

    def log_px(self, model: Compared) -> LogPx:
        """log p(x) of a decoder, whatever its encoder is worth, on some test images."""

        def made() -> np.ndarray:
            x = examples(model.runs[0], self.scale.n_annealed)
            return np.stack([self._log_px(*each, x) for each in zip(model.runs, model.models, strict=True)], 1)

        return LogPx(*self.kept(model, "log p(x)", made))

    def _log_px(self, run: FinishedRun, model: LatentVariableModel, x: Tensor) -> np.ndarray:
        fresh = RefittedEncoder(epochs=self.scale.refit_epochs)
        fresh.fit(model, run.data(batch_size=FITTED))
        annealed = AnnealedImportanceSampling(self.scale.n_temperatures, n_chains=2, n_leapfrog=5, proposal=fresh)
        log_px = annealed(model, x, progress=self.progress).log_likelihood
        found = [log_px, model.log_likelihood(x, self.scale.k, proposal=fresh)]
        return torch.stack([each.double() for each in found]).numpy()  # (2, N)

    def kept(self, model: Compared, what: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array that is made once: it is read again as long as the runs are the same."""
        states = [(str(run.folder.relative_to(self.folder)), run.checkpoint.stat().st_mtime_ns) for run in model.runs]
        key = hashlib.sha256(repr((states, what, self.scale)).encode()).hexdigest()[:16]
        path = self.folder / "measured" / f"{key}.npy"
        if not path.is_file():
            with written_whole(path) as part, part.open("wb") as file:
                np.save(file, make())
        return np.load(path)


def tested(model: Compared, name: str) -> np.ndarray:
    """A number of each run's own test, (S,)."""
    return np.array([run.test[name] for run in model.runs])
