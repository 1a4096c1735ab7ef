"""Runs on several ranks: what their tests have in common."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl

from tests.small import quiet_trainer

ON_RANKS = [
    pytest.mark.timeout(120),  # a rank that waits for another waits for ever
    # Forking is safe here: the tests run torch on one thread.
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.usefixtures("no_process_group"),
]
"""The marks of a file whose tests run on several ranks."""


def trainer_of(ranks: int, folder: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    many = {"devices": ranks, "strategy": "ddp_fork"} if ranks > 1 else {}
    return quiet_trainer(folder, *callbacks, **many | options)
