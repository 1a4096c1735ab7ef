"""MNIST with Larochelle's binarisation: text files without a digest."""

from pathlib import Path

import numpy as np
import pytest

from datamodules import DataError, Grey, LarochelleMNIST
from datamodules.larochelle_mnist import amat_file, parse_amat
from tests.published import amat, files_below, serving

SIZES = {"train": 11, "valid": 3, "test": 5}
RANDOM = np.random.default_rng(0)
DIGITS = {part: RANDOM.integers(0, 2, (n, 784), dtype=np.uint8) for part, n in SIZES.items()}
TEXTS = {f"binarized_mnist_{part}.amat": amat(pixels) for part, pixels in DIGITS.items()}
TEXT = TEXTS["binarized_mnist_valid.amat"]


@pytest.fixture(autouse=True)
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LarochelleMNIST, "files", tuple(amat_file(part, n) for part, n in SIZES.items()))


@pytest.mark.parametrize("layout", ["LarochelleMNIST", "."])
def test_the_three_files_are_the_splits(layout: str, tmp_path: Path) -> None:
    (tmp_path / layout).mkdir(exist_ok=True)
    for name, text in TEXTS.items():
        (tmp_path / layout / name).write_bytes(text)
    data = LarochelleMNIST(tmp_path)
    assert data.description == "LarochelleMNIST, binary pixels, 11/3/5"
    for part, pixels in zip(data.splits, DIGITS.values(), strict=True):
        np.testing.assert_array_equal(part.images.numpy(), 255 * pixels.reshape(-1, 1, 28, 28))
    assert LarochelleMNIST(tmp_path, pixels=Grey()).splits.test.images.unique().tolist() == [0, 255]


def test_the_files_are_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_DATA_DIR", raising=False)
    monkeypatch.setenv("ZOO_CACHE_DIR", str(tmp_path))
    with serving({f"right/{name}": text for name, text in TEXTS.items()} | {f"wrong/{n}": TEXT for n in TEXTS}) as url:
        monkeypatch.setattr(LarochelleMNIST, "mirrors", (f"{url}wrong/",))
        with pytest.raises(DataError, match=r"wrong/\S* served another content \(it holds 3 lines, and not 11 of 784"):
            LarochelleMNIST().prepare_data()
        assert files_below(tmp_path) == []
        monkeypatch.setattr(LarochelleMNIST, "mirrors", (f"{url}wrong/", f"{url}right/"))
        LarochelleMNIST().prepare_data()
    assert files_below(tmp_path / "LarochelleMNIST") == sorted(TEXTS)


@pytest.mark.parametrize(
    "text",
    [
        TEXT.rstrip(),
        TEXT.replace(b" \n", b"\n"),
        TEXT.replace(b"\n", b"\r\n"),
        TEXT.replace(b" ", b"\t  "),
        TEXT + b"\n\n",
    ],
)
def test_blanks_do_not_matter(text: bytes) -> None:
    np.testing.assert_array_equal(parse_amat(text, "it", 3).flatten(1).numpy(), 255 * DIGITS["valid"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it holds 0 lines, and not 3 of 784 numbers each"),
        (TEXT[:-3], "it holds 3 lines, and not 3 of 784"),
        (TEXT[: len(TEXT) // 3], "it holds 1 lines, and not 3"),
        (TEXT + TEXT, "it holds 6 lines, and not 3"),
        (TEXT.replace(b"\n", b" "), "it holds 1 lines, and not 3"),
        (TEXT[:1568] + TEXT[1569:1571] + b"\n" + TEXT[1571:], "it holds 3 lines"),
        (TEXT.replace(b"1", b"2"), "it holds more than the numbers 0 and 1"),
        (TEXT.replace(b"1", b"1.0"), "it holds more than the numbers 0 and 1"),
        (TEXT.replace(b" 1", b"01", 1), "it holds more than the numbers 0 and 1 with blanks between"),
        (b"<html></html>", "it holds more than the numbers 0 and 1"),
    ],
)
def test_texts_of_anything_else_are_refused(text: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_amat(text, "it", 3)
