"""Downloads that are whole and right, or not there."""

from collections.abc import Sequence
from pathlib import Path

import pooch

from datamodules.cache import draft_of
from datamodules.errors import DataError
from datamodules.published_file import Check, PublishedFile, content_of

_CHUNK = 2**16


class DownloadError(DataError):
    """A file that no mirror served whole."""


class _MirrorError(Exception):
    """What was wrong with one mirror, as a clause that begins with the address."""


def fetch(file: PublishedFile, mirrors: Sequence[str], folder: Path) -> None:
    """Downloads a file from the first mirror that serves it whole, unless it lies in `folder` already.

    It appears there only after it has passed its check. One that was damaged since is replaced. Processes that
    download at once each write a draft of their own, and the last one that is ready leaves its file.

    Args:
        file: What to fetch.
        mirrors: The addresses its name is appended to.
        folder: Where it is kept.

    Raises:
        DownloadError: Where no mirror served it whole; the message says of each what was wrong.
        DataError: Where the folder cannot be written to.
    """
    path = folder / file.name
    content = content_of(path)
    if content is not None and file.check.fault(content) is None:
        return
    faults = []
    for mirror in mirrors:
        try:
            with draft_of(path) as draft:
                _download(mirror + file.name, file.check, draft)
            return
        except _MirrorError as error:
            faults.append(str(error))
    raise DownloadError(f"{file.name} could not be downloaded to {folder}: {'; '.join(faults)}.")


def _download(url: str, check: Check, draft: Path) -> None:
    import requests  # here, because few runs download anything

    pooch.get_logger().info("Downloading %s", url)
    # Not to be compressed on the way: the size that is announced is then that of the file.
    download = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK, headers={"Accept-Encoding": "identity"})
    try:
        download(url, str(draft), None)
    except requests.RequestException as error:
        answer = error.response
        reason = type(error).__name__ if answer is None else f"{answer.status_code} {answer.reason}"
        raise _MirrorError(f"{url} failed ({reason})") from None
    fault = check.fault(draft.read_bytes())
    if fault is not None:
        raise _MirrorError(f"{url} served another content ({fault})")
