"""A client that keeps connections busy: what a load test sends and times."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httptools
import numpy as np

from paddle_automl.core.errors import ConfigError, MachineError

ANSWER_S = 60.0
"""Longest time for one answer."""
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Target:
    """A server's address, and the token it asks for."""

    host: str
    port: int
    secure: bool = False
    token: str | None = None

    @classmethod
    def parse(cls, url: str, token: str | None = None) -> Target:
        """Return the target of ``http://HOST:PORT`` or ``HOST:PORT``; raises ConfigError."""
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            raise ConfigError(f"URL: '{url}' is no address such as http://127.0.0.1:8080") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"URL: '{url}' is no address such as http://127.0.0.1:8080")
        secure = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if secure else 80), secure, token)

    def request(self, path: str, body: bytes = b"", **headers: str) -> bytes:
        """Return the bytes of a request: POST if there is a body, else GET."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", f"Host: {host}:{self.port}"]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        if self.token is not None:
            lines.append(f"Authorization: Bearer {self.token}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class Load:
    """What one number of connections got: times of answers of status 200, answers by status, lost connections."""

    connections: int
    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0

    @property
    def errors(self) -> int:
        """Return the number of requests without an answer of status 200."""
        return self.lost + sum(count for status, count in self.statuses.items() if status != 200)

    def figures(self) -> dict[str, Any]:
        """Return requests per second, percentiles of good answers in ms (None without one), errors."""
        ranks: dict[str, float | None] = dict.fromkeys((f"p{rank}_ms" for rank in PERCENTILES), None)
        if self.times:
            found = np.percentile(self.times, PERCENTILES) * 1000
            ranks = {name: round(float(value), 2) for name, value in zip(ranks, found, strict=True)}
        done = self.statuses[200]
        return {
            "connections": self.connections,
            "requests": sum(self.statuses.values()) + self.lost,
            "per_second": round(done / self.seconds, 1) if self.seconds else 0.0,
            **ranks,
            "errors": self.errors,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }


class _Connection(asyncio.Protocol):
    """One connection that sends its next request as soon as it has the answer to the last one."""

    def __init__(self, requests: Sequence[bytes], first: int, load: Load, until: float, most: int) -> None:
        self._requests, self._first = requests, first
        self._load, self._until, self._most = load, until, most
        self._transport: Any = None
        self.sent = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._requests[(self._first + self.sent) % len(self._requests)]
        self.sent += 1
        self._parser = httptools.HttpResponseParser(self)
        self._started = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        status = self._parser.get_status_code()
        self._load.statuses[status] += 1
        if status == 200:
            # A refusal takes no time: many of them would make a server that is overloaded look fast.
            self._load.times.append(now - self._started)
        if now >= self._until or self.sent >= self._most or not self._parser.should_keep_alive():
            self._end()
            self._transport.close()
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._load.lost += 1
            self._end()

    def give_up(self) -> None:
        """Close the connection; its request counts as lost."""
        self._transport.abort()

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def drive(
    target: Target, requests: Sequence[bytes], connections: int, seconds: float, most: int = 10**12
) -> Load:
    """Keep `connections` busy for `seconds`, or until they have sent about `most` requests together.

    They send `requests` in turn. A connection that the server ends is opened again. Raises MachineError if no
    connection is possible.
    """
    load = Load(connections)
    started = time.perf_counter()
    until = started + seconds
    each = -(-most // connections)

    async def keep(number: int) -> None:
        sent = 0
        while time.perf_counter() < until and sent < each:
            connection = await _open(target, requests, number + sent, load, until, each - sent)
            late = asyncio.get_running_loop().call_later(seconds + ANSWER_S, connection.give_up)
            await connection.done
            late.cancel()
            sent += connection.sent

    await asyncio.gather(*(keep(number) for number in range(connections)))
    load.seconds = time.perf_counter() - started
    return load


async def fetch(target: Target, path: str) -> tuple[int, bytes]:
    """Return status and body of one GET; raises MachineError if there is no answer."""
    try:
        return await asyncio.wait_for(_Single.fetch(target, target.request(path)), ANSWER_S)
    except asyncio.TimeoutError:
        raise MachineError(f"{target.host}:{target.port} has not answered within {ANSWER_S:g} s") from None


class _Single(asyncio.Protocol):
    """One request on a connection of its own."""

    def __init__(self, request: bytes) -> None:
        self._request, self._body = request, b""
        self.answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    @classmethod
    async def fetch(cls, target: Target, request: bytes) -> tuple[int, bytes]:
        connection = await _connect(target, lambda: cls(request))
        return await connection.answer

    def connection_made(self, transport: Any) -> None:
        self._transport, self._parser = transport, httptools.HttpResponseParser(self)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self.answer.done():
            self.answer.set_result((self._parser.get_status_code(), self._body))
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(MachineError("the server closed the connection without an answer"))


async def _open(
    target: Target, requests: Sequence[bytes], first: int, load: Load, until: float, most: int
) -> _Connection:
    connection: _Connection = await _connect(target, lambda: _Connection(requests, first, load, until, most))
    return connection


async def _connect(target: Target, protocol: Any) -> Any:
    loop = asyncio.get_running_loop()
    try:
        _, connection = await loop.create_connection(
            protocol, target.host, target.port, ssl=True if target.secure else None
        )
    except OSError as error:
        reason = error.strerror or str(error)
        raise MachineError(f"cannot connect to {target.host}:{target.port}: {reason}") from None
    return connection
