"""The base of the data sets that are published as files of known content."""

import os
from pathlib import Path
from typing import Any, ClassVar

from datamodules.base import ImageDataModule
from datamodules.cache import cache_dir
from datamodules.downloads import DownloadError, fetch
from datamodules.errors import DataError
from datamodules.published_file import PublishedFile, content_of


class PublishedImages(ImageDataModule):
    """Images that are published as files, downloaded to the cache folder or read from a folder of yours.

    A leaf names its files and where they are served, and loads its splits from what `read` returns. Only the
    published content is accepted.

    Args:
        data_dir: The folder of yours; by default $ZOO_DATA_DIR, and where that is not set the cache folder.
        **kwargs: Passed to `ImageDataModule`.

    Attributes:
        folder: Where the files lie below that folder; they are also found in its last parts, or directly.
        mirrors: The addresses the names of the files are appended to, in the order they are tried.
        files: What is downloaded.
    """

    folder: ClassVar[str]
    mirrors: ClassVar[tuple[str, ...]]
    files: ClassVar[tuple[PublishedFile, ...]]

    def __init__(self, data_dir: str | Path | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_dir = data_dir or os.environ.get("ZOO_DATA_DIR") or None

    def prepare_data(self) -> None:
        """Downloads the files that the cache folder lacks; does nothing where you name a folder."""
        if self.data_dir is not None:
            return
        for file in self.files:
            try:
                fetch(file, self.mirrors, cache_dir() / self.folder)
            except DownloadError as error:
                raise DataError(f"{error} Without a network, {self._how_to_place()}.") from None

    def read(self, file: PublishedFile) -> Any:
        """Reads one of the files, or what is accepted in its place, from the first folder that holds it."""
        for folder in self._folders():
            for form in (*file.others, file):
                content = content_of(folder / form.name)
                if content is not None:
                    return form.read(content, str(folder / form.name))
        raise DataError(
            f"{self._root()} does not hold {file.name}: {self._how_to_place()}, or leave both unset and call"
            " prepare_data(), as a Trainer does, which downloads it."
        )

    def _root(self) -> Path:
        return Path(self.data_dir or cache_dir()).expanduser()

    def _folders(self) -> list[Path]:
        parts = Path(self.folder).parts
        return [self._root().joinpath(*parts[skipped:]) for skipped in range(len(parts) + 1)]

    def _how_to_place(self) -> str:
        return (
            f"place {', '.join(map(_names, self.files))} in one folder, and name it by --data.data_dir or ZOO_DATA_DIR"
        )


def check_val_size(name: str, val_size: int, size: int) -> None:
    """Refuses a number of validation images that leaves none of the `size` training images of `name`."""
    if not (isinstance(val_size, int) and 0 <= val_size < size):
        raise DataError(f"val_size is {val_size}; {name} has {size:,} training images, so give 0 to {size - 1:,}.")


def _names(file: PublishedFile) -> str:
    others = dict.fromkeys(other.name for other in file.others if other.name != file.name)
    return " or ".join((file.name, *others))
