"""Stand-ins for published files, and for the machines that serve them."""

import pickle
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

DEAD = "http://127.0.0.1:9/"


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def amat(pixels: np.ndarray) -> bytes:
    """The text of binary pixels, (n, 784)."""
    return b"".join(b" ".join(b"%d" % pixel for pixel in line) + b" \n" for line in pixels)


def python_2_pickle(array: np.ndarray) -> bytes:
    """What Python 2 wrote of a list of one array of unsigned bytes, (n, D)."""
    n, d = array.shape
    values = repr(array.tobytes())[1:].encode()
    return (
        b"(lp0\ncnumpy.core.multiarray\n_reconstruct\np1\n(cnumpy\nndarray\np2\n(I0\ntp3\nS'b'\np4\ntp5\nRp6\n"
        b"(I1\n(I%d\nI%d\ntp7\ncnumpy\ndtype\np8\n(S'u1'\np9\nI0\nI1\ntp10\nRp11\n"
        b"(I3\nS'|'\np12\nNNNI-1\nI-1\nI0\ntp13\nbI00\nS%s\np14\ntp15\nba." % (n, d, values)
    )


class Execute:
    """Pickled, a call that leaves a file behind."""

    def __init__(self, call: Callable[..., object], *arguments: object) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call, self.arguments

    def pickled(self) -> bytes:
        return pickle.dumps([self])


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def broken_off() -> None:
    raise ConnectionAbortedError


class Slowly:
    """Content of which the second half is sent after a meeting, or never where that raises an error."""

    def __init__(self, content: bytes, meet: Callable[[], object]) -> None:
        self.content, self.meet = content, meet


@contextmanager
def serving(pages: Mapping[str, bytes | Slowly]) -> Iterator[str]:
    """Serves pages from the loopback interface; gives the address their names are appended to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path[1:])
            if page is None:
                return self.send_error(404)
            content, meet = (page, lambda: None) if isinstance(page, bytes) else (page.content, page.meet)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            meet()
            self.wfile.write(content[len(content) // 2 :])

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
