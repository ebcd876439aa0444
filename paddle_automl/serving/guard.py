"""What stands before every route: who may ask, how much and how long, and the headers of every answer."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from paddle_automl.serving.errors import RequestError, busy
from paddle_automl.serving.metrics import Metrics
from paddle_automl.serving.options import MEGABYTE, Address, Limits

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
]
OPEN_PATHS = ("/", "/v2/health/live", "/v2/health/ready", "/health")
"""Paths that need no token: the page, which asks for it, and health."""
OPEN_FOLDER = "/static/"
FAILED = "the server failed; its log says why"
"""The answer to a request that fails through the server's own fault."""
NO_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class Guard:
    """An ASGI application around another one.

    It checks the Host and Origin headers and the token, receives the whole body within the limits before the other
    application is called, ends what takes too long, turns errors into one sentence, and counts.
    """

    def __init__(self, app: Any, address: Address, limits: Limits, metrics: Metrics) -> None:
        self.app, self.address, self.limits, self.metrics = app, address, limits, metrics
        self._names = address.allowed
        self._token = address.token.encode() if address.token else None
        self._held = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send)
        started = time.monotonic()
        try:
            headers = dict(scope["headers"])
            self.may_ask(scope["path"], headers)
            await self._serve(scope, headers, receive, answer, started)
        except Exception as error:  # noqa: BLE001  told to the client
            await answer.refuse(*refusal(error, scope["method"], scope["path"]))
        route = getattr(scope.get("route"), "path", None)
        self.metrics.answered(route or "other", answer.status)
        self.metrics.took("total", time.monotonic() - started)

    async def _serve(
        self, scope: Message, headers: dict[bytes, bytes], receive: Receive, answer: _Answer, started: float
    ) -> None:
        limit = self.limits.timeout_s
        slow = RequestError(408, f"the request's body did not arrive within {limit:g} s", connection="close")
        held = 0
        try:
            body = bytearray()
            if scope["method"] not in NO_BODY:
                announced = self.announced(headers)
                with within(limit, slow):
                    async for part in _parts(receive):
                        held = self.hold(held, len(body) + len(part), announced)
                        body += part
                self.metrics.took("receive", time.monotonic() - started)
            with within(limit, RequestError(504, f"the answer took longer than {limit:g} s")):
                await self.app(scope, _replay(bytes(body)), answer.send)
        except _GoneError:
            answer.status = 499
        finally:
            self.release(held)

    def may_ask(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise RequestError for a wrong host, another origin or a missing token."""
        host = _host(headers.get(b"host", b""))
        if self._names is not None and host not in self._names:
            raise RequestError(403, f"the host '{host[:80]}' is not one of this server's; see --allow-host")
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
            raise RequestError(403, "requests from pages of another origin are not allowed")
        if self._token is None or path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            raise RequestError(
                401, "send the server's token as 'Authorization: Bearer TOKEN'", www_authenticate="Bearer"
            )

    def announced(self, headers: Mapping[bytes, bytes]) -> int:
        """Return the length that a body says it has; raises RequestError (413) if it is not allowed."""
        length = headers.get(b"content-length", b"0")
        announced = int(length) if length.isdigit() and len(length) < 19 else 2**62
        if announced > self.limits.body_bytes:
            raise self._too_large()
        return announced

    def hold(self, held: int, size: int, announced: int) -> int:
        """Count `size` bytes of a body, of which `held` are counted already; returns what is counted.

        Raises RequestError (413, 503) for too many; `release` takes them back.
        """
        if size > self.limits.body_bytes:
            raise self._too_large()
        need = max(size, announced)
        if self._held - held + need > self.limits.bodies_mb * MEGABYTE and self._held > held:
            raise busy("the server holds too many large requests; try again later")
        self._held += need - held
        return need

    def release(self, held: int) -> None:
        """Count the bytes of a body no longer."""
        self._held -= held

    def _too_large(self) -> RequestError:
        return RequestError(
            413, f"the body is larger than the {self.limits.body_mb:g} MB allowed", connection="close"
        )


class _Answer:
    """The sending side of a request: adds the headers, and knows what was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message["headers"]
            own = {name for name, _ in given}
            message["headers"] = [*given, *(item for item in HEADERS if item[0] not in own)]
        await self._send(message)

    async def refuse(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a refusal, unless an answer has begun already."""
        if self.status:
            return
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        pairs.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})


def refusal(error: BaseException, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
    """Return status, body and headers of the answer to a request that failed.

    The body has the form that the clients of the path know. An error other than RequestError is logged, and the
    client gets 500.
    """
    from paddle_automl.serving.paddlex import PATHS, failure

    if not isinstance(error, RequestError):
        log.error("%s %s failed", method, path, exc_info=error)
        error = RequestError(500, FAILED)
    told = failure(error) if path in PATHS else {"error": str(error)}
    body = json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")
    return error.status, body, {**error.headers, "content-type": "application/json"}


class _GoneError(Exception):
    """The client closed the connection before its request was complete."""


async def _parts(receive: Receive) -> Any:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def _replay(body: bytes) -> Receive:
    """Return a `receive` that gives the whole body at once."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if rest:
            return rest.pop()
        # Nobody waits for this; an answer is sent to a client that has gone as to any other.
        return {"type": "http.disconnect"}

    return receive


@contextmanager
def within(seconds: float, error: RequestError) -> Iterator[None]:
    """Raise `error` in the current task if the context takes longer; cheaper than a task of its own."""
    task, late = asyncio.current_task(), False

    def expire() -> None:
        nonlocal late
        late = True
        if task is not None:
            task.cancel()

    timer = asyncio.get_running_loop().call_later(seconds, expire)
    try:
        yield
    except asyncio.CancelledError:
        if not late:
            raise
        if task is not None and hasattr(task, "uncancel"):
            task.uncancel()
        raise error from None
    finally:
        timer.cancel()


def _host(header: bytes) -> str:
    """Return the name of a Host header, without port and brackets, in lower case."""
    text = header.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.count(":") == 1 else text
