"""A folder of pictures."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from datamodules.errors import DataError
from datamodules.packed_images import PackedImages
from datamodules.packing import NO_LABEL, Example, Source
from datamodules.split_names import published_splits

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class Folder(Source):
    """The pictures below one folder, sorted by their paths.

    Args:
        path: The folder.
        files: The pictures, as paths below it.
        classes: The names of the classes, sorted; empty where the pictures have no labels.
    """

    def __init__(self, path: Path, files: list[str], classes: list[str]) -> None:
        super().__init__(str(path))
        self.path = path
        self.files = files
        self.labels = {name: number for number, name in enumerate(classes)}

    def identity(self) -> str:
        """The folder, and of every file its path, size, time and label."""
        files = [(file, *_size_and_time(self.path / file), self._label(file)) for file in self.files]
        return repr((str(self.path.resolve()), files))

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Example]:
        for file in self.files:
            yield Example(_read(self.path / file), self._label(file), str(self.path / file))

    def _label(self, file: str) -> int:
        return self.labels.get(Path(file).parts[0], NO_LABEL)


class ImageFolder(PackedImages):
    """The pictures below a folder: PNG, JPEG, BMP, GIF, WebP, TIFF, PPM; other and hidden files are passed over.

    Where the folder has subfolders train (or training), val (valid, validation, dev) and test (testing), these are
    the splits, and where one of the last two is missing, it is taken from train at random; without any of them, all
    pictures are split at random. If every picture of a split lies in a folder of its class, the sorted names of these
    folders are its labels 0, 1, ...

    Pictures are turned as the camera was held. What can be seen through, is animated or grey of more than 8 bits is
    refused; of colours Pillow keeps 8 bits. At the first start all are decoded into one array in the cache folder,
    and again when a file changes.

    Args:
        path: The folder.
        **kwargs: Passed to `PackedImages`.
    """

    def __init__(
        self,
        path: str | Path,
        **kwargs: Any,
    ) -> None:
        self.path = Path(path).expanduser()
        self._sources = _sources(self.path)
        super().__init__(where=str(self.path), **kwargs)

    @property
    def sources(self) -> dict[str, Folder]:
        """The pictures of each folder that is a split."""
        return self._sources


def _sources(root: Path) -> dict[str, Folder]:
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; give the path of a folder of images.")
    _, names, _ = next(_walk(root))
    folders = {split: root / name for split, name in published_splits(str(root), names).items()} or {"train": root}
    files = {split: _files(folder) for split, folder in folders.items()}
    # One list for all splits, so that a class has the same number in each.
    classes = sorted({name for split, folder in folders.items() for name in _classes(folder, files[split])})
    return {split: Folder(folder, files[split], classes) for split, folder in folders.items()}


def _files(folder: Path) -> list[str]:
    """Returns the pictures below a folder, sorted; hidden files are none."""
    found = [
        (parent / name).relative_to(folder).as_posix()
        for parent, _, names in _walk(folder)
        for name in names
        if name.lower().endswith(SUFFIXES) and not name.startswith(".")
    ]
    if not found:
        raise DataError(f"{folder} holds no images ({' '.join(SUFFIXES)}), neither do the folders in it.")
    return sorted(found)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Goes through a folder and those below it that are not hidden; gives each, and the folders and files in it."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{folder} cannot be read ({error}); see to its rights.") from None

    walked = set()
    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        if (true := os.path.realpath(parent)) in walked:
            raise DataError(f"{folder} holds {true} twice, by a link, so its images would count twice; take it away.")
        walked.add(true)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(parent), folders, files


def _classes(folder: Path, files: list[str]) -> set[str]:
    inside = [file for file in files if "/" in file]
    if inside and len(inside) < len(files):
        direct = next(file for file in files if "/" not in file)
        raise DataError(
            f"{folder} holds images directly ({direct}) and in folders ({inside[0]}); put all of them in"
            " folders of their classes, or none."
        )
    return {Path(file).parts[0] for file in inside}


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); mend it or take it away.") from None
    return status.st_size, status.st_mtime_ns


def _read(path: Path) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(path.read_bytes()))
        image.load()
    except Exception as error:  # of a damaged file Pillow's readers raise whatever comes
        # Pillow names what it was given, which is no file here.
        why = "no format that is known" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{path} cannot be read as an image ({why}); mend it or take it away.") from None
    return image
