"""Downloads that are whole and right, or not there."""

import errno
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from tqdm import tqdm

from datamodules import DataError
from datamodules.downloads import DownloadError, fetch
from datamodules.published_file import Digest, PublishedFile
from tests.published import DEAD, Slowly, broken_off, files_below, serving

# Forking is safe here: the child downloads one file and ends.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")

CONTENT = bytes(range(256)) * 3001
FILE = PublishedFile("a.bin", Digest("sha256", hashlib.sha256(CONTENT).hexdigest()), lambda content, name: content)
TWO_DAYS = 2 * 24 * 3600


@pytest.fixture
def server() -> Iterator[str]:
    pages = {
        "right/a.bin": CONTENT,
        "swapped/a.bin": CONTENT[::-1],
        "page/a.bin": b"<html>Sign in to this network</html>",
        "broken/a.bin": Slowly(CONTENT, broken_off),
        "empty/a.bin": b"",
    }
    with serving(pages) as address:
        yield address


@pytest.mark.parametrize("first", ["missing/", "swapped/", "page/", "broken/", "empty/", DEAD, "nonsense://"])
def test_a_download_goes_on_to_the_next_mirror(first: str, server: str, tmp_path: Path) -> None:
    wrong = first if "://" in first else server + first
    fetch(FILE, (wrong, server + "right/", DEAD), tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "a.bin").read_bytes() == CONTENT
    assert files_below(tmp_path) == ["a.bin"]


def test_without_a_right_mirror_the_message_says_what_was_wrong_with_each(server: str, tmp_path: Path) -> None:
    mirrors = (DEAD, *(f"{server}{name}/" for name in ("missing", "broken", "page")))
    with pytest.raises(DownloadError) as caught:
        fetch(FILE, mirrors, tmp_path)
    expected = (
        f"a.bin could not be downloaded to {tmp_path}: {DEAD}a.bin failed (ConnectionError); "
        f"{server}missing/a.bin failed (404 Not Found); {server}broken/a.bin failed (ChunkedEncodingError); "
        f"{server}page/a.bin served another content (its sha256 is "
    )
    assert str(caught.value).startswith(expected)
    assert files_below(tmp_path) == []


def test_a_whole_file_is_not_downloaded_again(server: str, tmp_path: Path) -> None:
    fetch(FILE, (server + "right/",), tmp_path)
    fetch(FILE, (DEAD,), tmp_path)


def test_progress_is_shown(server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch(FILE, (server + "right/",), tmp_path)
    assert "100%" in capfd.readouterr().err


@pytest.mark.parametrize("damaged", [b"", CONTENT[:-1], CONTENT[::-1]])
def test_a_file_that_was_damaged_since_is_fetched_anew(damaged: bytes, server: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(damaged)
    with pytest.raises(DownloadError):
        fetch(FILE, (DEAD,), tmp_path)
    fetch(FILE, (server + "right/",), tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_an_interruption_leaves_nothing(server: str, tmp_path: Path) -> None:
    class Interrupted:
        def fault(self, content: bytes) -> str | None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(FILE._replace(check=Interrupted()), (server + "right/",), tmp_path)
    assert files_below(tmp_path) == []


@pytest.fixture(autouse=True)
def lock_of_one_process() -> Iterator[None]:
    """A lock of the progress bars that forks do not share: who is killed would take it along, and all others wait."""
    before = tqdm.get_lock()
    tqdm.set_lock(threading.RLock())
    yield
    tqdm.set_lock(before)


def start(mirror: str, folder: Path) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=fetch, args=(FILE, (mirror,), folder))
    process.start()
    return process


def test_a_killed_download_is_started_anew_and_its_draft_cleared_later(server: str, tmp_path: Path) -> None:
    half_sent, killed = threading.Event(), threading.Event()
    page = Slowly(CONTENT, lambda: (half_sent.set(), killed.wait(60)))
    with serving({"a.bin": page}) as address:
        process = start(address, tmp_path)
        assert half_sent.wait(60)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        killed.set()
    (draft,) = tmp_path.iterdir()
    assert draft.name.endswith(".part")
    fetch(FILE, (server + "right/",), tmp_path)
    assert draft.exists()  # it could be that of another process
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    long_ago = time.time() - TWO_DAYS
    os.utime(draft, (long_ago, long_ago))
    (tmp_path / "a.bin").unlink()
    fetch(FILE, (server + "right/",), tmp_path)
    assert files_below(tmp_path) == ["a.bin"]


def test_two_processes_may_download_at_once(tmp_path: Path) -> None:
    both = threading.Barrier(2)
    with serving({"a.bin": Slowly(CONTENT, lambda: both.wait(60))}) as address:
        processes = [start(address, tmp_path) for _ in range(2)]
        for process in processes:
            process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert files_below(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_made_is_named(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"a\.bin cannot be written .*let the environment variable ZOO_CACHE_DIR name"):
        fetch(FILE, (server + "right/",), tmp_path / "file")


def test_a_full_disk_is_not_the_fault_of_a_mirror(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(url: str, path: str, _: None) -> None:
        Path(path).write_bytes(CONTENT[:99])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader", lambda **_: full)
    with pytest.raises(DataError, match=r"a\.bin cannot be written .*No space left on device"):
        fetch(FILE, (server + "right/", server + "right/"), tmp_path)
    assert files_below(tmp_path) == []


def test_a_folder_in_place_of_the_file_is_named(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(DataError, match=r"a\.bin cannot be read \(Is a directory\)"):
        fetch(FILE, (server + "right/",), tmp_path)
