"""The network in a process of its own.

Paddle Inference holds Python's interpreter lock while it computes. In the server's process it would stop the event
loop for the length of each batch: no request would be read meanwhile, and no health check answered.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core import signals
from paddle_automl.core.errors import AutoMLError, BundleError, MachineError
from paddle_automl.core.plugins import absolute_plugins, load_plugins
from paddle_automl.core.runtime import silence_known_warnings, tune_process
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.predictor import Predictor, Raw
from paddle_automl.inputs.base import Arrays
from paddle_automl.paddle_compat.signals import keep_own_handlers
from paddle_automl.serving.errors import busy

END_S = 5.0
"""Longest time for which the process may take to end."""
ERRORS: dict[str, type[AutoMLError]] = {"BundleError": BundleError}
"""Errors of loading that keep their type."""


class ServedPredictor(Predictor):
    """A predictor whose network runs in a process of its own; see `RemoteSession`."""

    def __init__(self, bundle: Any, *, plugins: Sequence[str] = (), **options: Any) -> None:
        self._plugins = absolute_plugins(plugins)
        super().__init__(bundle, **options)

    def _load(self) -> RemoteSession:
        return RemoteSession(self.bundle.folder, self.format, self._device, self._threads, self._plugins)

    def run(self, arrays: Arrays) -> Raw:
        """Return what the network gives; two threads may do so at a time, see `RemoteSession`."""
        self.check_arrays(arrays)
        return self._fed(arrays)

    def close(self) -> None:
        """End the network's process."""
        assert isinstance(self._session, RemoteSession)
        self._session.close()


class RemoteSession:
    """A session of a bundle's format in another process, which is started at once and loads meanwhile.

    Calls from several threads are sent at once and computed one after the other, so that the network finds its next
    batch as soon as it has finished one. If the process ends by itself, runs fail as "try again", and a new one is
    started.
    """

    def __init__(
        self, folder: Path, name: str, device: str = "cpu", threads: int = 1, plugins: Sequence[str] = ()
    ) -> None:
        self._arguments = (str(folder), name, device, threads, tuple(plugins))
        self._lock = threading.Lock()
        self._closed = False
        self._link = _Link(self._arguments)

    def __call__(self, arrays: Arrays) -> np.ndarray:
        """Return outputs, float32 [N, K], of the network's arrays."""
        return self.all_outputs(arrays)[0]

    def all_outputs(self, arrays: Arrays) -> list[np.ndarray]:
        """Return all outputs; raises MachineError for an error of the runtime, RequestError if it ended."""
        link = self._link
        try:
            return list(link.run(arrays).values())
        except (EOFError, OSError):
            self._replace(link)
            raise busy("the network's process ended; it is started again") from None

    def close(self) -> None:
        """End the process; a run that goes on fails."""
        self._closed = True
        self._link.end()

    @property
    def process_id(self) -> int | None:
        """Return the id of the process."""
        return self._link.process_id

    def _replace(self, link: _Link) -> None:
        """Start a new process, unless another thread has done so."""
        with self._lock:
            if self._link is link and not self._closed:
                link.end()
                self._link = _Link(self._arguments)


class _Link:
    """One process of the network, and the connection to it."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, *arguments), name="network", daemon=True)
        with _without_main():
            self._process.start()
        other.close()
        self._sending, self._turn = threading.Lock(), threading.Condition()
        # The first message says that the network is loaded, or why it cannot be.
        self._sent, self._received = 1, 0

    @property
    def process_id(self) -> int | None:
        found: int | None = self._process.pid
        return found

    def run(self, arrays: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs; raises EOFError or OSError if the process has ended, MachineError for others."""
        self._load()
        with self._sending:
            number = self._sent
            self._sent += 1
            send(self._connection, arrays)
        return self._answer(number)

    def _load(self) -> None:
        if self._received:
            return
        with self._sending:
            if not self._received:
                try:
                    self._answer(0)
                except (EOFError, OSError):
                    self.end()
                    code = self._process.exitcode
                    raise MachineError(f"the network's process ended while it loaded (exit code {code})") from None

    def _answer(self, number: int) -> dict[str, np.ndarray]:
        """Return the answer to a message when its turn has come: they come in the order of the messages."""
        with self._turn:
            self._turn.wait_for(lambda: self._received >= number)
        try:
            return receive(self._connection)
        finally:
            with self._turn:
                self._received += 1
                self._turn.notify_all()

    def end(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(END_S)


def send(connection: Connection, arrays: Arrays) -> None:
    """Send arrays by name: a description in JSON, then the bytes of each."""
    found = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    described = [(name, array.dtype.str, array.shape) for name, array in found.items()]
    connection.send_bytes(json.dumps({"arrays": described}).encode())
    for array in found.values():
        connection.send_bytes(array.reshape(-1).view(np.uint8).data)


def receive(connection: Connection) -> dict[str, np.ndarray]:
    """Return what `send` sent; raises the error that `_fail` sent, EOFError if the other process has ended."""
    head = json.loads(connection.recv_bytes())
    if "error" in head:
        raise ERRORS.get(head["type"], MachineError)(head["error"])
    arrays = {}
    for name, dtype, shape in head["arrays"]:
        array = np.empty(shape, dtype)
        connection.recv_bytes_into(array.reshape(-1).view(np.uint8).data)
        arrays[name] = array
    return arrays


def _fail(connection: Connection, error: BaseException) -> None:
    lines = [line for line in str(error).splitlines() if line.strip()]
    head = {"type": type(error).__name__, "error": lines[0] if lines else type(error).__name__}
    connection.send_bytes(json.dumps(head).encode())


def _serve(
    connection: Connection, folder: str, name: str, device: str, threads: int, plugins: Sequence[str]
) -> None:
    """Load the network, then run it for each batch, until the server closes the connection."""
    # The terminal sends Ctrl-C to this process too; the server ends it when the last request is answered.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.ignore_in_child()
    keep_own_handlers()
    # Paddle frees what a run has used in a thread of its own, so what the process holds would depend on chance, and
    # grow for long. Without that, each run uses the memory of the one before again.
    os.environ.setdefault("FLAGS_eager_delete_tensor_gb", "-1")
    tune_process()
    silence_known_warnings()
    try:
        load_plugins(plugins)
        # The server has compared the files with their hashes.
        session = Bundle.open(folder, check_files=False).session(device=device, threads=threads, name=name)
    except Exception as error:  # noqa: BLE001  told to the server
        _fail(connection, error)
        return
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        send(connection, {})
        while True:
            arrays = receive(connection)
            try:
                found = session.all_outputs(arrays)
            except Exception as error:  # noqa: BLE001  told to the server
                _fail(connection, error)
                continue
            send(connection, {str(number): array for number, array in enumerate(found)})


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Start a process without running the program's own main module again in it."""
    names = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: names[name] for name in ("__file__", "__spec__") if name in names}
    names["__spec__"] = None
    names.pop("__file__", None)
    try:
        yield
    finally:
        names.update(kept)
