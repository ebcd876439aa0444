"""Listening: the socket, uvicorn, signals, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from paddle_automl.core import signals
from paddle_automl.core.errors import AutoMLError, ConfigError, MachineError
from paddle_automl.serving.app import Application
from paddle_automl.serving.connection import connection_type
from paddle_automl.serving.options import Address

GRACE_S = 30
"""Longest time in seconds that the server waits for running requests when it is asked to stop."""
FORCED_S = 3
"""The same after a second Ctrl-C."""
KEEP_ALIVE_S = 10
BACKLOG = 256


def bind(address: Address) -> socket.socket:
    """Return a listening socket; raises ConfigError if the address cannot be used."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    where = f"{address.host}:{address.port}"
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)
    except OverflowError:
        raise ConfigError(f"--port: must be 0 to 65535, got {address.port}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"--port: {where} is in use by another program; choose another port, or 0 for any free one"
            ) from None
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ConfigError(f"--host, --port: cannot listen on {where}: {reason}") from None


def serve(
    application: Callable[[Callable[[BaseException], None]], Application],
    listening: socket.socket,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal asks to stop, then answer what is running, and return.

    `application` makes the application, given a function to call if the model cannot be used. Raises MachineError
    in that case.
    """
    problems: list[BaseException] = []

    def failed(error: BaseException) -> None:
        problems.append(error)
        server.should_exit = True

    server = server_of(application(failed), started)
    # What exists by now stays to the end: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    server.run(sockets=[listening])
    if problems:
        reason = problems[0] if isinstance(problems[0], AutoMLError) else repr(problems[0])
        raise MachineError(f"the model cannot be run: {reason}") from problems[0]


def server_of(app: Application, started: Callable[[], None] = lambda: None) -> Server:
    """Return uvicorn's server of an application; `started` is called when it listens."""
    config = uvicorn.Config(
        app.asgi,
        http=connection_type(app.limits.connections, direct=app.direct),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        backlog=BACKLOG,
    )
    server = Server(config, started)
    app.metrics.connections.set_function(lambda: len(server.server_state.connections))
    return server


class Server(uvicorn.Server):
    """uvicorn that ends by returning, and not by the signal that asked it to stop."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; after a second Ctrl-C the application is ended too, but not waited for long."""
        await super().shutdown(sockets)
        if self.force_exit:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.lifespan.shutdown(), FORCED_S)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals that ask to stop, during the context."""
        if not signals.can_handle():
            yield
            return
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, *signals.ASKING)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Stop taking connections; at a second Ctrl-C do not wait for running requests."""
        del frame
        self.force_exit = self.should_exit and number == signal.SIGINT
        self.should_exit = True
