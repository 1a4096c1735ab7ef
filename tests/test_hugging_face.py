"""Data sets of the library datasets, read from local files: nothing comes over a network."""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the library is imported

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import DataError, HuggingFace, ImageFolder
from datamodules.hugging_face_rows import Rows

datasets = pytest.importorskip("datasets")

LEVELS = np.random.default_rng(0).integers(0, 256, (11, 5, 4), dtype=np.uint8)


@pytest.fixture(autouse=True)
def caches(own_place: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Caches that are empty, of the library and of this package."""
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "library"))
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """A folder of the splits train and test, with two classes."""
    for number, levels in enumerate(LEVELS):
        folder = tmp_path / "pictures" / ("test" if number < 3 else "train") / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(folder / f"{number:02}.png")
    return str(tmp_path / "pictures")


def rows(n: int = 11, **columns: Any) -> Any:
    """A table of grey images and their numbers."""
    images = [Image.fromarray(levels) for levels in LEVELS[:n]]
    kinds = {"picture": datasets.Image(), "number": datasets.Value("int32"), "name": datasets.Value("string")}
    table = {"picture": images, "number": range(n), "name": ["a"] * n} | columns
    return datasets.Dataset.from_dict(table, features=datasets.Features(kinds))


def parquet(folder: Path, **splits: Any) -> str:
    """Saves tables as the splits of a data set; returns its folder."""
    for name, table in splits.items():
        table.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return str(folder / "data")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_data_set_is_that_of_its_files(streaming: bool, pictures: str) -> None:
    data = HuggingFace("imagefolder", data_dir=pictures, val=0.25, streaming=streaming)
    folder = ImageFolder(pictures, val=0.25)
    assert data.x_shape == folder.x_shape == (1, 5, 4)
    for mine, other in zip(data.splits, folder.splits, strict=True):
        assert mine.labels is not None
        assert other.labels is not None
        assert torch.equal(mine.images, other.images)
        assert torch.equal(mine.labels, other.labels)


@pytest.mark.parametrize("streaming", [False, True])
def test_columns_are_found_or_named(streaming: bool, tmp_path: Path) -> None:
    folder = parquet(tmp_path, train=rows())
    options: dict[str, Any] = {"data_dir": folder, "streaming": streaming, "val": 2, "test": 3}
    data = HuggingFace("parquet", **options)
    assert data.description == "HuggingFace, grey pixels, 6/2/3"
    assert data.splits.train.labels is not None
    assert data.splits.train.labels.tolist() == [-1] * 6  # numbers are classes only where one says so
    for part in HuggingFace("parquet", label="number", image="picture", **options).splits:
        assert part.labels is not None
        assert torch.equal(part.images[:, 0], torch.from_numpy(LEVELS)[part.labels])


def test_published_splits_are_used_and_a_single_one_is_split(tmp_path: Path) -> None:
    folder = parquet(tmp_path, train=rows(7), validation=rows(2), test=rows(3), unsupervised=rows(5))
    assert [part.size for part in HuggingFace("parquet", data_dir=folder).splits] == [7, 2, 3]
    folder = parquet(tmp_path / "single", test=rows(10))
    assert [part.size for part in HuggingFace("parquet", data_dir=folder).splits] == [8, 1, 1]


def test_a_second_start_reads_nothing_but_the_packed_arrays(pictures: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"data_dir": pictures, "size": (3, 3), "grey": True}
    before = HuggingFace("imagefolder", **options)
    before.prepare_data()

    def unreadable(*_: Any) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(Rows, "__iter__", unreadable)
    after = HuggingFace("imagefolder", streaming=True, **options)  # the same rows, whichever way they come
    assert torch.equal(after.splits.train.images, before.splits.train.images)


def test_rows_are_packed_anew_when_a_file_changes(pictures: str) -> None:
    def is_white() -> list[bool]:
        return [
            bool((image == 255).all()) for image in HuggingFace("imagefolder", data_dir=pictures).splits.train.stored
        ]

    assert is_white() == [False] * 8
    Image.fromarray(np.full((5, 4), 255, dtype=np.uint8)).save(Path(pictures) / "train" / "cat" / "04.png")
    assert is_white() == [True] + [False] * 7


def test_with_size_and_channels_given_nothing_is_loaded_before_it_is_needed() -> None:
    data = HuggingFace("nobody/nothing", size=(7, 5), grey=False)
    assert data.x_shape == (3, 7, 5)
    with pytest.raises(DataError, match="nobody/nothing cannot be loaded"):
        data.prepare_data()


def test_nothing_is_imported_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # as where the extra is not installed
    with pytest.raises(DataError, match=r"needs the package datasets.*pip install 'vae-zoo\[huggingface\]'"):
        HuggingFace("imagefolder")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "name"}, "parquet has no image column 'name'; its columns are picture, number, name, of which pic"),
        ({"label": "name"}, "no label column 'name'.*of which number can be used"),
        ({"label": "lable"}, "no label column 'lable'"),
        ({"test": 20}, r"parquet holds 11 examples, which leaves -10 for training and 20 for test"),
        ({"data_dir": "nowhere"}, r"the data set parquet cannot be loaded \(.*nowhere.*\); check its name"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        HuggingFace("parquet", **{"data_dir": parquet(tmp_path, train=rows())} | options).setup("fit")


def test_data_sets_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nobody/nothing cannot be loaded \(.*\); check its name.*and the network"):
        HuggingFace("nobody/nothing")
    folder = parquet(tmp_path / "a", train=rows().remove_columns("picture"))
    with pytest.raises(DataError, match="parquet has the columns number, name, and none of images"):
        HuggingFace("parquet", data_dir=folder)
    folder = parquet(tmp_path / "c", train=rows(0), test=rows(3))
    for options in ({}, {"size": (5, 4), "grey": True}):
        with pytest.raises(DataError, match="parquet, split train holds no images"):
            HuggingFace("parquet", data_dir=folder, streaming=True, **options).prepare_data()
    folder = parquet(tmp_path / "b", validation=rows(4), test=rows(3))
    with pytest.raises(DataError, match="parquet holds validation and test but no train"):
        HuggingFace("parquet", data_dir=folder)


@pytest.mark.parametrize("streaming", [False, True])
def test_examples_that_cannot_be_read_are_named(streaming: bool, tmp_path: Path) -> None:
    damaged = [{"bytes": b"garbage", "path": None} if i == 4 else Image.fromarray(LEVELS[i]) for i in range(11)]
    missing = [None if i == 6 else Image.fromarray(LEVELS[i]) for i in range(11)]
    for kind, column, message in (
        ("a", damaged, r"example 4 of parquet, split train cannot be read \(cannot identify image"),
        ("b", missing, r"example 6 of parquet, split train cannot be read \(it has no image\)"),
    ):
        folder = parquet(tmp_path / kind, train=rows(picture=column))
        with pytest.raises(DataError, match=message):
            HuggingFace("parquet", data_dir=folder, streaming=streaming).prepare_data()


def test_images_of_another_size_are_refused_or_scaled(tmp_path: Path) -> None:
    images = [Image.fromarray(levels[: 5 - i // 10]) for i, levels in enumerate(LEVELS)]
    folder = parquet(tmp_path, train=rows(picture=images))
    with pytest.raises(DataError, match="example 10 of parquet, split train has 4 x 4 pixels and the first image 5 x"):
        HuggingFace("parquet", data_dir=folder).prepare_data()
    assert HuggingFace("parquet", data_dir=folder, size=(6, 8)).splits.train.stored.shape == (11, 1, 6, 8)
