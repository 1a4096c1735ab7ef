"""Reads IDX, the format of MNIST: two zero bytes, a type, the number of axes, their sizes, the values."""

import gzip
import math
import struct

import torch
from torch import Tensor

from datamodules.errors import DataError
from datamodules.published_file import Check, PublishedFile, Unpacked

_UBYTE = 0x08


def idx_file(name: str, packed: Check, unpacked: Check | None = None) -> PublishedFile:
    """Returns the packed IDX file `name`.gz.

    Args:
        name: Its name without .gz.
        packed: How it is known to be whole.
        unpacked: How its unpacked content is known; where that is given, `name` itself is accepted too, and so is
            the same content packed in another way.
    """
    published = PublishedFile(f"{name}.gz", packed, parse_packed_idx)
    if unpacked is None:
        return published
    plain = PublishedFile(name, unpacked, parse_idx)
    return published._replace(others=(plain, published._replace(check=Unpacked(unpacked))))


def parse_packed_idx(content: bytes, name: str) -> Tensor:
    """Parses the content of an IDX file that gzip packed; `name` stands in messages."""
    return parse_idx(gzip.decompress(content), name)


def parse_idx(content: bytes, name: str) -> Tensor:
    """Parses the content of an IDX file of unsigned bytes; `name` stands in messages.

    Returns:
        The values as uint8, of the shape the file names.

    Raises:
        DataError: Where the content is truncated, too long or not IDX.
    """
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
