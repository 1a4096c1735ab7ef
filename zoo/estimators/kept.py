"""What is finished of a long task, in a file from which it is gone on with."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import ZooError
from zoo.files import written_whole
from zoo.proposals import Proposal


class Kept:
    """Columns of numbers, one for each example that is finished, in a file that is whole at any moment.

    Args:
        path: The file; None to keep nothing.
        *task: All that the numbers depend on: see `digest`.
    """

    def __init__(self, path: str | Path | None, *task: Any) -> None:
        self._path = None if path is None else Path(path)
        self._task = "" if path is None else digest(*task)

    def load(self, device: torch.device) -> list[Tensor]:
        """What the file holds, one tensor of columns, or nothing.

        Raises:
            ZooError: It holds the numbers of another task, or something else.
        """
        if self._path is None or not self._path.exists():
            return []
        try:
            held = torch.load(self._path, map_location=device, weights_only=True)
            task, columns = held["task"], held["columns"]
        except Exception as error:  # torch raises many kinds
            raise ZooError(f"{self._path} holds no numbers to go on from: name another file, or remove it.") from error
        if task != self._task:
            raise ZooError(
                f"{self._path} holds the numbers of another model, other examples or other settings: name another file."
            )
        return [columns]

    def save(self, columns: Tensor) -> None:
        """Writes the columns anew."""
        if self._path is not None:
            with written_whole(self._path) as part:
                torch.save({"task": self._task, "columns": columns}, part)


def digest(*things: Any) -> str:
    """A hash of numbers, words, tensors, the weights of modules, and proposals that are made of these.

    Example:
        >>> digest(1, torch.ones(2)) == digest(1, torch.ones(2)), digest(1, 11) == digest(11, 1)
        (True, False)
    """
    return hashlib.sha256(b"".join(hashlib.sha256(_bytes(thing)).digest() for thing in things)).hexdigest()


def _bytes(thing: Any) -> bytes:
    """The bytes that a thing is told by, hashed where they are many."""
    if isinstance(thing, Tensor):
        flat = thing.detach().cpu().contiguous().flatten()
        return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).digest() + repr(thing.shape).encode()
    if isinstance(thing, nn.Module):
        # Buffers that are not saved count too, as a fixed variance, and what is in neither, as an activation.
        return repr(thing).encode() + _bytes(thing.state_dict()) + _bytes(dict(thing.named_buffers()))
    if isinstance(thing, list | tuple):
        return digest(*thing).encode()
    if isinstance(thing, Mapping):
        return digest(*(part for item in thing.items() for part in item)).encode()
    if isinstance(thing, Proposal):
        return _bytes(type(thing).__qualname__) + _bytes(vars(thing))
    return repr(thing).encode()
