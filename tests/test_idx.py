"""The format of MNIST."""

import gzip
import hashlib

import numpy as np
import pytest
import torch

from datamodules import DataError
from datamodules.idx import idx_file, parse_idx
from datamodules.published_file import Digest
from tests.published import idx

IMAGES = np.arange(30, dtype=np.uint8).reshape(5, 3, 2)
PLAIN = idx(IMAGES)
PACKED = gzip.compress(PLAIN, mtime=0)
FILE = idx_file(
    "images",
    packed=Digest("sha256", hashlib.sha256(PACKED).hexdigest()),
    unpacked=Digest("md5", hashlib.md5(PLAIN).hexdigest()),
)


def test_idx_is_read_packed_or_not() -> None:
    forms = [(form.name, form) for form in (FILE, *FILE.others)]
    contents = [PACKED, PLAIN, gzip.compress(PLAIN, 1)]
    assert [name for name, _ in forms] == ["images.gz", "images", "images.gz"]
    for (_, form), content in zip(forms, contents, strict=True):
        assert torch.equal(form.read(content, "there"), torch.from_numpy(IMAGES))
        with pytest.raises(DataError, match="there is damaged or another file"):
            form.read(content[:-1], "there")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file.*nothing"),
        (b"\x89PNG....", "not an IDX file.*89 50 4e 47"),
        (b"\0\0\x0d\x01" + bytes(8), "not an IDX file"),
        (PLAIN[:9], "truncated or too long: it has 9 bytes"),
        (PLAIN[:-1], r"truncated or too long: it has 45 bytes.*\(5, 3, 2\)"),
        (PLAIN + b"\0", "truncated or too long: it has 47 bytes"),
    ],
)
def test_bad_idx_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"somewhere is {message}"):
        parse_idx(content, "somewhere")
