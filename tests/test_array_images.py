"""Images from NumPy files, and the files that are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules import ArrayImages, DataError, Dynamic

pytestmark = pytest.mark.usefixtures("own_place")


UINT8 = np.random.default_rng(0).integers(0, 256, (23, 5, 4), dtype=np.uint8)
NUMBERS = np.arange(23)


def saved(tmp_path: Path, *array: np.ndarray, **arrays: np.ndarray) -> Path:
    path = tmp_path / ("data.npy" if array else "data.npz")
    np.save(path, *array) if array else np.savez(path, **arrays)
    return path


def test_array_images_are_split_at_random_and_keep_their_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, x=UINT8, y=NUMBERS)
    data = ArrayImages(path, val=0.1, test=5)
    assert data.x_shape == (1, 5, 4)
    splits = data.splits
    assert [part.size for part in splits] == [16, 2, 5]
    numbers = torch.cat([part.labels for part in splits if part.labels is not None])
    assert sorted(numbers.tolist()) == list(range(23))
    assert numbers.tolist() != sorted(numbers.tolist())
    assert torch.equal(torch.cat([part.images for part in splits])[:, 0], torch.from_numpy(UINT8)[numbers])
    more = ArrayImages(path, val=7, test=5).splits
    assert torch.equal(more.test.images, splits.test.images)
    assert not torch.equal(ArrayImages(path, test=5, split_seed=1).splits.test.images, splits.test.images)


@pytest.mark.parametrize(
    ("array", "x_shape"),
    [
        (UINT8[:, None].repeat(3, 1), (3, 5, 4)),
        (UINT8 > 99, (1, 5, 4)),
        (UINT8.reshape(23, 20) / 255, (20,)),
        (np.asfortranarray(UINT8 / 255).astype(">f4"), (1, 5, 4)),
        ((UINT8 / 255).astype(np.float16), (1, 5, 4)),
    ],
)
def test_arrays_of_every_kind_are_read(array: np.ndarray, x_shape: tuple[int, ...], tmp_path: Path) -> None:
    data = ArrayImages(saved(tmp_path, array), pixels=Dynamic())
    assert data.x_shape == x_shape
    data.setup("fit")
    assert data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0).x.shape[1:] == x_shape
    scaled = array.astype(np.float64).mean() / (255 if array.dtype == np.uint8 else 1)
    assert data.mean().mean().item() == pytest.approx(scaled, abs=0.1)


def test_the_images_may_have_any_name(tmp_path: Path) -> None:
    assert ArrayImages(saved(tmp_path, faces=UINT8)).key == "faces"
    assert ArrayImages(saved(tmp_path, faces=UINT8, cats=UINT8), key="cats").key == "cats"


REFUSED: list[tuple[dict[str, np.ndarray], dict[str, Any], str]] = [
    (
        {"a": UINT8, "b": UINT8},
        {},
        r"holds a, b, and not exactly one of x and images: name the images by key",
    ),
    ({"x": UINT8, "images": UINT8}, {}, r"holds x, images, and not exactly one"),
    ({"x": UINT8}, {"key": "z"}, r"holds no array 'z', but x"),
    ({"x": UINT8, "y": NUMBERS, "labels": NUMBERS}, {}, r"holds both y and labels"),
    ({"x": UINT8, "y": NUMBERS[:-1]}, {}, r"\(y\) is int64 of shape \(22,\).*each of 23 images"),
    ({"x": UINT8, "y": NUMBERS / 2}, {}, r"\(y\) is float64"),
    ({"x": UINT8.astype(np.int64)}, {}, r"\(x\) is of type int64; expected uint8"),
    ({"x": np.array([{}], dtype=object)}, {}, r"\(x\) is of type object"),
    ({"x": UINT8[:, 0, 0]}, {}, r"\(x\) has shape \(23,\); expected \(N, H, W\)"),
    ({"x": UINT8[:0]}, {}, r"\(x\) has shape \(0, 5, 4\)"),
    ({"x": UINT8[..., None].repeat(3, 3)}, {}, r"channels last.*transpose\(0, 3, 1, 2\)"),
    ({"x": UINT8}, {"val": 1.5}, r"val is 1\.5; as a fraction it must lie in \[0, 1\)"),
    ({"x": UINT8}, {"test": -1}, r"test is -1; give a count"),
    ({"x": UINT8}, {"val": 20, "test": 3}, r"leaves 0 for training and 3 for test"),
    ({"x": UINT8}, {"test": 0}, r"leaves 21 for training and 0 for test"),
]


@pytest.mark.parametrize(("arrays", "options", "message"), REFUSED)
def test_bad_arrays_are_refused_before_they_are_read(
    arrays: dict[str, np.ndarray], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        ArrayImages(saved(tmp_path, **arrays), **options)


def test_bad_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="uint8 of 0 and 1, but 255 is white: save it as bool"):
        ArrayImages(saved(tmp_path, (UINT8 > 99).astype(np.uint8))).setup("fit")
    with pytest.raises(DataError, match="NaN or infinite"):
        ArrayImages(saved(tmp_path, UINT8 * np.nan)).setup("fit")
    with pytest.raises(DataError, match=r"which dynamic pixels cannot be made of: scale them to \[0, 1\]"):
        ArrayImages(saved(tmp_path, UINT8 * 1.0), pixels=Dynamic()).setup("fit")


@pytest.mark.parametrize("name", ["data.npy", "data.npz"])
def test_files_that_are_no_arrays_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(DataError, match="does not exist"):
        ArrayImages(path)
    path.write_bytes(b"garbage")
    with pytest.raises(DataError, match="cannot be read as a NumPy file"):
        ArrayImages(path)
    with pytest.raises(DataError, match=r"is not named \.npy or \.npz"):
        ArrayImages(tmp_path / "data.png")


@pytest.mark.parametrize("header", [b"(" * 118, b"{'descr': '|u19'}".ljust(118), b"\xff" * 118])
def test_a_damaged_header_is_refused(header: bytes, tmp_path: Path) -> None:
    path = saved(tmp_path, UINT8)
    path.write_bytes(path.read_bytes()[:10] + header + path.read_bytes()[128:])
    with pytest.raises(DataError, match=r"data\.npy cannot be read as a NumPy file"):
        ArrayImages(path)


def test_a_truncated_array_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, UINT8)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data\.npy cannot be read as a NumPy file"):
        ArrayImages(path).setup("fit")
