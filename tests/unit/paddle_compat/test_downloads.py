"""Downloads of weights from servers that fail in the middle of an answer."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from paddle_automl.core.errors import OutputError
from paddle_automl.paddle_compat import downloads

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = HEAD + b"Content-Length: 5\r\n\r\nsound"


@contextlib.contextmanager
def server(answer: bytes, *, stall: bool = False):
    """Answer one request with these bytes; then close the connection, or with `stall` say nothing more."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection = listening.accept()[0]
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)
                if stall:
                    done.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/w.pdparams"
        done.set()
        thread.join(10)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloads, "weights_folder", lambda: tmp_path / "weights")
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.3)
    return tmp_path / "weights"


def test_a_whole_file_is_kept(folder):
    with server(WHOLE) as url:
        path = downloads.downloaded_weights(url)
    assert path == folder / "w.pdparams"
    assert path.read_bytes() == b"sound"


@pytest.mark.parametrize(
    ("answer", "stall", "reason"),
    [
        (HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(1000), True, "timed out"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(1000), False, "1,000 of 1,000,000 bytes"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1000\r\nabc", False, "IncompleteRead"),
        (b"no answer of a web server\r\n\r\n", False, "no answer of a web server"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False, "Not Found"),
    ],
    ids=["stalls", "closes early", "breaks a chunk", "is no web server", "has no such file"],
)
def test_a_broken_transfer_is_told_as_one_and_leaves_no_file(answer, stall, reason, folder):
    with server(answer, stall=stall) as url, pytest.raises(OSError, match=reason):
        downloads.downloaded_weights(url)
    assert not folder.exists() or not list(folder.iterdir())


def test_a_file_larger_than_any_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 4)
    with server(WHOLE) as url, pytest.raises(OSError, match="larger than any file of weights"):
        downloads.downloaded_weights(url)
    assert not list(folder.iterdir())


def test_a_fault_of_the_disk_is_told_as_one(folder):
    folder.write_text("no folder")
    with server(WHOLE) as url, pytest.raises(OutputError, match=r"w\.pdparams: cannot be written"):
        downloads.downloaded_weights(url)
