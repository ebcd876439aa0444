"""The network in a process of its own.

Paddle Inference holds Python's interpreter lock while it computes. In the server's process it would stop the event
loop for the length of each batch: no request would be read meanwhile, and no health check answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import multiprocessing
import os
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
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
LENGTHS = struct.Struct("<IQ")
"""What a message begins with: the lengths in bytes of its description and of its arrays."""
STREAM_BYTES = 2**18
"""Bytes that the process reads from the connection at once."""


class ServedPredictor(Predictor):
    """A predictor whose network runs in a process of its own; see `RemoteSession`.

    Of its methods only `run_parts` runs the network; reading items and making answers work as in `Predictor`.
    """

    def __init__(self, bundle: Any, *, plugins: Sequence[str] = (), **options: Any) -> None:
        self._plugins = absolute_plugins(plugins)
        super().__init__(bundle, **options)

    def _load(self) -> Any:
        return RemoteSession(self.bundle.folder, self.format, self._device, self._threads, self._plugins)

    async def run_parts(self, parts: Sequence[Arrays]) -> Raw:
        """Return what the network gives for arrays that follow each other along the batch axis.

        All parts have the same names, types and shapes but for the length of that axis. Nothing is checked: arrays
        of a client must have passed `check_arrays`, those of files and texts are as the input made them. Two calls
        may overlap, see `RemoteSession`.
        """
        return self.raw_of(await self._remote.outputs(parts))

    def close(self) -> None:
        """End the network's process."""
        self._remote.close()

    @property
    def _remote(self) -> RemoteSession:
        assert isinstance(self._session, RemoteSession)
        return self._session


class RemoteSession:
    """A bundle's format in another process, which is started at once and loads meanwhile.

    Calls that overlap are sent at once and computed one after the other, so that the network finds its next batch
    as soon as it has finished one. If the process ends by itself, runs fail as "try again", and a new one is
    started.
    """

    def __init__(
        self, folder: Path, name: str, device: str = "cpu", threads: int = 1, plugins: Sequence[str] = ()
    ) -> None:
        self._arguments = (str(folder), name, device, threads, tuple(plugins))
        self._closed = False
        self._link = _Link(self._arguments)

    async def outputs(self, parts: Sequence[Arrays]) -> list[np.ndarray]:
        """Return all outputs for the parts one after the other along the batch axis.

        Raises MachineError for an error of the runtime or of loading, RequestError (503) if the process ended.
        """
        link = self._link
        try:
            return list((await link.run(parts)).values())
        except (EOFError, OSError):
            if self._link is link and not self._closed:
                self._link = _Link(self._arguments)
                # That may wait for the process, so not in the event loop.
                await asyncio.get_running_loop().run_in_executor(None, link.end)
            raise busy("the network's process ended; it is started again") from None

    def close(self) -> None:
        """End the process; a run that goes on fails."""
        self._closed = True
        self._link.end()


class _Link:
    """One process of the network, and the connection to it; belongs to one event loop."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self._socket, other = socket.socketpair()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(other, *arguments), name="network", daemon=True)
        with _without_main():
            self._process.start()
        other.close()
        self._loaded: asyncio.Task[_Answers] | None = None

    async def run(self, parts: Sequence[Arrays]) -> Arrays:
        """Return the outputs; raises EOFError or OSError if the process has ended, MachineError for others.

        Those who wait while it loads get the error of loading; for later ones such a process has ended.
        """
        if self._loaded is None:
            self._loaded = asyncio.get_running_loop().create_task(self._load())
        elif self._loaded.done() and self._loaded.exception() is not None:
            raise EOFError
        # Others wait for it too, so it is not cancelled with one of them.
        answers = self._loaded.result() if self._loaded.done() else await asyncio.shield(self._loaded)
        return await answers.to(frame(parts))

    async def _load(self) -> _Answers:
        """Connect, and wait for the first message: that the network is loaded, or why it cannot be."""
        loop, answers = asyncio.get_running_loop(), _Answers()
        # The transport closes its own; this one ends the process even if the loop has ended before.
        given = self._socket.dup()
        if given.family == getattr(socket, "AF_UNIX", None):
            await loop.create_unix_connection(lambda: answers, sock=given)
        else:
            await loop.create_connection(lambda: answers, sock=given)
        try:
            await answers.to(b"")
        except (EOFError, OSError):
            await loop.run_in_executor(None, self.end)
            code = self._process.exitcode
            raise MachineError(f"the network's process ended while it loaded (exit code {code})") from None
        return answers

    def end(self) -> None:
        """End the process."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(END_S)


