"""Malformed and hostile requests, with healthy ones beside them that must all be answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from paddle_automl.serving.client import Target
from paddle_automl.serving.loads import described, tensor_requests
from paddle_automl.serving.tensors import HEADER

AT_ONCE = 16
"""Hostile connections at one time."""
PATIENCE_S = 20.0
"""Longest time for which a hostile client waits for an answer."""
SLOW_S = 0.05
"""Pause of a slow sender after each of its few bytes."""


class Attacker:
    """Makes requests that are wrong in every way, by a seed."""

    def __init__(self, target: Target, metadata: dict[str, Any], seed: int) -> None:
        self.target, self.rng = target, np.random.default_rng(seed)
        self.infer = f"/v2/models/{metadata['name']}/infer"
        self.good = tensor_requests(target, metadata, binary=False)[0]
        self.raw = tensor_requests(target, metadata, binary=True)[0]
        self.metadata = metadata
        self.kinds: dict[str, Callable[[], bytes]] = {
            "truncated": self._truncated,
            "changed bytes": self._changed,
            "wrong JSON": self._wrong_json,
            "wrong type": self._wrong_type,
            "wrong shape": self._wrong_shape,
            "texts as numbers": self._texts,
            "oversized": self._oversized,
            "endless chunks": self._chunks,
            "trailers": self._trailers,
            "bomb": self._bomb,
            "noise as image": self._noise,
            "broken form": self._form,
            "binary lengths": self._lengths,
            "no HTTP": self._no_http,
            "headers": self._headers,
            "paths": self._paths,
            "smuggling": self._smuggling,
            "deep JSON": self._deep,
            "pipelined": self._pipelined,
        }

    def request(self) -> tuple[str, bytes]:
        """Return one request and the kind of its fault."""
        kind = list(self.kinds)[self.rng.integers(len(self.kinds))]
        return kind, self.kinds[kind]()

    def _post(self, path: str, body: bytes, **headers: str) -> bytes:
        return self.target.request(path, body or b" ", **headers)

    def _truncated(self) -> bytes:
        given = self.good if self.rng.random() < 0.5 else self.raw
        return given[: self.rng.integers(1, len(given))]

    def _changed(self) -> bytes:
        found = bytearray(self.raw)
        for place in self.rng.integers(0, len(found), 8):
            found[place] = self.rng.integers(256)
        return bytes(found)

    def _wrong_json(self) -> bytes:
        bodies = [b"{", b"null", b"[]", b'{"inputs": 5}', b'{"inputs": [{}]}', b"\xff\xfe", b'{"image": 7}']
        path = self.infer if self.rng.random() < 0.5 else "/predict"
        return self._post(path, self._one(bodies), Content_Type="application/json")

    def _wrong_type(self) -> bytes:
        spec = self.metadata["inputs"][0]
        datatypes = ["INT64", "BOOL", "FP64", "BYTES", "COMPLEX", "", None, 5]
        given = {"name": spec["name"], "datatype": self._one(datatypes), "shape": [1, 2], "data": [1, 2]}
        return self._post(self.infer, json.dumps({"inputs": [given]}).encode())

    def _wrong_shape(self) -> bytes:
        spec = self.metadata["inputs"][0]
        shapes: list[Any] = [[], [0], [-1, 3], [2**31] * 4, [1] * 40, "big", [1.5], [True], None, [2**62, 2**62]]
        given = {"name": spec["name"], "datatype": spec["datatype"], "shape": self._one(shapes), "data": [0.5]}
        return self._post(self.infer, json.dumps({"inputs": [given]}).encode())

    def _texts(self) -> bytes:
        # As one array, whose elements are as long as the longest, they would be 8 GB.
        data = ["x" * 100_000, *[self._one(["", 0, [""]])] * 20_000]
        given = {"name": self.metadata["inputs"][0]["name"], "datatype": "FP32", "shape": [1], "data": data}
        return self._post(self.infer, json.dumps({"inputs": [given]}).encode())

    def _oversized(self) -> bytes:
        length = self._one([10**9, 10**15, 10**30, -5])
        return self._post("/predict", b"x" * 1000).replace(
            b"Content-Length: 1000", f"Content-Length: {length}".encode()
        )

    def _chunks(self) -> bytes:
        start = self.target.request("/predict").replace(b"GET", b"POST").rstrip(b"\r\n")
        chunk = self._one([b"FFFFFFFF\r\nx", b"zz\r\n", b"-1\r\n", b"10\r\n" + b"x" * 16, b"1;" + b"e" * 5000])
        return start + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk

    def _trailers(self) -> bytes:
        start = self.target.request("/predict").replace(b"GET", b"POST").rstrip(b"\r\n")
        trailers = self._one([b"X: " + b"x" * 1_000_000, b"X: x\r\n" * 100_000, b"Content-Length: 5\r\n\r\n", b":"])
        return start + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + trailers

    def _bomb(self) -> bytes:
        side = int(self._one([5000, 20_000, 60_000, 2**31 - 1]))
        return self._post("/predict", picture(side, side), Content_Type="image/png")

    def _noise(self) -> bytes:
        starts = [
            b"",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"GIF89a",
            b"BM",
            b"II*\0",
            b"RIFF\0\0\0\0WEBP",
            b"8BPS",
        ]
        return self._post("/predict", self._one(starts) + self.rng.bytes(int(self.rng.integers(1, 3000))))

    def _form(self) -> bytes:
        head = b"--b\r\nContent-Disposition: form-data"
        named = head + b'; name="a"; filename="../../x"\r\n\r\nx\r\n--b--\r\n'
        bodies = [b"--b\r\n", head + b"\r\n\r\nx\r\n--b--", b"--b--", b"--b\r\n" * 500, named]
        kinds = ["; boundary=b", "", "; boundary=" + "b" * 500]
        return self._post("/predict", self._one(bodies), Content_Type=f"multipart/form-data{self._one(kinds)}")

    def _lengths(self) -> bytes:
        length = self._one(["0", "-1", "99999999999999999999", "5", "x", "", "0" * 5000])
        return self._post(self.infer, self.rng.bytes(50), **{HEADER: length})

    def _no_http(self) -> bytes:
        tls, http2 = b"\x16\x03\x01\x02\0\x01\0\x01\xfc", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        return self._one([tls, http2, b"\0" * 100, b"GET\r\n\r\n", self.rng.bytes(200)])

    def _headers(self) -> bytes:
        lines = [
            b"X: " + b"y" * 70_000,
            b"Host: evil.example",
            b"Content-Length: 5\r\nContent-Length: 6",
            b": x",
            b"Upgrade: websocket\r\nConnection: Upgrade",
            b"Expect: 100-continue",
            b"Origin: null",
            b"\r\n".join(b"X%d: y" % number for number in range(3000)),
        ]
        return self.good.replace(b"\r\n", b"\r\n" + self._one(lines) + b"\r\n", 1)

    def _paths(self) -> bytes:
        paths = ["/static/../../etc/passwd", "/static/%2e%2e%2fbundle.yaml", "/samples/0/../../bundle.yaml"]
        paths += ["/samples/99999999999999999999", "/samples/-1", "/samples/" + "1" * 5000]
        paths += ["/v2/models/%00/infer", "//", "/%ff"]
        return self.target.request(self._one([*paths, "/" + "a" * 20_000]))

    def _smuggling(self) -> bytes:
        start = self.target.request(self.infer, b"{}").partition(b"\r\n\r\n")[0]
        return start + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"

    def _deep(self) -> bytes:
        depth = int(self.rng.integers(1000, 50_000))
        return self._post(self.infer, self._one([b"[", b'{"a":']) * depth, Content_Type="application/json")

    def _pipelined(self) -> bytes:
        return self.target.request(self._one(["/v2", "/", "/metrics"])) * int(self.rng.integers(20, 2000))

    def _one(self, values: list[Any]) -> Any:
        return values[self.rng.integers(len(values))]


def picture(width: int, height: int) -> bytes:
    """Return a PNG file of few bytes whose pixels fill `width` x `height` if somebody decodes it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(min((width // 8 + 1) * height, 3_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


async def attack(target: Target, *, requests: int, seed: int = 0, at_once: int = AT_ONCE) -> dict[str, Any]:
    """Send hostile requests and healthy ones at the same time.

    Returns how many of each, the healthy ones without a good answer, the answers to the hostile ones by status
    ("closed": without one), and those by a kind that were answered with 500.
    """
    metadata, _ = await described(target)
    attacker = Attacker(target, metadata, seed)
    healthy, done = Counter[int](), asyncio.Event()
    statuses, failed = Counter[str](), Counter[str]()
    left = iter(range(requests))

    async def hostile() -> None:
        for number in left:
            kind, request = attacker.request()
            status = await _sent(target, request, how=1 + number % 7)
            statuses[status] += 1
            if status == "500":
                failed[kind] += 1

    beside = asyncio.create_task(_healthy(target, attacker.raw, healthy, done))
    await asyncio.gather(*(hostile() for _ in range(at_once)))
    done.set()
    await beside
    return {
        "hostile": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "failed": dict(failed),
        "healthy": sum(healthy.values()),
        "healthy_unanswered": sum(count for status, count in healthy.items() if status != 200),
    }


async def _healthy(target: Target, request: bytes, healthy: Counter[int], done: asyncio.Event) -> None:
    """Send healthy requests, each on a connection of its own, until `done`."""
    while not done.is_set():
        status = await _sent(target, request, how=0)
        healthy[int(status) if status.isdigit() else 0] += 1
        await asyncio.sleep(0.01)


async def _sent(target: Target, request: bytes, how: int) -> str:
    """Send a request and return the status of its answer, or "closed".

    `how`: 0 leaves the connection open for an answer, 5 sends slowly, 6 closes the connection half way, 7 does not
    read the answer; others say with the end of their request that nothing more will come.
    """
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port)
    except OSError:
        return "closed"
    try:
        if how == 5:
            for place in range(0, min(len(request), 40), 10):
                writer.write(request[place : place + 10])
                await asyncio.sleep(SLOW_S)
            request = request[40:]
        writer.write(request[: len(request) // 2] if how == 6 else request)
        if how in (6, 7):
            await asyncio.sleep(SLOW_S)
            return "closed"
        if how:
            writer.write_eof()
        line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
        words = line.split()
        return words[1].decode() if len(words) > 1 else "closed"
    except (OSError, asyncio.TimeoutError, ValueError):
        return "closed"
    finally:
        with contextlib.suppress(Exception):
            writer.transport.abort()
