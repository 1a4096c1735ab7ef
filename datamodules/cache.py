"""Files this package keeps: where they lie, how they are fetched, and how they are written whole."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import pooch

from datamodules.errors import DataError


def cache_dir() -> Path:
    """Returns $ZOO_CACHE_DIR where it is set, else the cache folder of the operating system."""
    return Path(os.environ.get("ZOO_CACHE_DIR") or pooch.os_cache("vae-zoo")).expanduser()


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file that appears under its name only when it is complete.

    Args:
        path: The file; its folder is made where it is missing.
        write: Writes the content to the open file it is given.

    Raises:
        DataError: Where the folder cannot be written to.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                write(file)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error}); let the environment variable ZOO_CACHE_DIR name a folder that can."
        ) from None


def fetch(hashes: Mapping[str, str], mirrors: Sequence[str], folder: Path) -> None:
    """Downloads files that are not in `folder` yet, each from the first mirror that serves the right content.

    Args:
        hashes: For each file name the hash of its content, as "algorithm:digest".
        mirrors: Addresses the names are appended to.
        folder: Where the files are kept; only whole and right ones appear there.

    Raises:
        DataError: Where no mirror served a file.
    """
    for name, known_hash in hashes.items():
        failures = []
        for mirror in mirrors:
            failure = _failure(mirror + name, known_hash, folder / name)
            if failure is None:
                break
            failures.append(failure)
        else:
            raise DataError(f"{name} could not be downloaded to {folder}: {'; '.join(failures)}.")


def _failure(url: str, known_hash: str, path: Path) -> str | None:
    """Fetches one file; returns why that failed, or None."""
    try:
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, progressbar=True)
    except OSError as error:  # what requests raises, and what a full or locked disk does
        return f"{url} failed ({type(error).__name__})"
    except ValueError:
        return f"{url} served another content"
    return None