class _Answers(asyncio.Protocol):
    """The server's end of the connection: answers come in the order of the messages."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[Arrays]] = deque()
        self._data = bytearray()
        self._transport: Any = None
        self._lost = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(EOFError())
        self._waiting.clear()

    def to(self, message: bytes) -> asyncio.Future[Arrays]:
        """Send a message, and return the future of its answer."""
        future: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
        if self._lost:
            future.set_exception(EOFError())
            return future
        self._waiting.append(future)
        if message:
            self._transport.write(message)
        return future

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := _end_of(self._data)) is not None:
            message, self._data = self._data[:end], self._data[end:]
            future = self._waiting.popleft()
            if future.done():
                continue
            try:
                future.set_result(_received(io.BytesIO(message)))
            except AutoMLError as error:
                future.set_exception(error)


def frame(parts: Sequence[Arrays]) -> bytes:
    """Return the message with arrays by name, each part's after the last one's along the first axis.

    The lengths of two pieces as in `LENGTHS`, a description in JSON, and the bytes of each array.
    """
    rows = sum(len(array) for part in parts for array in islice(part.values(), 1))
    described, pieces = [], []
    for name, first in parts[0].items():
        described.append((name, first.dtype.str, (rows, *first.shape[1:]) if first.ndim else ()))
        pieces += [np.ascontiguousarray(part[name]) for part in parts]
    head = json.dumps(described).encode()
    size = sum(piece.nbytes for piece in pieces)
    return b"".join(
        [LENGTHS.pack(len(head), size), head, *(piece.data.cast("B") for piece in pieces if piece.size)]
    )


def _end_of(data: bytearray) -> int | None:
    """Return where the first message of the data ends, or None if it is not complete."""
    if len(data) < LENGTHS.size:
        return None
    end = LENGTHS.size + sum(LENGTHS.unpack_from(data))
    return end if len(data) >= end else None


def _failure(error: BaseException) -> bytes:
    """Return the message that tells of an error."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    head = json.dumps({"type": type(error).__name__, "error": lines[0] if lines else type(error).__name__}).encode()
    return LENGTHS.pack(len(head), 0) + head


def _received(stream: io.BufferedIOBase) -> Arrays:
    """Return the arrays of the next message; raises the error that `_failure` tells of, EOFError at the end."""
    head = stream.read(LENGTHS.size)
    if len(head) < LENGTHS.size:
        raise EOFError
    described = json.loads(stream.read(LENGTHS.unpack(head)[0]))
    if isinstance(described, dict):
        raise ERRORS.get(described["type"], MachineError)(described["error"])
    found = {}
    for name, dtype, shape in described:
        array = np.empty(shape, dtype)
        raw = array.reshape(-1).view(np.uint8).data
        if stream.readinto(raw) != len(raw):
            raise EOFError
        found[name] = array
    return found


def _serve(
    connection: socket.socket, folder: str, name: str, device: str, threads: int, plugins: Sequence[str]
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
        connection.sendall(_failure(error))
        return
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        connection.sendall(frame([{}]))
        stream = connection.makefile("rb", STREAM_BYTES)
        assert isinstance(stream, io.BufferedReader)
        while True:
            arrays = _received(stream)
            try:
                found = session.all_outputs(arrays)
                answer = frame([{str(number): array for number, array in enumerate(found)}])
            except Exception as error:  # noqa: BLE001  told to the server
                answer = _failure(error)
            connection.sendall(answer)


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
