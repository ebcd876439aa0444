"""Small requests for inference, answered without ASGI, which takes as long for them as all else together."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from paddle_automl.serving import v2
from paddle_automl.serving.batcher import Job
from paddle_automl.serving.errors import RequestError
from paddle_automl.serving.guard import HEADERS, Guard, refusal
from paddle_automl.serving.model import ServedModel
from paddle_automl.serving.tensors import HEADER, Request, parse

ROUTE = "/v2/models/{name}/infer"
LENGTH = re.compile(rb"[0-9]{1,5}|[12][0-9]{5}")
"""Length of a body that is small: below 300 kB. So many connections hold less than the guard allows."""
COMMON = b"".join(b"%s: %s\r\n" % item for item in HEADERS)

Reply = Callable[[bytes, bytes], None]
"""Sends an answer: its first line, and headers and body; headers of the connection come between them."""


class DirectRoute:
    """The route for inference of one model, called by a connection that has a whole request.

    It takes the small requests that arrive at once; the guard's ASGI application answers all others the same way.
    """

    def __init__(self, model: ServedModel, guard: Guard) -> None:
        self._model, self._guard = model, guard
        self.path = ROUTE.format(name=model.name)

    def takes(self, method: bytes, url: bytes, names: Mapping[bytes, bytes]) -> bool:
        """Return whether a request with these headers may be answered here."""
        length = names.get(b"content-length", b"")
        return (
            method == b"POST"
            and url == self.path.encode()
            and b"expect" not in names
            and b"upgrade" not in names
            and LENGTH.fullmatch(length) is not None
            and int(length) <= self._guard.limits.body_bytes
        )

    def answer(self, names: Mapping[bytes, bytes], body: bytes, started: float, reply: Reply) -> None:
        """Answer a request that began at `started` on the monotonic clock; `reply` is called once, now or later."""
        _Inference(self._model, self._guard, self.path, started, reply).begin(names, body)


class _Inference:
    """One request for inference, from its body to its answer."""

    def __init__(self, model: ServedModel, guard: Guard, path: str, started: float, reply: Reply) -> None:
        self._model, self._guard, self._path, self._reply = model, guard, path, reply
        self._started, self._held = started, 0
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Future[Any] | None = None
        self._over = False

    def begin(self, names: Mapping[bytes, bytes], body: bytes) -> None:
        guard = self._guard
        try:
            guard.may_ask(self._path, names)
            self._held = guard.hold(0, len(body), guard.announced(names))
            guard.metrics.took("receive", time.monotonic() - self._started)
            length = names.get(HEADER.encode())
            given = parse(body, None if length is None else length.decode("latin-1"))
            self._timer = asyncio.get_running_loop().call_later(guard.limits.timeout_s, self._late)
            arrays = v2.arrays_of(self._model, given)
            if arrays is None:
                task = self._work = asyncio.get_running_loop().create_task(v2.answer(self._model, given))
                task.add_done_callback(self._answered)
                return
            job = v2.submit(self._model, arrays)
            self._work = job.future
            job.future.add_done_callback(lambda future: self._computed(given, job))
        except Exception as error:  # noqa: BLE001  told to the client
            self._fail(error)

    def _computed(self, given: Request, job: Job) -> None:
        if job.future.cancelled():
            return  # It was late.
        try:
            self._give(200, *v2.answer_of(self._model, given, self._model.done(job)))
        except Exception as error:  # noqa: BLE001  told to the client
            self._fail(error)

    def _answered(self, task: asyncio.Task[v2.Answer]) -> None:
        if task.cancelled():
            self._fail(RequestError(503, "the server is stopping", retry_after="1"))
        elif (error := task.exception()) is not None:
            self._fail(error)
        else:
            self._give(200, *task.result())

    def _late(self) -> None:
        limit = self._guard.limits.timeout_s
        self._fail(RequestError(504, f"the answer took longer than {limit:g} s"))
        if self._work is not None:
            self._work.cancel()

    def _fail(self, error: BaseException) -> None:
        self._give(*refusal(error, "POST", self._path))

    def _give(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._guard.release(self._held)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        rest = f"{lines}content-length: {len(body)}\r\n".encode("latin-1")
        self._reply(STATUS_LINE[status], b"".join([rest, COMMON, b"\r\n", body]))
        self._guard.metrics.answered(ROUTE, status)
        self._guard.metrics.took("total", time.monotonic() - self._started)
