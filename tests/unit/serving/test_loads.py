"""What a load test asks a server before it loads it."""

import asyncio
import http.server
import json
import socket
import threading
from contextlib import contextmanager

import pytest

from paddle_automl.core.errors import ConfigError, MachineError
from paddle_automl.serving import client
from paddle_automl.serving.client import Load, Target, drive
from paddle_automl.serving.loads import described

PAGE = b"<html>a page of another server</html>"


def test_the_figures_of_a_load_without_an_answer_are_json():
    figures = Load(connections=2, seconds=1.0, lost=3).figures()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    assert (figures["p50_ms"], figures["p99_ms"], figures["errors"], figures["requests"]) == (None, None, 3, 3)


@contextmanager
def answering(pages):
    """Serve the bodies by path; others are not found."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = pages.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Target.parse(f"http://127.0.0.1:{server.server_port}", None)
        finally:
            server.shutdown()
            thread.join()


def test_refusals_have_no_part_in_the_percentiles():
    with answering({"/there": PAGE}) as target:
        load = asyncio.run(drive(target, [target.request("/there"), target.request("/away")], 1, 10.0, most=6))
        refused = asyncio.run(drive(target, [target.request("/away")], 1, 10.0, most=2)).figures()
    assert load.statuses == {200: 3, 404: 3}
    assert len(load.times) == 3
    assert (refused["per_second"], refused["p50_ms"], refused["errors"]) == (0.0, None, 2)


@pytest.mark.parametrize("page", [PAGE, b"[1]", b"3"])
def test_another_server_of_the_protocol_may_have_a_page_at_info(page):
    metadata = {"name": "m", "inputs": [], "outputs": []}
    with answering({"/info": page, "/v2/models/m": json.dumps(metadata).encode()}) as target:
        assert asyncio.run(described(target, "m")) == (metadata, {})
        with pytest.raises(ConfigError, match="--model: the server does not say what its model is called"):
            asyncio.run(described(target))


@pytest.mark.parametrize("page", [PAGE, b"[]", b"{}"])
def test_a_server_of_no_model_is_named_as_such(page):
    with (
        answering({"/v2/models/m": page}) as target,
        pytest.raises(ConfigError, match="no metadata of the Open Inference Protocol V2"),
    ):
        asyncio.run(described(target, "m"))


def test_a_server_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(client, "ANSWER_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target.parse(f"http://127.0.0.1:{silent.getsockname()[1]}", None)
        with pytest.raises(MachineError, match=r"has not answered within 0\.05 s"):
            asyncio.run(described(target))
