"""MNIST and Fashion-MNIST: downloads, files of your own, the true data."""

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import MNIST, DataError, FashionMNIST
from datamodules.idx import idx_file
from datamodules.published_file import Digest
from tests.published import DEAD, files_below, idx, serving

pytestmark = pytest.mark.usefixtures("own_place")

TRUE_MNIST = pytest.mark.skipif(not os.environ.get("ZOO_DATA_DIR"), reason="ZOO_DATA_DIR is not set")
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
KINDS = [(MNIST, "MNIST"), (FashionMNIST, "FashionMNIST")]


def tiny_mnist() -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    for size in (13, 4):
        yield random.integers(0, 256, (size, 28, 28), dtype=np.uint8)
        yield random.integers(0, 10, size, dtype=np.uint8)


PLAIN = dict(zip(NAMES, map(idx, tiny_mnist()), strict=True))
PACKED = {name: gzip.compress(content, mtime=0) for name, content in PLAIN.items()}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of a tiny MNIST, which is now the published one, at /right."""
    monkeypatch.delenv("ZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    sha256 = {name: Digest("sha256", hashlib.sha256(content).hexdigest()) for name, content in PACKED.items()}
    md5 = {name: Digest("md5", hashlib.md5(content).hexdigest()) for name, content in PLAIN.items()}
    monkeypatch.setattr(MNIST, "files", tuple(idx_file(name, sha256[name], md5[name]) for name in NAMES))
    monkeypatch.setattr(FashionMNIST, "files", tuple(idx_file(name, sha256[name]) for name in NAMES))
    right = {f"right/{name}.gz": content for name, content in PACKED.items()}
    garbage = {f"garbage/{name}.gz": b"garbage" for name in NAMES}
    with serving(right | garbage) as address:
        yield address


@pytest.mark.parametrize(("cls", "name"), KINDS)
def test_the_files_are_downloaded_once(
    cls: type[MNIST], name: str, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cls, "mirrors", (DEAD, f"{served}missing/", f"{served}garbage/", f"{served}right/"))
    cls().prepare_data()
    monkeypatch.setattr(cls, "mirrors", (DEAD,))
    data = cls(val_size=3)
    data.prepare_data()
    assert [part.size for part in data.splits] == [10, 3, 4]
    assert files_below(tmp_path / "cache" / name / "raw") == sorted(f"{each}.gz" for each in NAMES)


@pytest.mark.parametrize("layout", ["{}/raw", "raw", "."])
@pytest.mark.parametrize(("cls", "name"), KINDS)
@pytest.mark.usefixtures("served")
def test_files_of_your_own_are_found(layout: str, cls: type[MNIST], name: str, tmp_path: Path) -> None:
    place(tmp_path / layout.format(name), PACKED, ".gz")
    data = cls(data_dir=str(tmp_path), val_size=0)
    data.prepare_data()
    x, y, x_test, y_test = map(torch.from_numpy, tiny_mnist())
    train, val, test = data.load()
    assert torch.equal(train.images[:, 0], x)
    assert torch.equal(test.images[:, 0], x_test)
    assert train.labels is not None
    assert train.labels.tolist() == y.tolist()
    assert test.labels is not None
    assert test.labels.tolist() == y_test.tolist()
    assert val.size == 0
    assert data.val_dataloader() == []


@pytest.mark.parametrize(
    ("pack", "ending", "message"),
    [
        (bytes, "", "does not hold train-images"),
        (lambda content: gzip.compress(content, 1), ".gz", r"train-images.*gz is damaged or another file"),
    ],
)
@pytest.mark.usefixtures("served")
def test_what_is_known_unpacked_may_be_unpacked_or_packed_anew(
    pack: Callable[[bytes], bytes], ending: str, message: str, tmp_path: Path
) -> None:
    place(tmp_path, {name: pack(content) for name, content in PLAIN.items()}, ending)
    assert MNIST(tmp_path, val_size=3).load().val.size == 3
    with pytest.raises(DataError, match=message):
        FashionMNIST(tmp_path, val_size=3).load()


def place(folder: Path, contents: dict[str, bytes], ending: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}{ending}").write_bytes(content)


@pytest.mark.parametrize(("cls", "name"), KINDS)
@pytest.mark.parametrize("val_size", [-1, 60_000, 0.1])
def test_training_images_are_left(val_size: Any, cls: type[MNIST], name: str) -> None:
    with pytest.raises(DataError, match=f"val_size is {val_size}; {name} has 60,000 .*0 to 59,999"):
        cls(val_size=val_size)


@TRUE_MNIST
def test_true_mnist() -> None:
    data = MNIST()
    assert data.description == "MNIST, dynamic pixels, 55000/5000/10000"
    assert data.splits.train.labels is not None
    assert data.splits.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.mean().mean().item() == pytest.approx(0.1307, abs=0.0005)


@TRUE_MNIST
def test_mnist_is_not_taken_for_fashion_mnist(tmp_path: Path) -> None:
    (tmp_path / "FashionMNIST").symlink_to(Path(os.environ["ZOO_DATA_DIR"]) / "MNIST")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged or another file.*its md5 is"):
        FashionMNIST(tmp_path).load()
