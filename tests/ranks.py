"""Runs on several ranks: what their tests have in common."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from tests.small import quiet_trainer

ON_RANKS = [
    pytest.mark.timeout(120),  # a rank that waits for another waits for ever
    # Forking is safe here: the tests run torch on one thread.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.usefixtures("no_process_group"),
]
"""The marks of a file whose tests run on several ranks."""


def trainer_of(ranks: int, folder: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    """A Trainer of so many ranks: with NCCL where there is a GPU for each of several, with gloo elsewhere."""
    gpus = torch.cuda.device_count()  # does not start CUDA, which could not be forked then
    place = {"accelerator": "gpu" if gpus > 1 and gpus >= ranks else "cpu"}
    many = {"devices": ranks, "strategy": "ddp_fork"} if ranks > 1 else {}
    return quiet_trainer(folder, *callbacks, **place | many | options)
