"""How a published file is known to be whole."""

import gzip
import hashlib

import pytest

from datamodules import DataError
from datamodules.published_file import Digest, GitBlob, PublishedFile, Readable, Unpacked

CONTENT = b"seven stars, 1965 frames\n"
MD5 = Digest("md5", hashlib.md5(CONTENT).hexdigest())
PACKED = gzip.compress(CONTENT, mtime=0)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_a_digest_tells_contents_apart(algorithm: str) -> None:
    check = Digest(algorithm, hashlib.new(algorithm, CONTENT).hexdigest())
    assert check.fault(CONTENT) is None
    other = hashlib.new(algorithm, b"").hexdigest()
    assert check.fault(b"") == f"its {algorithm} is {other}, not {check.digest}"


@pytest.mark.parametrize(
    ("content", "name"),
    [(b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"), (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a")],
)
def test_a_git_blob_has_the_name_that_git_gives_it(content: bytes, name: str) -> None:
    assert GitBlob(name).fault(content) is None
    fault = GitBlob(name).fault(content + b"!")
    assert fault is not None
    assert fault.startswith("as a git blob, its sha1 is ")


@pytest.mark.parametrize("level", [0, 1, 9])
def test_packed_content_may_be_packed_in_any_way(level: int) -> None:
    assert Unpacked(MD5).fault(gzip.compress(CONTENT, level)) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "unpacked, its md5 is d41d8cd98f00b204e9800998ecf8427e"),
        (gzip.compress(CONTENT[1:], mtime=0), "unpacked, its md5 is"),
        (CONTENT, "it cannot be unpacked (Not a gzipped file"),
        (PACKED[:-9], "it cannot be unpacked (Compressed file ended"),
        (PACKED[:-1] + b"?", "it cannot be unpacked (Incorrect length"),
        (PACKED[:12] + b"?" + PACKED[13:], "it cannot be unpacked ("),
    ],
)
def test_damaged_packed_content_is_told(content: bytes, message: str) -> None:
    fault = Unpacked(MD5).fault(content)
    assert fault is not None
    assert fault.startswith(message)


def number(content: bytes, name: str) -> int:
    if not content.isdigit():
        raise DataError(f"{name} is no number")
    return int(content)


def test_content_without_a_digest_is_known_by_being_readable() -> None:
    assert Readable(number).fault(b"17") is None
    assert Readable(number).fault(b"17?") == "it is no number"


def test_only_the_published_content_is_parsed() -> None:
    parsed: list[bytes] = []
    file = PublishedFile("a.txt", MD5, lambda content, name: parsed.append(content))
    with pytest.raises(DataError, match=r"there is damaged or another file than the published one \(its md5 is .*anew"):
        file.read(CONTENT[:-1], "there")
    assert parsed == []
    file.read(CONTENT, "there")
    assert parsed == [CONTENT]
