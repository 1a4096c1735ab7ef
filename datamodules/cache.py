"""Files this package keeps: where they lie, and how they are written whole."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import pooch

from datamodules.errors import DataError

_A_DAY = 24 * 3600.0


def cache_dir() -> Path:
    """Returns $ZOO_CACHE_DIR where it is set, else the cache folder of the operating system."""
    return Path(os.environ.get("ZOO_CACHE_DIR") or pooch.os_cache("vae-zoo")).expanduser()


@contextmanager
def draft_of(path: Path, stays: Callable[[], bool] = lambda: False) -> Iterator[Path]:
    """Gives a place beside `path` to write to, and moves what stands there to `path` in one step at the end.

    Each call gives another place, so writers on any number of machines do not meet. Where the writing fails,
    `path` stays as it was and nothing is left beside it.

    Args:
        path: The file; its folder is made where it is missing.
        stays: Asked at the end, whether `path` is to stay as it is by then, and the draft to be thrown away.

    Raises:
        DataError: Where the folder cannot be written to.
    """
    draft = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_drafts(path)
        try:
            yield draft
            if not stays():
                os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error}); let the environment variable ZOO_CACHE_DIR name a folder that can."
        ) from None


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file that appears under its name only when it is complete.

    Args:
        path: The file; its folder is made where it is missing.
        write: Writes the content to the open file it is given.

    Raises:
        DataError: Where the folder cannot be written to.
    """
    with draft_of(path) as draft, draft.open("wb") as file:
        write(file)


def _clear_drafts(path: Path) -> None:
    """Deletes what killed processes have left; a draft that nobody wrote to for a day has no writer any more."""
    for draft in path.parent.glob(f"{path.name}.*.part"):
        with suppress(FileNotFoundError):  # its writer has just finished
            if time.time() - draft.stat().st_mtime > _A_DAY:
                draft.unlink()
