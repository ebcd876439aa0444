"""The network's process, played by a thread: what happens if it cannot load, or ends."""

import asyncio
import contextlib
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.core.errors import BundleError, MachineError
from paddle_automl.serving import network
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.network import RemoteSession, frame


class InThread(threading.Thread):
    """A thread in place of the process."""

    exitcode = 1

    def __init__(self, target, args, name, daemon):
        # The server closes its copy of the process's end once a process is started.
        super().__init__(target=target, args=(args[0].dup(), *args[1:]), name=name, daemon=daemon)


@pytest.fixture
def played(monkeypatch):
    """Return a function that lets the processes, one after the other, do what the given functions do."""

    def play(*parts, process=InThread):
        left = list(parts)

        def serve(connection, *arguments):
            with connection, contextlib.suppress(EOFError, OSError):
                left.pop(0)(connection)

        monkeypatch.setattr(network, "_serve", serve)
        context = SimpleNamespace(Process=process)
        monkeypatch.setattr(network, "multiprocessing", SimpleNamespace(get_context=lambda kind: context))
        return left

    return play


def loses(connection):
    """End before the network is loaded."""


def fails(connection):
    """Tell that the bundle cannot be loaded."""
    connection.sendall(network._failure(BundleError("the bundle is gone")))


def doubles(connection):
    """Load, then double the arrays of each message."""
    connection.sendall(frame([{}]))
    with connection.makefile("rb") as stream:
        while True:
            arrays = network._received(stream)
            connection.sendall(frame([{name: 2 * array for name, array in arrays.items()}]))


def asked(times):
    """Return what a session answers to some calls, one after the other."""

    async def ask():
        session, found = RemoteSession("folder", "format"), []
        try:
            for number in range(times):
                try:
                    [array] = await session.outputs([{"x": np.array([number])}])
                    found.append(array.tolist())
                except (MachineError, BundleError, RequestError) as error:
                    found.append(error)
        finally:
            session.close()
        return found

    return asyncio.run(ask())


@pytest.mark.parametrize(("part", "kind"), [(loses, MachineError), (fails, BundleError)])
def test_a_process_that_cannot_load_is_replaced_at_the_next_call(played, part, kind):
    left = played(part, doubles)
    first, second, third, fourth = asked(4)
    assert isinstance(first, kind)
    assert (second.status, str(second)) == (503, "the network's process ended; it is started again")
    assert (third, fourth) == ([4], [6])
    assert left == []


@pytest.mark.parametrize("loads", [True, False])
def test_others_are_served_while_a_process_ends(played, monkeypatch, loads):
    monkeypatch.setattr(network, "END_S", 0.5)
    joined, others, waited = threading.Event(), threading.Event(), []

    class Slow(InThread):
        """A process that ends once others were served."""

        def join(self, timeout=None):
            if not joined.is_set():
                joined.set()
                waited.append(others.wait(timeout))
            super().join(timeout)

    def ends(connection):
        if loads:
            connection.sendall(frame([{}]))
            connection.recv(1)

    played(ends, doubles, process=Slow)

    async def ask():
        session = RemoteSession("folder", "format")
        try:
            call = asyncio.create_task(session.outputs([{"x": np.array([1])}]))
            while not call.done():
                await asyncio.sleep(0.01)
                if joined.is_set():
                    others.set()
            with pytest.raises((RequestError, MachineError)):
                await call
        finally:
            session.close()

    asyncio.run(ask())
    assert waited == [True]
