"""OMNIGLOT as Burda et al. split it."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from datamodules import OMNIGLOT, DataError
from datamodules.published_file import GitBlob
from tests.published import files_below, serving

RANDOM = np.random.default_rng(0)
IMAGES, TEST_IMAGES = (RANDOM.integers(0, 256, (n, 28, 28)) / 255 for n in (23, 7))


def chardata() -> bytes:
    """A column is an image, column by column."""
    columns = [np.stack([image.ravel(order="F") for image in images], 1) for images in (IMAGES, TEST_IMAGES)]
    file = io.BytesIO()
    savemat(file, {"data": columns[0], "testdata": columns[1], "target": np.ones((50, 23))})
    return file.getvalue()


CONTENT = chardata()


@pytest.fixture(autouse=True)
def characters(monkeypatch: pytest.MonkeyPatch) -> None:
    sha1 = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    monkeypatch.setattr(OMNIGLOT, "files", (OMNIGLOT.files[0]._replace(check=GitBlob(sha1)),))


@pytest.mark.parametrize("layout", ["OMNIGLOT", "."])
def test_images_stand_upright_and_the_last_of_a_fixed_permutation_validate(layout: str, tmp_path: Path) -> None:
    (tmp_path / layout).mkdir(exist_ok=True)
    (tmp_path / layout / "chardata.mat").write_bytes(CONTENT)
    train, val, test = (part.images for part in OMNIGLOT(tmp_path, val_size=5).load())
    order = np.random.RandomState(123).permutation(23)
    assert train.dtype == torch.float32
    for images, expected in ((train, IMAGES[order[:18]]), (val, IMAGES[order[18:]]), (test, TEST_IMAGES)):
        np.testing.assert_array_equal(images[:, 0].numpy(), expected.astype(np.float32))


def test_the_file_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path))
    with serving({"right/chardata.mat": CONTENT, "wrong/chardata.mat": CONTENT[:-8]}) as address:
        monkeypatch.setattr(OMNIGLOT, "mirrors", (address + "wrong/", address + "right/"))
        data = OMNIGLOT(val_size=0)
        data.prepare_data()
    assert files_below(tmp_path / "OMNIGLOT") == ["chardata.mat"]
    assert data.description == "OMNIGLOT, dynamic pixels, 23/0/7"


def test_another_file_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.io.loadmat", lambda *_, **__: pytest.fail("it was parsed"))
    (tmp_path / "chardata.mat").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(DataError, match=r"chardata\.mat is damaged or another file .*as a git blob, its sha1 is"):
        OMNIGLOT(tmp_path).load()


@pytest.mark.parametrize("val_size", [-1, 24_345])
def test_training_images_are_left(val_size: int) -> None:
    with pytest.raises(DataError, match=f"val_size is {val_size}; OMNIGLOT has 24,345 .*0 to 24,344"):
        OMNIGLOT(val_size=val_size)
