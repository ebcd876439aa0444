"""Bundles of several kinds, and a server in a thread of the test's process."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import pytest

pytest.importorskip("fastapi", reason='the extra `serve` is not installed: pip install "paddle_automl[serve]"')

from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters.paddle_inference import PaddleInferenceExporter
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.serving.app import Application
from paddle_automl.serving.options import Address, Limits
from paddle_automl.serving.server import bind, server_of
from paddle_automl.tasks.base import RawTargets
from paddle_automl.tasks.multi_label import MultiLabel
from paddle_automl.tasks.regression import Regression
from tests.unit.deployment.conftest import Net, array_data, make_input, make_net, quick

NAME = "flowers"
SHAPE = (1, 8, 10)
INFER = f"/v2/models/{NAME}/infer"


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]


@dataclass
class Running:
    """A server that runs."""

    port: int
    app: Application

    def ask(
        self, method: str, path: str, body: bytes | dict | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: bytes | dict, **headers: str) -> Answer:
        return self.ask("POST", path, body, {key.replace("_", "-"): value for key, value in headers.items()})

    def infer(self, **request: Any) -> Answer:
        return self.post(f"/v2/models/{NAME}/infer", request)


@contextmanager
def running(
    predictor: Predictor, *, ready: bool = True, token: str | None = None, **limits: Any
) -> Iterator[Running]:
    """Run a server; it is stopped at the end, however the test ends."""
    address = Address(port=0, token=token)
    listening = bind(address)
    started = threading.Event()
    app = Application(predictor, NAME, address=address, limits=Limits(**{"batch": 4, **limits}))
    server = server_of(app, started.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        assert started.wait(20)
        found = Running(listening.getsockname()[1], app)
        while ready and not app.model.ready:
            assert thread.is_alive()
        yield found
    finally:
        server.should_exit = True
        thread.join(40)
        assert not thread.is_alive()


def spoken(port, *parts, pause=0.0, timeout=20.0):
    """Send raw bytes and return all that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65536):
                found += part
        return found


def inference(count=1):
    body = json.dumps(request_of(count)).encode()
    start = f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return start.encode(), body


def slowed(app, monkeypatch, gate):
    """Let runs of the network wait for an event."""
    run = app.model.predictor.run

    def waiting(arrays):
        assert gate.wait(20)
        return run(arrays)

    monkeypatch.setattr(app.model.predictor, "run", waiting)


def request_of(count):
    return {
        "inputs": [
            {
                "name": "image",
                "datatype": "FP32",
                "shape": [count, *SHAPE],
                "data": np.zeros(count * 80).tolist(),
            }
        ]
    }


def written(folder, task, source=None, net=None) -> Bundle:
    """Write a bundle without samples."""
    folder.mkdir()
    paddle.seed(5)
    net = net or Net(1, task.outputs)
    exporter = PaddleInferenceExporter.Config(name="paddle_inference")
    return Bundle.write(folder, model=net, exporter=exporter, input=source or make_input(), task=task)


@pytest.fixture(scope="session")
def predictor(tmp_path_factory) -> Predictor:
    """A predictor of three classes of grey images, 8 x 10 pixels, with samples."""
    folder = tmp_path_factory.mktemp("served") / "model"
    bundle = create_bundle(make_net(), folder=folder, data=array_data(), deployment=quick(), config={}, metrics={})
    return Predictor(bundle)


@pytest.fixture(scope="session")
def server(predictor) -> Iterator[Running]:
    """A server of that predictor with its usual limits."""
    with running(predictor) as found:
        yield found


@pytest.fixture(scope="session")
def labels(tmp_path_factory) -> Predictor:
    """A predictor of several labels."""
    names = ("cat", "dog", "bird")
    task = MultiLabel(MultiLabel.Fitted(name="multi_label", names=names, thresholds=(0.3, 0.5, 0.7)))
    return Predictor(written(tmp_path_factory.mktemp("labels") / "model", task))


@pytest.fixture(scope="session")
def numbers(tmp_path_factory) -> Predictor:
    """A predictor of numbers with intervals."""

    values = np.random.default_rng(2).normal(1000, 200, (50, 1))
    task = Regression.fit(
        Regression.Config(name="regression", interval=0.8), RawTargets("numbers", values, ("price",))
    )
    return Predictor(written(tmp_path_factory.mktemp("numbers") / "model", task))


@pytest.fixture(scope="session")
def png(predictor) -> bytes:
    """The first sample of the bundle as a file."""
    return (predictor.bundle.folder / "samples" / "0.png").read_bytes()
