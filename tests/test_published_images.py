"""What the published data sets have in common: a folder of yours or the cache, and no third place."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules import MNIST, OMNIGLOT, DataError, FashionMNIST, FreyFaces, Images, LarochelleMNIST, Splits
from datamodules.published_file import Digest, PublishedFile
from datamodules.published_images import PublishedImages
from tests.published import DEAD, serving

PUBLISHED: list[tuple[type[PublishedImages], tuple[int, int, int], str]] = [
    (MNIST, (1, 28, 28), "dynamic"),
    (FashionMNIST, (1, 28, 28), "grey"),
    (FreyFaces, (1, 28, 20), "grey"),
    (OMNIGLOT, (1, 28, 28), "dynamic"),
    (LarochelleMNIST, (1, 28, 28), "binary"),
]
PIXELS = np.random.default_rng(0).integers(0, 256, (11, 1, 3, 2), dtype=np.uint8)
RIGHT, WRONG = PIXELS.tobytes(), PIXELS[::-1].tobytes()


def parse(content: bytes, name: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(-1, 1, 3, 2)


class Tiny(PublishedImages):
    """One file, which may lie under another name."""

    x_shape = (1, 3, 2)
    folder = "Tiny/raw"
    mirrors = (DEAD,)
    files = (
        PublishedFile(
            "tiny.bin",
            Digest("sha256", hashlib.sha256(RIGHT).hexdigest()),
            parse,
            others=(PublishedFile("tiny.raw", Digest("md5", hashlib.md5(RIGHT).hexdigest()), parse),),
        ),
    )

    def load(self) -> Splits:
        return Splits(*map(Images, self.read(self.files[0]).split((5, 2, 4))))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving({"tiny.bin": RIGHT}) as address:
        monkeypatch.setattr(Tiny, "mirrors", (DEAD, address))
        yield


@pytest.mark.parametrize(("cls", "x_shape", "pixels"), PUBLISHED)
def test_shape_and_pixels_are_known_without_the_files(
    cls: type[PublishedImages], x_shape: tuple[int, int, int], pixels: str, cache: Path
) -> None:
    data = cls(batch_size=7)
    assert data.x_shape == x_shape
    assert data.pixels_name == pixels
    assert not cache.exists()


@pytest.mark.parametrize(("cls", "x_shape", "pixels"), PUBLISHED)
def test_nothing_is_downloaded_where_a_folder_is_named(
    cls: type[PublishedImages], x_shape: tuple[int, int, int], pixels: str, tmp_path: Path, cache: Path
) -> None:
    data = cls(data_dir=tmp_path)
    data.prepare_data()
    name = cls.files[0].name.replace(".", r"\.")
    with pytest.raises(DataError, match=rf"does not hold {name}: place {name}.*--data\.data_dir or ZOO_DATA_DIR"):
        data.setup("fit")
    assert not cache.exists()


@pytest.mark.usefixtures("served")
def test_files_are_downloaded_to_the_cache(cache: Path) -> None:
    data = Tiny()
    with pytest.raises(DataError, match=r"cache does not hold tiny\.bin.*call prepare_data\(\)"):
        data.load()
    data.prepare_data()
    assert (cache / "Tiny" / "raw" / "tiny.bin").read_bytes() == RIGHT
    assert data.description == "Tiny, grey pixels, 5/2/4"


@pytest.mark.usefixtures("served")
def test_a_file_damaged_in_the_cache_is_refused_until_it_is_fetched_anew(cache: Path) -> None:
    (cache / "Tiny" / "raw").mkdir(parents=True)
    (cache / "Tiny" / "raw" / "tiny.bin").write_bytes(WRONG)
    with pytest.raises(DataError, match=r"tiny\.bin is damaged or another file .*fetch it anew"):
        Tiny().load()
    data = Tiny()
    data.prepare_data()
    assert torch.equal(data.load().train.images, torch.from_numpy(PIXELS[:5]))


def test_without_a_network_the_message_says_what_to_place(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        Tiny().prepare_data()
    assert str(caught.value) == (
        f"tiny.bin could not be downloaded to {cache}/Tiny/raw: {DEAD}tiny.bin failed (ConnectionError). Without a "
        "network, place tiny.bin or tiny.raw in one folder, and name it by --data.data_dir or ZOO_DATA_DIR."
    )
    assert caught.value.__suppress_context__


def test_a_cache_that_cannot_be_written_is_named(cache: Path) -> None:
    cache.touch()
    with pytest.raises(DataError, match=r"tiny\.bin cannot be written .*let the environment variable ZOO_CACHE_DIR"):
        Tiny().prepare_data()


@pytest.mark.parametrize("layout", ["Tiny/raw", "raw", "."])
@pytest.mark.parametrize("name", ["tiny.bin", "tiny.raw"])
def test_a_folder_of_yours_may_be_named_by_the_environment(
    layout: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / layout).mkdir(parents=True)
    (tmp_path / "mine" / layout / name).write_bytes(RIGHT)
    monkeypatch.setenv("ZOO_DATA_DIR", str(tmp_path / "mine"))
    assert torch.equal(Tiny().load().test.images, torch.from_numpy(PIXELS[7:]))


@pytest.mark.parametrize("name", ["tiny.bin", "tiny.raw"])
def test_another_file_under_a_published_name_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(WRONG)
    with pytest.raises(DataError, match=rf"{tmp_path}/{name} is damaged or another file"):
        Tiny(tmp_path).load()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny.bin").mkdir()
    with pytest.raises(DataError, match=r"tiny\.bin cannot be read \(Is a directory\): make it readable"):
        Tiny(tmp_path).load()
