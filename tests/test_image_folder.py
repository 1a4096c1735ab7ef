"""Folders of pictures: what they become, how they are split, and what is refused."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules import ArrayImages, DataError, Dynamic, ImageDataModule, ImageFolder
from datamodules.packing import _pack, _write_header
from tests.toy import batches_of


@pytest.fixture(autouse=True)
def cache(own_place: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder that is empty."""
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "packed"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def levels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def draw(path: Path, array: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    """Saves an array of levels as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def fill(folder: Path, n: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Saves n pictures of the shape; returns them."""
    arrays = levels(n, *shape, seed=seed)
    for number, array in enumerate(arrays):
        draw(folder / f"{number:03}.png", array)
    return arrays


def labels_of(data: ImageDataModule) -> list[list[int]]:
    return [part.labels.tolist() for part in data.splits if part.labels is not None]


def test_pictures_are_split_as_the_same_array_is(root: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", fill(root, 23, 5, 4))
    options: dict[str, Any] = {"val": 0.2, "test": 3, "split_seed": 7, "pixels": Dynamic(), "batch_size": 5}
    data = [ImageFolder(root, **options), ArrayImages(tmp_path / "x.npy", **options)]
    assert data[0].description == "ImageFolder, dynamic pixels, 15/5/3"
    assert data[0].x_shape == (1, 5, 4)
    for each in data:
        each.setup("fit")
    for mine, other in zip(*(batches_of(each, each.train_dataloader()) for each in data), strict=True):
        assert torch.equal(mine.x, other.x)
        assert mine.y.tolist() == [-1] * len(mine.x)
    assert torch.equal(data[0].splits.test.images, data[1].splits.test.images)


def test_colours_are_channels(root: Path) -> None:
    arrays = fill(root, 7, 5, 4, 3)
    data = ImageFolder(root, val=0, test=1)
    assert data.x_shape == (3, 5, 4)
    stored = data.splits.train.stored
    assert stored.dtype == torch.uint8
    assert torch.equal(stored, torch.from_numpy(arrays).permute(0, 3, 1, 2))


def test_folders_of_splits_and_classes_are_used(root: Path) -> None:
    for split, classes in {"train": ("cat", "dog"), "valid": ("dog",), "test": ("ant", "cat")}.items():
        for seed, name in enumerate(classes):
            fill(root / split / name, 2, 3, 2, seed=seed)
    data = ImageFolder(root)
    assert [part.size for part in data.splits] == [4, 2, 4]
    train, val, test = labels_of(data)
    assert (sorted(train), val, test) == ([1, 1, 2, 2], [2, 2], [0, 0, 1, 1])


def test_what_is_not_published_is_split_off_training(root: Path) -> None:
    fill(root / "train" / "a", 8, 3, 2)
    fill(root / "train" / "b", 8, 3, 2)
    fill(root / "test", 5, 3, 2, seed=1)  # as in a competition, without labels
    data = ImageFolder(root, val=0.25)
    assert [part.size for part in data.splits] == [12, 4, 5]
    assert labels_of(data)[2] == [-1] * 5
    assert torch.equal(data.splits.test.images[:, 0], torch.from_numpy(levels(5, 3, 2, seed=1)))


def test_other_files_are_passed_over(root: Path) -> None:
    fill(root, 3, 3, 2)
    for name in ("readme.txt", ".hidden.png", "Thumbs.db"):
        (root / name).write_text("no picture")
    assert ImageFolder(root, val=0, test=1).splits.train.size == 2


def test_folders_that_are_hidden_are_passed_over(root: Path) -> None:
    fill(root / "cat", 3, 3, 2)
    for folder in (root / ".trash", root / "cat" / ".ipynb_checkpoints"):
        fill(folder, 2, 3, 2, seed=1)
    data = ImageFolder(root, val=0, test=1)
    assert labels_of(data) == [[0, 0], [], [0]]


def test_splits_are_known_by_other_names_and_in_capitals(root: Path) -> None:
    fill(root / "Training" / "cat", 4, 3, 2)
    fill(root / "DEV" / "cat", 2, 3, 2, seed=1)
    fill(root / "testing" / "cat", 3, 3, 2, seed=2)
    assert [part.size for part in ImageFolder(root).splits] == [4, 2, 3]


def test_pictures_are_scaled_without_distortion_and_cropped_in_the_middle(root: Path) -> None:
    array = np.zeros((20, 40, 3), dtype=np.uint8)
    array[:, 3:37] = 200  # a filter looks beyond what is cropped
    draw(root / "wide.png", array)
    draw(root / "square.jpg", np.full((13, 13, 3), 77, dtype=np.uint8))
    x = ImageFolder(root, size=(6, 6), val=0, test=1).splits.train.stored
    assert x.shape == (2, 3, 6, 6)
    assert (x[1] == 200).all()
    assert (x[0] == 77).all()


def test_a_photograph_stands_upright(root: Path) -> None:
    array = levels(4, 6)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be shown rotated by 90 degrees clockwise
    for name in ("a.png", "b.png"):
        draw(root / name, array, exif=exif)
    data = ImageFolder(root, val=0, test=1)
    assert data.x_shape == (1, 6, 4)
    assert torch.equal(data.splits.test.images[0, 0], torch.from_numpy(np.rot90(array, -1).copy()))


@pytest.mark.parametrize(
    ("mode", "name", "channels"),
    [
        ("1", "a.png", 1),
        ("L", "a.gif", 3),  # of a palette nobody knows that it is grey
        ("L", "a.tif", 1),
        ("LA", "a.png", 1),
        ("P", "a.png", 3),
        ("RGBA", "a.png", 3),
        ("CMYK", "a.jpg", 3),
    ],
)
def test_pictures_of_every_mode_are_read(mode: str, name: str, channels: int, root: Path) -> None:
    array = np.kron(np.array([[0, 255], [255, 0]]), np.ones((8, 8))).astype(np.uint8)
    draw(root / "1" / name, array, mode)
    draw(root / "2" / name, array, mode)
    data = ImageFolder(root, val=0, test=1, grey=None if name != "a.gif" else False)
    assert data.x_shape == (channels, 16, 16)
    x = data.splits.train.images[0].int()
    assert (x - torch.from_numpy(array)).abs().max() <= 3  # a JPEG is not exact


def test_colours_become_grey_on_demand(root: Path) -> None:
    fill(root, 3, 5, 4, 3)
    data = ImageFolder(root, grey=True, val=0, test=1)
    assert data.x_shape == (1, 5, 4)
    with Image.open(root / "000.png") as image:
        assert torch.equal(data.splits.train.stored[0, 0], torch.from_numpy(np.array(image.convert("L"))))


def test_grey_pictures_among_coloured_ones_become_coloured(root: Path) -> None:
    draw(root / "a.png", levels(5, 4, 3))
    draw(root / "b.png", levels(5, 4))
    x = ImageFolder(root, val=0, test=1).splits.train.stored
    assert torch.equal(x[1], torch.from_numpy(levels(5, 4)).expand(3, 5, 4))


def unreadable(*_: Any) -> None:
    raise AssertionError("read again")


def test_a_second_start_decodes_nothing(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, 4, 3, 2)
    ImageFolder(root).prepare_data()
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr("datamodules.packing._pack", unreadable)
    assert ImageFolder(root, val=1, test=1, split_seed=3).splits.train.size == 2
    assert len(list(cache.iterdir())) == 2


def test_pictures_are_packed_anew_when_a_file_changes(root: Path) -> None:
    fill(root, 3, 3, 2)
    assert ImageFolder(root, val=0, test=1).splits.train.stored.max() < 255
    draw(root / "001.png", np.full((3, 2), 255, dtype=np.uint8))
    assert (ImageFolder(root, val=0, test=1).splits.train.stored[1] == 255).all()


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(file.read_bytes()[:-1]), Path.unlink])
@pytest.mark.parametrize("which", [0, 1])
def test_a_damaged_cache_is_packed_anew(damage: Callable[[Path], object], which: int, root: Path, cache: Path) -> None:
    fill(root, 3, 3, 2)
    before = ImageFolder(root, val=0, test=1).splits.train.images
    damage(sorted(cache.iterdir())[which])
    assert torch.equal(ImageFolder(root, val=0, test=1).splits.train.images, before)


