"""What every test stands on: float64, a fixed seed, and an environment that is put back."""

import gc
import os
from collections.abc import Iterator

# Lightning 2.6 calls what jsonargparse 4.53 has renamed.
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")
os.environ["ZOO_COMPILE"] = "never"  # but where a test is about compiling: it takes longer than most files

import pytest
import torch
import torch.distributed as dist

torch.set_num_threads(1)  # the tensors are small, and two processes share two cores


def pytest_collection_finish() -> None:
    """What is imported now stays: no garbage collection need look at it again, which takes a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    """Digits enough to tell a wrong formula from rounding."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lightning and the zoo write to it for the processes that they start, and change how this one computes."""
    before = dict(os.environ)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    yield
    os.environ.clear()
    os.environ.update(before)
    torch.set_flush_denormal(False)


@pytest.fixture
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A cache folder for all tests, and a seed, so that none reads those of the machine it runs on."""
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "zoo-cache"))
    monkeypatch.setenv("PL_GLOBAL_SEED", "3")


@pytest.fixture
def no_process_group() -> Iterator[None]:
    """Lightning leaves the group of one process behind."""
    yield
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
