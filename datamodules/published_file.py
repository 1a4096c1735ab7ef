"""A published file: its name, how it is known to be whole, how it is read."""

import gzip
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from datamodules.errors import DataError

Parse = Callable[[bytes, str], Any]
"""Reads the content of a file; the text says where it stands, and begins the sentence of a `DataError`."""


class Check(Protocol):
    """How the content of a file is known to be the published one."""

    def fault(self, content: bytes) -> str | None:
        """Returns what is wrong with the content, as a clause, or None where it is right."""
        ...


class Digest(NamedTuple):
    """The content has a known digest.

    Args:
        algorithm: The name hashlib knows it by.
        digest: The digest, in hexadecimal digits.

    Example:
        >>> Digest("md5", "900150983cd24fb0d6963f7d28e17f72").fault(b"abc") is None
        True
        >>> Digest("md5", "?").fault(b"abc")
        'its md5 is 900150983cd24fb0d6963f7d28e17f72, not ?'
    """

    algorithm: str
    digest: str

    def fault(self, content: bytes) -> str | None:
        """Compares the digests."""
        found = hashlib.new(self.algorithm, content, usedforsecurity=False).hexdigest()
        return None if found == self.digest else f"its {self.algorithm} is {found}, not {self.digest}"


class GitBlob(NamedTuple):
    """The content has a known name in a git repository: the sha1 of "blob", its size, a zero byte and itself.

    Args:
        sha1: The name, in hexadecimal digits, as `git hash-object` prints it.
    """

    sha1: str

    def fault(self, content: bytes) -> str | None:
        """Compares the names."""
        fault = Digest("sha1", self.sha1).fault(b"blob %d\0" % len(content) + content)
        return fault and f"as a git blob, {fault}"


class Unpacked(NamedTuple):
    """The content is packed by gzip, and passes another check once it is unpacked: it may be packed in any way.

    Args:
        check: The other check.
    """

    check: Check

    def fault(self, content: bytes) -> str | None:
        """Unpacks the content and checks what comes out."""
        try:
            fault = self.check.fault(gzip.decompress(content))
        except (OSError, EOFError, zlib.error) as error:
            return f"it cannot be unpacked ({error})"
        return fault and f"unpacked, {fault}"


class Readable(NamedTuple):
    """The content can be read: all that can be asked where no digest has been published.

    Args:
        parse: Reads it, and raises a `DataError` where that is not possible.
    """

    parse: Parse

    def fault(self, content: bytes) -> str | None:
        """Reads the content."""
        try:
            self.parse(content, "it")
        except DataError as error:
            return str(error)
        return None


class PublishedFile(NamedTuple):
    """A published file, and what is accepted in its place.

    Args:
        name: Its name.
        check: How it is known to be whole.
        parse: Reads it; called with content that passed the check.
        others: The same data under other names or packed in other ways, as they may lie in a folder of one's own.
    """

    name: str
    check: Check
    parse: Parse
    others: tuple["PublishedFile", ...] = ()

    def read(self, content: bytes, name: str) -> Any:
        """Reads the content, if it is the published one; `name` stands in messages.

        Raises:
            DataError: Where it is damaged, or that of another file.
        """
        fault = self.check.fault(content)
        if fault is not None:
            raise DataError(f"{name} is damaged or another file than the published one ({fault}): fetch it anew.")
        return self.parse(content, name)


def content_of(path: Path) -> bytes | None:
    """Returns the content of a file, or None where there is no such file.

    Raises:
        DataError: Where it cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): make it readable, or fetch it anew.") from None
