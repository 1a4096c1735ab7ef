"""Denormal numbers are zero while a model trains, in every thread, and numbers again after it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from callbacks import Bundles
from tests.small import SmallImages, quiet_trainer, small_model
from zoo.denormals import flush_denormals, flushed

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor does not flush them")

THREADS = """
import torch
from zoo.denormals import flush_denormals

torch.set_num_threads(3)
x = torch.full((1_000_000,), 2.0**-70)

def share():
    return (x * x != 0).double().mean().item()

found = [share()]
for on in (True, False):
    flush_denormals(on)
    found.append(share())
print(*found)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads of another library are not told")
def test_threads_that_run_already_are_told() -> None:
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "0.0", "1.0"]


class Looks(pl.Callback):
    """Looks at each step, and stops the run within one where it shall."""

    def __init__(self, stop: bool) -> None:
        self.stop, self.found = stop, set[bool]()

    def on_train_batch_end(self, *args: Any, **rest: Any) -> None:
        self.found.add(flushed())
        if self.stop:
            raise KeyError("stopped")


@pytest.mark.parametrize("stop", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_they_are_zero_while_a_model_trains_and_as_before_after_it(tmp_path: Path, before: bool, stop: bool) -> None:
    flush_denormals(before)
    looks = Looks(stop)
    trainer = quiet_trainer(tmp_path, looks, Bundles())
    try:
        trainer.fit(small_model("iwae"), datamodule=SmallImages())
    except KeyError:
        assert stop
    assert looks.found == {True}
    assert flushed() == before
