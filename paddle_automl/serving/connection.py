"""Connections that cannot hold the server up: limits on headers, on idle time and on their number."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADER_BYTES = 65_536
"""Most bytes of a request's first line and headers."""
IDLE_S = 15.0
"""Longest time until a request's headers are complete, and between two requests of a connection."""


class GuardedConnection(HttpToolsProtocol):
    """A connection of uvicorn with what it does not limit itself.

    A connection without the headers of a request is closed after `IDLE_S`; headers beyond `MOST_HEADER_BYTES` are
    answered with 431; a connection beyond `most` is answered with 503 at once.
    """

    most: int = 512
    idle_s: float = IDLE_S

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_headers = True
        self._header_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

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
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of headers, then read them."""
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > MOST_HEADER_BYTES and not self.transport.is_closing():
            self._refuse("431 Request Header Fields Too Large", "the request's headers are too large")

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the connection stays open: for the answer to a request that is complete."""
        cycle = self.cycle
        self._ended = cycle is not None and not cycle.more_body and not cycle.response_complete
        return self._ended

    def on_headers_complete(self) -> None:
        """Begin a request: from here on the guard measures its time."""
        self._in_headers = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is complete; the next bytes are headers."""
        self._in_headers, self._header_bytes = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self._ended:
            self.transport.close()
        if not self.transport.is_closing() and self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.idle_s, self._idle)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _idle(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
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


def connection_type(most: int, idle_s: float = IDLE_S) -> type[GuardedConnection]:
    """Return the connections of a server that has at most `most` of them."""
    return type("Connection", (GuardedConnection,), {"most": most, "idle_s": idle_s})
