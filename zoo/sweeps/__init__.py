"""Sweeps: W&B's sweep files, run without W&B. Optuna chooses, children of this process train."""

from zoo.sweeps.file import Sweep
from zoo.sweeps.runner import run_sweep
from zoo.sweeps.trial import Trial

__all__ = ["Sweep", "Trial", "run_sweep"]
