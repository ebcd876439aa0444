"""Connections that cannot hold the server up: limits on headers, on idle time and on their number."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from paddle_automl.serving.direct import DirectRoute

MOST_HEADER_BYTES = 65_536
"""Most bytes of a request's first line and headers."""
IDLE_S = 15.0
"""Longest time until a request's headers are complete, and between two requests of a connection."""
MOST_PIPELINED = 16
"""Most requests of one connection that wait for the answers to those before them."""
AT_ONCE_S = 0.05
"""Time within which a small body comes after its headers: clients often send the two apart."""


class GuardedConnection(HttpToolsProtocol):
    """A connection of uvicorn with what it does not limit itself.

    A connection without the headers of a request is closed after `IDLE_S`; headers beyond `MOST_HEADER_BYTES` are
    answered with 431, and as many bytes of trailers, which are not looked at, end the connection. A connection
    beyond `most` is answered with 503 at once. One whose requests are sent without waiting for answers is closed
    after the answers to `MOST_PIPELINED` of them that waited, and one that does not read its answers is closed
    after `IDLE_S`.

    A small request for the `direct` route whose body arrives within `AT_ONCE_S` is handed to it.
    """

    most: int = 512
    idle_s: float = IDLE_S
    direct: DirectRoute | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_headers = True
        self._header_bytes = 0  # Since the last part of a body.
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._ended = False
        self._deaf = False
        self._pending: _Direct | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin; refuse one connection too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse("503 Service Unavailable", "too many connections; try again later", "retry-after: 1\r\n")
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        self._take_pending()
        super().connection_lost(exc)
        self.resume_writing()

    def pause_writing(self) -> None:
        """Wait with further answers until the client has read; not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.idle_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def data_received(self, data: bytes) -> None:
        """Count the bytes of headers and of what frames a body, then read them."""
        if self.transport.is_closing() or self._deaf:
            return
        self._header_bytes += len(data)
        super().data_received(data)
        if self._pending is not None:
            self._wait_for_body(self._pending)
        if self._header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            if self._in_headers:
                self._refuse("431 Request Header Fields Too Large", "the request's headers are too large")
            else:
                # Trailers or extensions of a chunk, which no limit on bodies counts.
                self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the connection stays open: for the answer to a request that is complete."""
        cycle = self.cycle
        self._ended = cycle is not None and not cycle.more_body and not cycle.response_complete
        return self._ended

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers after a chunked body are none (RFC 9110, section 6.5.1)."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request: from here on the guard measures its time."""
        self._in_headers, self._header_bytes = False, 0
        self._stop_waiting()
        if len(self.pipeline) >= MOST_PIPELINED:
            # The last one that waits is answered with "Connection: close"; what follows it is not read.
            self._deaf, self.cycle.keep_alive = True, False
            raise _TooManyError
        idle = self.cycle is None or self.cycle.response_complete
        # uvicorn waits with its answer until a client has read enough of the last ones.
        if self.direct is not None and idle and not self.flow.write_paused:
            names = dict(self.headers)
            if self.direct.takes(self.parser.get_method(), self.url, names):
                self._pending = _Direct(names, keep_alive=self.parser.get_http_version() != "1.0")
                return
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; what is not read gets no answer."""
        if not self._deaf:
            super().send_400_response(msg)
            self._wait()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._header_bytes = 0
        if self._pending is None:
            super().on_body(body)
        else:
            self._pending.parts.append(body)

    def on_message_complete(self) -> None:
        """The request is complete; the next bytes are headers."""
        self._in_headers, self._header_bytes = True, 0
        pending = self._take_pending()
        if pending is None or self.direct is None:
            super().on_message_complete()
            return
        pending.keep_alive = pending.keep_alive and self.parser.should_keep_alive()
        self.cycle = pending  # type: ignore[assignment]
        self.direct.answer(pending.names, b"".join(pending.parts), pending.started, partial(self._reply, pending))

    def shutdown(self) -> None:
        """End the connection once the request that has begun is answered."""
        self._begin_pending()
        super().shutdown()

    def _wait_for_body(self, pending: _Direct) -> None:
        """Leave a request to the guard if its body comes late."""
        if pending.timer is None:
            pending.timer = self.loop.call_later(AT_ONCE_S, self._begin_pending)

    def _take_pending(self) -> _Direct | None:
        pending, self._pending = self._pending, None
        if pending is not None and pending.timer is not None:
            pending.timer.cancel()
        return pending

    def _begin_pending(self) -> None:
        pending = self._take_pending()
        if pending is None or self.transport.is_closing():
            return
        super().on_headers_complete()
        for part in pending.parts:
            super().on_body(part)

    def _reply(self, pending: _Direct, first: bytes, rest: bytes) -> None:
        pending.response_complete = True
        if pending.disconnected or self.transport.is_closing():
            return
        lines = [b"%s: %s\r\n" % item for item in self.server_state.default_headers]
        if not pending.keep_alive:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join([first, *lines, rest]))
        self.on_response_complete()
        if not pending.keep_alive:
            self.transport.close()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        # The cycle is that of the last request.
        if self._ended and self.cycle.response_complete:
            self.transport.close()
        self._stop_waiting()
        self._wait()

    def _wait(self) -> None:
        """Wait for the next request, or for the end of a connection that is closing: its answer is to be read."""
        if self._timer is None and self in self.connections:
            self._timer = self.loop.call_later(self.idle_s, self._idle)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _idle(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete or self.transport.is_closing():
            # What is not sent by now is for a client that does not read.
            self.transport.abort()

    def _refuse(self, status: str, reason: str, headers: str = "") -> None:
        self._stop_waiting()
        body = json.dumps({"error": reason})
        self.transport.write(
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"{headers}connection: close\r\n\r\n{body}".encode()
        )
        self.transport.close()
        self._wait()


class _TooManyError(Exception):
    """Ends the parsing of a connection that sends too many requests ahead."""


@dataclass(eq=False)
class _Direct:
    """A request of the direct route, with what uvicorn asks of one that it answers itself."""

    names: dict[bytes, bytes]
    keep_alive: bool
    started: float = field(default_factory=time.monotonic)
    parts: list[bytes] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    more_body: bool = False
    disconnected: bool = False
    response_complete: bool = False
    message_event: asyncio.Event = field(default_factory=asyncio.Event)


def connection_type(
    most: int, idle_s: float = IDLE_S, direct: DirectRoute | None = None
) -> type[GuardedConnection]:
    """Return the connections of a server that has at most `most` of them."""
    return type("Connection", (GuardedConnection,), {"most": most, "idle_s": idle_s, "direct": direct})
