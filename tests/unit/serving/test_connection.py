"""Connections: small requests answered without ASGI, clients that are slow, requests that are late, the end."""

import base64
import contextlib
import socket
import threading
import time

import pytest

from paddle_automl.serving.connection import MOST_PIPELINED, GuardedConnection
from paddle_automl.serving.model import PARALLEL
from tests.unit.serving.conftest import INFER, inference, request_of, running, slowed, spoken


def test_small_inferences_are_answered_directly_and_others_by_the_guard(predictor, monkeypatch):
    with running(predictor, timeout_s=0.3) as server:
        direct, answer = [], type(server.app.direct).answer

        def counted(self, *given):
            direct.append(1)
            return answer(self, *given)

        monkeypatch.setattr(type(server.app.direct), "answer", counted)
        start, body = inference()
        close = b"Connection: close\r\n\r\n"
        whole = spoken(server.port, start + close + body)
        apart = spoken(server.port, start + close, body)
        assert len(direct) == 2
        late = spoken(server.port, start + close + body[:5], body[5:], pause=0.1)
        assert len(direct) == 2
        for found in (whole, apart, late):
            assert found.startswith(b"HTTP/1.1 200 OK\r\n")
            head, _, content = found.partition(b"\r\n\r\n")
            assert content == whole.partition(b"\r\n\r\n")[2]
            names = {line.partition(b":")[0] for line in head.split(b"\r\n")[1:]}
            assert {b"date", b"connection", b"content-type", b"content-length", b"x-frame-options"} <= names
        never = spoken(server.port, start + b"\r\n" + body[:5])
        assert never.startswith(b"HTTP/1.1 408")
        # An incomplete request whose client has gone, and two in one piece: their answers come in order.
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(start + b"\r\n" + body[:5])
        found = spoken(server.port, start + b"\r\n" + body + start + close + b"x" * len(body))
        assert found.count(b"HTTP/1.1 ") == 2
        assert found.index(b"HTTP/1.1 200") < found.index(b"HTTP/1.1 400")
        old = spoken(server.port, start.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n" + body)
        assert b"connection: close" in old
        assert len(direct) == 4


def test_pipelined_requests_are_answered_up_to_a_limit(server):
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    close = get.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert spoken(server.port, get * 9 + close).count(b'{"live":true}') == 10
    found = spoken(server.port, get * 10_000)
    assert MOST_PIPELINED < found.count(b'{"live":true}') < 100
    assert found.count(b"connection: close") == 1
    assert found.count(b"HTTP/1.1 200 OK") == found.count(b"HTTP/1.1 ")


def test_a_client_that_does_not_read_holds_no_answers(predictor, monkeypatch):
    most, transports = 4096, []
    made = GuardedConnection.connection_made

    def small(self, transport):
        transports.append(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        transport.set_write_buffer_limits(most)
        made(self, transport)

    start, body = inference()
    with running(predictor) as server, socket.socket() as connection:
        monkeypatch.setattr(GuardedConnection, "connection_made", small)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", server.port))
        items, sent, stuck = server.app.metrics.items._value, 0, False
        while not stuck and sent < 100:
            before = items.get()
            connection.sendall(start + b"\r\n" + body)
            sent, end = sent + 1, time.monotonic() + 0.3
            while items.get() == before and not stuck:
                stuck = time.monotonic() > end
                time.sleep(0.001)
        size, found = transports[0].get_write_buffer_size(), b""
        assert most < size < 2 * most
        while found.count(b"HTTP/1.1 200") < sent:
            found += connection.recv(65536)


@pytest.mark.parametrize("count", [1, 8])
@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["", "close"])
def test_a_client_that_never_reads_is_left(predictor, monkeypatch, count, last):
    monkeypatch.setattr("paddle_automl.serving.server.connection_type.__defaults__", (0.5, None))
    made, connections = GuardedConnection.connection_made, []

    def small(self, transport):
        connections.append(self)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made(self, transport)

    get = b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\n"
    with running(predictor, timeout_s=0.2) as server, socket.socket() as connection:
        monkeypatch.setattr(GuardedConnection, "connection_made", small)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall((get + b"\r\n") * (count - 1) + get + last + b"\r\n")
        end = time.monotonic() + 5
        while not connections or not connections[0].transport.get_write_buffer_size():
            assert time.monotonic() < end
        while connections[0].connections:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_small_body_that_is_too_large_closes_its_connection(predictor):
    with running(predictor, body_mb=0.0001) as server:
        start, body = inference()
        found = spoken(server.port, start + b"\r\n" + body, timeout=5)
        assert found.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in found


def test_headers_have_a_limit_of_size_and_time(predictor, monkeypatch):
    monkeypatch.setattr("paddle_automl.serving.server.connection_type.__defaults__", (0.3, None))
    with running(predictor) as server:
        assert spoken(server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n") == b""
        assert spoken(server.port, b"") == b""
        found = spoken(server.port, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
        assert found.startswith(b"HTTP/1.1 431")
        assert spoken(server.port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc").startswith(b"HTTP/1.1 400")
        # A client that sends nothing more after its answer.
        assert spoken(server.port, b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(b"HTTP/1.1 200")


CHUNKED = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "part",
    [b"X: " + b"x" * 50_000 + b"\r\n", b"X: x\r\n" * 10_000, b"x" * 50_000],
    ids=["long", "many", "endless"],
)
@pytest.mark.parametrize("start", [b"0\r\nX: x", b"1;x=x"], ids=["trailers", "extensions"])
def test_what_frames_a_body_has_a_limit_of_size(server, start, part):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(CHUNKED + b"\r\n" + start)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(part * 200)


def test_trailers_are_no_headers(predictor):
    token = b"Authorization: Bearer secret\r\n"
    last = CHUNKED + b"Connection: close\r\n"
    with running(predictor, token="secret") as server:
        found = spoken(server.port, CHUNKED + b"\r\n0\r\n" + token + b"\r\n" + last + b"\r\n0\r\n\r\n")
        assert found.count(b"HTTP/1.1 401") == 2
        found = spoken(server.port, last + token + b"\r\n1\r\nx\r\n0\r\nContent-Type: text/plain\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 400")  # Not 415, which a text gets.


def test_a_body_of_small_chunks_is_taken(predictor, png):
    # Its frames have more than 64 KB together, but a part of the body follows each.
    body = b"".join(b"1;%s\r\n%s\r\n" % (b"x" * 500, png[place : place + 1]) for place in range(len(png)))
    assert len(body) > 65_536
    with running(predictor) as server:
        whole = spoken(server.port, CHUNKED + b"Connection: close\r\n\r\n" + body + b"0\r\n\r\n")
        assert whole.startswith(b"HTTP/1.1 200")
        assert b'"label"' in whole


def test_one_connection_too_many_gets_503(predictor):
    with running(predictor, connections=2) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        found = spoken(server.port)
        assert found.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in found


def test_a_server_that_stops_answers_what_it_has_taken(predictor, monkeypatch):
    gate, answers = threading.Event(), []
    with running(predictor) as server:
        slowed(server.app, monkeypatch, gate)
        thread = threading.Thread(target=lambda: answers.append(server.post(INFER, request_of(1))))
        thread.start()
        while not server.app.model.running:
            time.sleep(0.01)
        threading.Timer(0.3, gate.set).start()
    thread.join()
    assert [answer.status for answer in answers] == [200]
    with pytest.raises(ConnectionRefusedError):
        server.get("/v2")


def test_a_server_that_stops_waits_for_the_body_of_a_request(predictor, monkeypatch):
    monkeypatch.setattr("paddle_automl.serving.connection.AT_ONCE_S", 10.0)
    start, body = inference()
    with running(predictor) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        connection.sendall(start + b"\r\n" + body[:5])
        time.sleep(0.1)
        threading.Timer(0.5, connection.sendall, (body[5:],)).start()
    with connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("count", [1, 3])
def test_a_client_that_ends_its_side_gets_its_answers(predictor, monkeypatch, count):
    gate, (start, body) = threading.Event(), inference()
    with running(predictor) as server:
        slowed(server.app, monkeypatch, gate)
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall((start + b"\r\n" + body) * count)
            connection.shutdown(socket.SHUT_WR)
            threading.Timer(0.2, gate.set).start()
            found = b""
            while part := connection.recv(65536):
                found += part
    assert found.count(b"HTTP/1.1 200") == count
    assert found.endswith(b"]}")


def test_an_answer_that_takes_too_long_is_a_504(predictor, monkeypatch):
    gate = threading.Event()
    with running(predictor, timeout_s=0.3) as server:
        slowed(server.app, monkeypatch, gate)
        answer = server.post(INFER, request_of(1))
        gate.set()
        assert (answer.status, answer.error) == (504, "the answer took longer than 0.3 s")
        assert server.post(INFER, request_of(1)).status == 200


@pytest.mark.parametrize("path", [INFER, INFER.replace("/infer", "/versions/1/infer")])
def test_what_is_late_is_not_computed_any_more(predictor, monkeypatch, path):
    gate, batches = threading.Event(), []
    with running(predictor, timeout_s=0.3) as server:
        slowed(server.app, monkeypatch, gate)
        monkeypatch.setattr(server.app.model._batcher, "_formed", batches.append)
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(server.post(path, request_of(4))))
            for _ in range(PARALLEL + 2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gate.set()
        assert [answer.status for answer in answers] == [504] * len(threads)
        assert server.post(path, request_of(1)).status == 200
        assert batches == [4] * PARALLEL + [1]


def test_a_late_request_of_files_is_not_computed_any_more(predictor, monkeypatch, png):
    gate, batches = threading.Event(), []
    with running(predictor, timeout_s=0.3) as server:
        slowed(server.app, monkeypatch, gate)
        threads = [threading.Thread(target=server.post, args=(INFER, request_of(4))) for _ in range(PARALLEL)]
        for thread in threads:
            thread.start()
        while server.app.model.busy or server.app.model.running < 4 * PARALLEL:
            time.sleep(0.01)
        monkeypatch.setattr(server.app.model._batcher, "_formed", batches.append)
        files = [base64.b64encode(png).decode()]
        assert (
            server.infer(inputs=[{"name": "image", "datatype": "BYTES", "shape": [1], "data": files}]).status == 504
        )
        gate.set()
        for thread in threads:
            thread.join()
        assert server.post(INFER, request_of(2)).status == 200
        assert batches == [2]
