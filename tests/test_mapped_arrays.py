"""Arrays in files that are mapped into memory: the same numbers as in memory, without taking it up."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap

from datamodules import ArrayImages, DataError, Dequantised, Dynamic, Grey, Images, Pixels, Static
from tests.toy import batches_of

pytestmark = [
    pytest.mark.usefixtures("own_place"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc what lies where"),
]

RANDOM = np.random.default_rng(0)
UINT8 = RANDOM.integers(0, 256, (53, 5, 4), dtype=np.uint8)


def both(folder: Path, array: np.ndarray, **options: Any) -> tuple[ArrayImages, ArrayImages]:
    """The same array mapped from a .npy file, and read from a .npz file."""
    np.save(folder / "x.npy", array)
    np.savez(folder / "x.npz", array)
    return ArrayImages(folder / "x.npy", **options), ArrayImages(folder / "x.npz", **options)


def is_mapped(images: Images) -> bool:
    """Whether their memory is that of a .npy file."""
    address = images.stored.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, _, end = line.split()[0].partition("-")
        if int(start, 16) <= address < int(end, 16):
            return line.endswith(".npy")
    return False


@pytest.mark.parametrize("pixels", [Grey(), Dynamic(), Static(), Dequantised()])
def test_a_mapped_array_gives_the_splits_and_batches_of_one_in_memory(pixels: Pixels, tmp_path: Path) -> None:
    data = both(tmp_path, UINT8, pixels=pixels, batch_size=7, val=11, test=13)
    mapped, read = (each.splits for each in data)
    assert is_mapped(mapped.train) == (pixels.anew or pixels.as_stored)  # or else drawn, once
    assert not is_mapped(read.train)
    for a, b in zip(mapped, read, strict=True):
        assert torch.equal(a.images, b.images)
    for each in data:
        each.setup("fit")
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        a, b = (batches_of(each, getattr(each, loader)()) for each in data)
        assert all(torch.equal(p.x, q.x) for p, q in zip(a, b, strict=True))
    a, b = data
    assert torch.equal(a.mean(), b.mean())
    assert torch.equal(a.variance(), b.variance())
    assert torch.equal(a.examples(9), b.examples(9))


@pytest.mark.parametrize(
    "array",
    [UINT8 > 99, UINT8 / 255, (UINT8 / 255).astype(np.float16), np.asfortranarray(UINT8)],
    ids=["bool", "float64", "float16", "fortran"],
)
def test_arrays_of_every_kind_are_mapped_as_they_are(array: np.ndarray, tmp_path: Path) -> None:
    data, read = both(tmp_path, array)
    assert is_mapped(data.splits.train)
    expected = torch.from_numpy(array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1))
    order = torch.cat([part.rows for part in data.splits if part.rows is not None])
    assert sorted(order.tolist()) == list(range(53))
    data.setup("fit")
    x = torch.cat([batch.x for batch in batches_of(data, data.test_dataloader())])
    torch.testing.assert_close(x[:, 0].float(), expected[data.splits.test.rows])
    assert torch.equal(data.splits.test.images, read.splits.test.images)


def test_arrays_of_another_byte_order_are_copied(tmp_path: Path) -> None:
    data, _ = both(tmp_path, (UINT8 / 255).astype(">f8"))
    assert not is_mapped(data.splits.train)
    assert data.splits.train.stored.dtype == torch.float64


def test_examples_are_chosen_without_being_copied() -> None:
    everything = Images(torch.from_numpy(UINT8), torch.arange(53))
    some = everything.choose(torch.tensor([7, 3, 50])).choose(torch.tensor([2, 0]))
    assert some.stored is everything.stored
    assert some.size == 2
    assert some.labels is not None
    assert some.labels.tolist() == [50, 7]
    assert torch.equal(some.images, everything.stored[[50, 7]])
    assert torch.equal(some.at(torch.tensor([1])).images, everything.stored[[7]])
    assert torch.equal(some.as_they_lie().images, everything.stored[[7, 50]])


def test_the_last_of_a_dark_array_tells_0_and_1_from_levels(tmp_path: Path) -> None:
    dark = np.zeros((2500, 3, 2), dtype=np.uint8)
    dark[-1] = 1
    with pytest.raises(DataError, match="uint8 of 0 and 1"):
        both(tmp_path, dark)[0].setup("fit")
    dark[-1, 0] = 2
    both(tmp_path, dark)[0].setup("fit")


SCRIPT = """
import resource, sys
from itertools import chain
from datamodules import ArrayImages, Dequantised

data = ArrayImages(sys.argv[1], val=30, test=30, batch_size=100, pixels=Dequantised())
status = dict(line.split(":") for line in open("/proc/self/status"))
taken = int(status["VmData"].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (taken + 80 * 2**20, resource.RLIM_INFINITY))
data.setup("fit")
assert data.mean().max() > data.variance().max() > 0
assert data.examples(5).shape == (5, 1, 50, 50)
for batch in chain(data.val_dataloader(), data.train_dataloader()):
    data.on_after_batch_transfer(batch, 0)
try:
    data.splits.train.images
except RuntimeError:
    print("no memory for a copy")
"""


def test_an_array_larger_than_memory_can_be_used(tmp_path: Path) -> None:
    """150 MB where 80 MB may be taken; the disk holds only the examples that are not black."""
    array = open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(60_000, 50, 50))
    array[::50] = 200
    del array
    command = [sys.executable, "-c", SCRIPT, tmp_path / "x.npy"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=200)
    assert done.stdout == "no memory for a copy\n"
