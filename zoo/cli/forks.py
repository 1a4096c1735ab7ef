"""Processes that are forked: the threads of their parent stay behind, and they would wait for those for ever."""

import os
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.strategies.launchers.multiprocessing import _MultiProcessingLauncher


class Threads(Callback):
    """Gives each process that is started its number of threads.

    Args:
        n: The number.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def setup(self, *_: Any, **__: Any) -> None:
        """Runs in the processes alone, which is where models are trained."""
        torch.set_num_threads(self.n)


def before_forks(trainer: Trainer) -> None:
    """Has this process compute with one thread, if it forks others: weights come back to it before they are tested.

    The others have the threads that OMP_NUM_THREADS asks for, and without it the number that Lightning gives them.
    """
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _MultiProcessingLauncher) and launcher._start_method == "fork":
        if "OMP_NUM_THREADS" in os.environ:
            trainer.callbacks.insert(0, Threads(torch.get_num_threads()))  # type: ignore[attr-defined]
        torch.set_num_threads(1)
