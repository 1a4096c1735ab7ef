"""Reads IDX, the format of MNIST: two zero bytes, a type, the number of axes, their sizes, the values."""

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from datamodules.errors import DataError

_UBYTE = 0x08


def find_idx(folder: Path, name: str) -> Path | None:
    """Returns where `name` lies in `folder`, packed (.gz) or not, or None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(path: Path, md5: str | None = None) -> Tensor:
    """Reads a file of unsigned bytes.

    Args:
        path: The file, packed where its name ends in .gz.
        md5: The digest its unpacked content must have, if it is known.

    Returns:
        The values as uint8, of the shape the file names.

    Raises:
        DataError: Where the file is truncated, damaged, not IDX, or not the one that was expected.
    """
    content = _unpacked(path)
    if md5 is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path} is not the published file (md5 {md5} unpacked): delete it and fetch it anew.")
    return parse_idx(content, str(path))


def parse_idx(content: bytes, name: str) -> Tensor:
    """Parses the content of an IDX file of unsigned bytes; `name` stands in messages."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UBYTE:
        raise DataError(
            f"{name} is not an IDX file of unsigned bytes: it begins with"
            f" {content[:4].hex(' ') or 'nothing'}; expected 00 00 08 and the number of axes; fetch it anew."
        )
    axes = content[3]
    start = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", content[4:start]) if len(content) >= start else ()
    if len(content) != start + math.prod(shape) or len(shape) != axes:
        raise DataError(
            f"{name} is truncated or too long: it has {len(content)} bytes, but its header names {axes} axes"
            f" of sizes {shape}; fetch it anew."
        )
    # A bytearray, because a tensor must be writable.
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[start:].reshape(shape)


def _unpacked(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read or unpacked ({error}): fetch it anew.") from None
