"""Who may ask, how much and how long; and the headers of every answer."""

import json
import threading
import time

import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.serving.options import Address, Limits
from tests.unit.serving.conftest import INFER, NAME, request_of, running, slowed, spoken


def test_every_answer_has_the_headers_of_a_careful_server(server):
    for answer in (server.get("/"), server.get("/nothing"), server.get("/metrics"), server.post(INFER, b"x")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_only_own_names_and_the_own_origin(server):
    for host in ("localhost:1", "127.0.0.1", "[::1]:80", "LOCALHOST"):
        assert server.get("/v2", Host=host).status == 200
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        answer = server.get("/v2", Host=host)
        assert (answer.status, "is not one of this server's" in answer.error) == (403, True)
    own = f"127.0.0.1:{server.port}"
    assert server.get("/v2", Origin=f"http://{own}").status == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        answer = server.post("/predict", b"x", Origin=origin)
        assert (answer.status, "another origin" in answer.error) == (403, True)


def test_a_token_is_asked_for_but_not_by_health_and_page(predictor, png):
    with running(predictor, token="pässword".encode().hex()) as server:
        token = server.app.address.token
        for path in ("/", "/static/page.js", "/v2/health/live", "/v2/health/ready"):
            assert server.get(path).status == 200
        for path in ("/info", "/metrics", "/v2", f"/v2/models/{NAME}", "/samples/0", "/openapi.json"):
            assert server.get(path).status == 401
            assert server.get(path, Authorization=f"Bearer {token}").status == 200
        for given in (
            {},
            {"Authorization": "Bearer x"},
            {"Authorization": token},
            {"Authorization": "Bearer \xff"},
        ):
            answer = server.ask("POST", "/predict", png, given)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert server.post("/predict", png, Authorization=f"Bearer {token}").status == 200


def test_large_bodies_are_refused_before_they_are_read(predictor):
    with running(predictor, body_mb=0.01) as server:
        answer = server.post("/predict", bytes(20_000))
        assert (answer.status, answer.error) == (413, "the body is larger than the 0.01 MB allowed")
        start = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {10**15}\r\n\r\n".encode()
        assert spoken(server.port, start).startswith(b"HTTP/1.1 413")
        chunk = b"2000\r\n" + bytes(0x2000) + b"\r\n"
        start = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert spoken(server.port, start, chunk, chunk).startswith(b"HTTP/1.1 413")
        assert server.post("/predict", bytes(5_000)).status == 400


def test_a_slow_body_is_refused_and_its_connection_closed(predictor):
    with running(predictor, timeout_s=0.3) as server:
        start = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
        found = spoken(server.port, start, b"x" * 10)
        assert found.startswith(b"HTTP/1.1 408")
        assert b"did not arrive within 0.3 s" in found


def test_a_full_queue_gets_503_and_the_others_their_answers(predictor, monkeypatch):
    gate = threading.Event()
    with running(predictor, queue=4) as server:
        slowed(server.app, monkeypatch, gate)
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(server.post(INFER, request_of(4)))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        while server.app.model.busy < 4:
            time.sleep(0.01)
        refused = server.post(INFER, request_of(1))
        gate.set()
        for thread in threads:
            thread.join()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert server.post(INFER, request_of(1)).status == 200


def test_not_ready_until_warm(predictor, monkeypatch):
    gate = threading.Event()
    run = predictor.run

    def waiting(arrays):
        assert gate.wait(20)
        return run(arrays)

    monkeypatch.setattr(predictor, "run", waiting)
    with running(predictor, ready=False) as server:
        assert server.get("/v2/health/live").status == 200
        assert (server.get("/v2/health/ready").status, server.get("/v2/health/ready").json) == (
            503,
            {"ready": False},
        )
        answer = server.post(INFER, request_of(1))
        assert (answer.status, answer.error) == (503, "the model is not ready")
        gate.set()
        while server.get("/v2/health/ready").status == 503:
            time.sleep(0.01)
        assert server.post(INFER, request_of(1)).status == 200


def test_a_failure_of_the_server_is_a_500_without_details(predictor, monkeypatch, caplog):
    with running(predictor) as server:
        monkeypatch.setattr(server.app.model, "submit", lambda arrays: 1 / 0)
        answer = server.post(INFER, request_of(1))
        assert (answer.status, answer.error) == (500, "the server failed; its log says why")
        assert "ZeroDivisionError" in caplog.text


def test_a_failure_of_any_route_is_a_500_in_the_form_of_the_route(predictor, monkeypatch, caplog):
    with running(predictor) as server:
        monkeypatch.setattr(server.app.model, "predict", lambda sources, names=None: 1 / 0)
        plain = server.post("/predict", b"an image")
        paddlex = server.post("/image-classification", {"image": "AAAA"})
    sentence = "the server failed; its log says why"
    assert (plain.status, plain.error) == (500, sentence)
    assert (paddlex.status, paddlex.json["errorCode"], paddlex.json["errorMsg"]) == (500, 500, sentence)
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError] * 2


def test_metrics_count_requests_errors_and_batches(predictor):
    with running(predictor) as server:
        small = server.post(INFER, request_of(2))
        # What is too large for the direct route is answered, and counted, the same way.
        assert server.post(INFER, json.dumps(request_of(2)).encode() + b" " * 300_000).body == small.body
        server.post(INFER, b"x")
        server.get("/nothing/of/this/name")
        lines = server.get("/metrics").body.decode().splitlines()
    assert 'paddle_automl_requests_total{code="200",route="/v2/models/{name}/infer"} 2.0' in lines
    assert 'paddle_automl_requests_total{code="400",route="/v2/models/{name}/infer"} 1.0' in lines
    assert 'paddle_automl_requests_total{code="404",route="other"} 1.0' in lines
    assert 'paddle_automl_errors_total{code="400"} 1.0' in lines
    assert "paddle_automl_items_total 4.0" in lines
    assert "paddle_automl_batch_items_sum 4.0" in lines
    for part in ("receive", "queue", "network", "total"):
        [count] = [
            line for line in lines if line.startswith(f'paddle_automl_latency_seconds_count{{part="{part}"}}')
        ]
        assert float(count.split()[-1]) >= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch": 0}, "--max-batch: must be at least 1, got 0"),
        ({"wait_ms": -1}, "--max-wait-ms: must be 0 to 10000, got -1"),
        ({"body_mb": float("nan")}, "--max-body-mb: must be larger than 0, got nan"),
        ({"timeout_s": 0}, "--timeout: must be larger than 0, got 0"),
        ({"extent": 0}, "--max-extent: must be at least 1, got 0"),
    ],
)
def test_limits_that_allow_nothing_are_refused(changes, sentence):
    with pytest.raises(ConfigError) as caught:
        Limits(**changes)
    assert str(caught.value) == sentence


def test_names_of_a_server_for_the_network():
    assert Address().allowed == {"127.0.0.1", "localhost", "::1"}
    assert Address("0.0.0.0").allowed is None
    assert Address("0.0.0.0", names=("Models.Example",)).allowed == {"models.example"}
    assert "localhost" in Address(names=("models.example",)).allowed


def test_the_description_lists_all_routes(server):
    paths = json.loads(server.get("/openapi.json").body)["paths"]
    assert {"/predict", "/v2/models/{name}/infer", "/image-classification", "/metrics", "/info"} <= set(paths)