def test_what_another_process_has_packed_meanwhile_stays(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root, 3, 3, 2)
    finished: list[int] = []

    def inode() -> int:
        (images,) = (path for path in cache.glob("*.npy") if "labels" not in path.name)
        return images.stat().st_ino

    def pack_too(*arguments: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("datamodules.packing._pack", _pack)
            ImageFolder(root).prepare_data()
        finished.append(inode())
        _pack(*arguments)

    monkeypatch.setattr("datamodules.packing._pack", pack_too)
    ImageFolder(root).prepare_data()
    assert finished == [inode()]
    assert len(list(cache.iterdir())) == 2


def test_nothing_is_left_of_a_packing_that_failed(root: Path, cache: Path) -> None:
    fill(root, 3, 3, 2)
    (root / "002.png").write_bytes((root / "002.png").read_bytes()[:40])
    for _ in range(2):
        with pytest.raises(DataError, match=r"002\.png cannot be read as an image .*; mend it or take it away"):
            ImageFolder(root).prepare_data()
    assert not list(cache.iterdir())


def test_with_size_and_channels_given_no_picture_is_read_before_it_is_needed(root: Path) -> None:
    root.mkdir()
    (root / "a.png").write_bytes(b"garbage")
    data = ImageFolder(root, size=(7, 5), grey=False)
    assert data.x_shape == (3, 7, 5)
    with pytest.raises(DataError, match=r"a\.png cannot be read as an image \(no format that is known\)"):
        data.prepare_data()


def mixed(root: Path) -> None:
    fill(root, 2, 3, 2)
    fill(root / "class", 2, 3, 2)


def other_size(root: Path) -> None:
    fill(root, 2, 3, 2)
    draw(root / "b.png", levels(4, 2))


def colour(root: Path) -> None:
    fill(root, 2, 3, 2)
    draw(root / "b.png", levels(3, 2, 3))


def transparent(root: Path) -> None:
    draw(root / "a.png", levels(3, 2, 4))


def transparent_colour(root: Path) -> None:
    draw(root / "a.png", np.zeros((3, 2), dtype=np.uint8), transparency=0)


def deep(root: Path) -> None:
    draw(root / "a.png", levels(3, 2).astype(np.uint16) * 257)


def dangling(root: Path) -> None:
    fill(root, 2, 3, 2)
    (root / "b.png").symlink_to(root / "nowhere.png")


def circle(root: Path) -> None:
    fill(root / "class", 2, 3, 2)
    (root / "class" / "again").symlink_to(root)


def twice(root: Path) -> None:
    fill(root / "train" / "a", 2, 3, 2)
    (root / "train" / "b").symlink_to(root / "train" / "a")


def animated(root: Path) -> None:
    frames = [Image.fromarray(levels(3, 2, seed=seed)) for seed in (1, 2)]
    root.mkdir()
    frames[0].save(root / "a.gif", save_all=True, append_images=frames[1:])


REFUSED: list[tuple[Callable[[Path], object], str]] = [
    (lambda root: None, r"pictures is not a folder; give the path of a folder"),
    (lambda root: root.touch(), r"pictures is not a folder"),
    (lambda root: root.mkdir(), r"pictures holds no images \(\.png .*\), neither do the folders in it"),
    (lambda root: fill(root / "test", 2, 3, 2), r"pictures holds test but no train; add it, or rename"),
    (
        lambda root: [fill(root / name, 2, 3, 2) for name in ("train", "val", "valid")],
        r"holds both val and valid; keep one of them for val",
    ),
    (
        lambda root: [fill(root / name, 2, 3, 2) for name in ("Train", "training", "test")],
        r"holds both Train and train",
    ),
    (mixed, r"holds images directly \(000\.png\) and in folders \(class/000\.png\); put all of them"),
    (other_size, r"b\.png has 4 x 2 pixels and the first image 3 x 2; give the size"),
    (colour, r"b\.png has colours and the first image is grey; say by grey"),
    (transparent, r"a\.png is transparent in places; put it on a background first"),
    (transparent_colour, r"a\.png is transparent in places"),
    (deep, r"a\.png has pixels of more than 8 bits \(mode I;16\); convert it"),
    (animated, r"a\.gif is animated or has several pages; save each picture"),
    (circle, r"pictures holds .*/pictures twice, by a link, so its images would count twice"),
    (twice, r"train holds .*/train/a twice, by a link"),
    (dangling, r"b\.png cannot be read .*; mend it or take it away"),
    (lambda root: fill(root, 1, 3, 2), r"pictures holds 1 examples, which leaves 1 for training and 0 for test"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_folders_that_cannot_be_used_are_refused(make: Callable[[Path], object], message: str, root: Path) -> None:
    make(root)
    with pytest.raises(DataError, match=message):
        ImageFolder(root).setup("fit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (0, 3)}, r"size is \(0, 3\); give a height and a width"),
        ({"val": 1.5}, r"val is 1\.5; as a fraction"),
        ({"val": 2, "test": 3}, r"leaves -1 for training and 3 for test"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], message: str, root: Path) -> None:
    fill(root, 4, 3, 2)
    with pytest.raises(DataError, match=message):
        ImageFolder(root, **options).setup("fit")


def test_shares_are_refused_before_anything_is_packed(root: Path, cache: Path) -> None:
    fill(root, 4, 3, 2)
    with pytest.raises(DataError, match=r"test is -1; give a count of at least 0"):
        ImageFolder(root, test=-1)
    assert not cache.exists()


def test_the_header_of_an_array_leaves_room_for_any_number_of_images() -> None:
    lengths = set()
    for n in (0, 9, 10**12):
        file = io.BytesIO()
        _write_header(file, (n, 3, 64, 64))
        lengths.add(file.tell())
    assert len(lengths) == 1


def test_a_cache_that_cannot_be_written_is_named(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(root, 4, 3, 2)
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"\.npy cannot be written .* ZOO_CACHE_DIR name a folder that can"):
        ImageFolder(root).prepare_data()
