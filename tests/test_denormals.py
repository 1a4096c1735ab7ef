"""Denormal numbers are zero while a model trains, in every thread, and numbers again after it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from callbacks import Bundles
from tests.small import SmallImages, quiet_trainer, small_model, small_x
from zoo import refit_encoder
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


COMMAND_LINE = """
import os
import zoo.cli.program
from zoo.denormals import flushed

before = len(os.listdir("/proc/self/task"))
try:
    zoo.cli.program.run(["fit", "--print_config"])
except SystemExit:
    pass
found = len(os.listdir("/proc/self/task")) - before, flushed()
print(*found)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for threads")
def test_the_command_line_takes_them_for_zero_and_starts_no_thread_that_a_fork_would_wait_for(tmp_path: Path) -> None:
    own = os.environ | {"OMP_NUM_THREADS": "3", "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-c", COMMAND_LINE]
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 True"


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("before", [False, True])
def test_they_are_zero_while_an_encoder_is_refitted(before: bool, fails: bool) -> None:
    found = set()

    def batches() -> Iterator[torch.Tensor]:
        found.add(flushed())
        yield small_x()
        if fails:
            raise KeyError("no more")

    class Batches:
        def __iter__(self) -> Iterator[torch.Tensor]:
            return batches()

    flush_denormals(before)
    try:
        refit_encoder(small_model("iwae"), Batches(), epochs=1)
    except KeyError:
        assert fails
    assert found == {True} and flushed() == before


def test_bundles_that_were_never_set_up_change_nothing() -> None:
    bundles = Bundles()
    flush_denormals()
    bundles.teardown(pl.Trainer(logger=False, accelerator="cpu"), small_model("iwae"), "fit")
    assert flushed()


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
