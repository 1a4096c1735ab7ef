"""Files that are whole or not there, and folders that can be written to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import ZooError


def made_folder(path: str | Path) -> Path:
    """A folder to write to, made where it is missing.

    Raises:
        ZooError: It cannot be made, or not be written to.
    """
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(f"{path} is no folder and cannot be made one ({error.strerror}): name another place.") from error
    if not os.access(path, os.W_OK):
        raise ZooError(f"{path} cannot be written to: see to the rights there, or name another place.")
    return path


@contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Gives a place beside ``path`` to write to, and moves what stands there to ``path`` in one step at the end.

    Where the writing fails, ``path`` stays as it was and nothing is left beside it.

    Args:
        path: The file to write; its folder is made where it is missing.

    Raises:
        ZooError: It cannot be written: the disk is full, the rights are missing, something else stands there.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    if path.exists() and not path.is_file():  # a folder or a device, which would be replaced
        raise ZooError(f"{path} is no file that could be written anew: name another.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ZooError(
            f"{path} cannot be written ({error.strerror or error}): see to the space and the rights there, or name "
            "another place."
        ) from error
