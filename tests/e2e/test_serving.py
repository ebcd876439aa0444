"""`tools/serve.py` and `tools/loadtest.py` as a user runs them."""

import asyncio
import http.client
import json
import shutil
import signal
import socket
import sys
import time

import numpy as np
import psutil
import pytest
import yaml

pytest.importorskip("fastapi", reason='the extra `serve` is not installed: pip install "paddle_automl[serve]"')

from paddle_automl.benchmarks.serving import memory, throughput
from paddle_automl.benchmarks.serving.bundle import SIZE, write_bundle
from paddle_automl.benchmarks.serving.hostile import attack
from paddle_automl.benchmarks.serving.process import started
from paddle_automl.core.version import VERSION
from paddle_automl.deployment.integrity import sealed
from paddle_automl.deployment.predictor import Predictor
from tests.e2e.conftest import run_forked, run_tool


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("网络") / "pictures" / "model"
    folder.mkdir(parents=True)
    return write_bundle(folder)


@pytest.fixture(scope="module")
def server(bundle):
    with started(bundle.folder, "--max-batch", "4", "--timeout", "2") as found:
        yield found


def ask(server, path, body=None):
    connection = http.client.HTTPConnection(server.target.host, server.target.port, timeout=20)
    try:
        connection.request("POST" if body else "GET", path, body)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def infer(server):
    data = np.zeros(3 * SIZE * SIZE).tolist()
    tensor = {"name": "image", "datatype": "FP32", "shape": [1, 3, SIZE, SIZE], "data": data}
    return ask(server, "/v2/models/pictures/infer", json.dumps({"inputs": [tensor]}))


def test_it_serves_what_the_predictor_predicts(server, bundle):
    status, found = infer(server)
    assert status == 200
    expected = bundle.session()({"image": np.zeros((1, 3, SIZE, SIZE), np.float32)})
    np.testing.assert_allclose(found["outputs"][0]["data"], expected[0], atol=1e-6)
    assert ask(server, "/v2")[1] == {
        "name": "paddle_automl", "version": VERSION, "extensions": ["binary_tensor_data"],
    }  # fmt: skip


def test_the_load_test_prints_and_writes_figures(server, tmp_path):
    url, file = f"http://{server.target.host}:{server.target.port}", tmp_path / "load.json"
    words = ("--connections", 1, 3, "--seconds", 0.3, "--json", file)
    run = run_forked("loadtest", url, *words)
    assert run.code == 0, run.err
    levels = json.loads(file.read_text())["levels"]
    assert [level["connections"] for level in levels] == [1, 3]
    for level in levels:
        assert level["errors"] == 0
        assert level["statuses"] == {"200": level["requests"]}
        assert 0 < level["p50_ms"] <= level["p95_ms"] <= level["p99_ms"]
        assert str(level["per_second"]) in run.out
    run = run_forked("loadtest", url, "--send", "sample")
    assert (run.code, run.err) == (2, "error: --send: the server's bundle has no samples; use tensor\n")


def test_hostile_requests_leave_it_whole(server):
    processes = [process.pid for process in server.processes]
    found = asyncio.run(attack(server.target, requests=250))
    assert found["hostile"] == 250
    assert found["failed"] == {}
    assert found["healthy"] > 0
    assert found["healthy_unanswered"] == 0
    assert found["statuses"]["400"] > 20
    assert [process.pid for process in server.processes] == processes
    assert infer(server)[0] == 200


def test_throughput_is_measured_beside_the_bare_network(server, bundle):
    [found] = throughput.measure(
        server, Predictor(bundle), connections=2, rounds=1, seconds=0.2, tell=lambda text: None
    )
    assert found["errors"] == 0
    assert 1 <= found["batch"] <= 2
    assert found["ratio"] == pytest.approx(found["per_second"] / found["bare_per_second"], abs=0.001)


@pytest.mark.slow
def test_it_goes_on_when_the_network_dies(server):
    network = max(server.process.children(), key=lambda process: process.memory_info().rss)
    network.kill()
    while network.is_running() and network.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    status, found = infer(server)
    assert (status, found) == (503, {"error": "the network's process ended; it is started again"})
    assert ask(server, "/v2/health/live")[0] == 200
    assert infer(server)[0] in (200, 504)
    end = time.monotonic() + 60
    while infer(server)[0] != 200:
        assert time.monotonic() < end


def test_a_signal_ends_it_with_code_0(server):
    network = [process.pid for process in server.process.children()]
    assert network
    server.process.terminate()
    assert server.process.wait(60) == 0
    assert server.process.stdout.read().splitlines()[-1] == "stopped"


@pytest.mark.slow
def test_a_second_ctrl_c_ends_it_without_a_trace(bundle):
    with started(bundle.folder) as server:
        for _ in range(2):
            server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 0
        assert server.process.stdout.read().splitlines() == ["stopped"]


@pytest.fixture
def newer(bundle, tmp_path):
    folder = tmp_path / "newer"
    shutil.copytree(bundle.folder, folder)
    info = yaml.safe_load((folder / "bundle.yaml").read_text(encoding="utf-8"))
    (folder / "bundle.yaml").write_text(sealed(info | {"format": 99}), encoding="utf-8")
    return folder


@pytest.mark.slow
def test_a_network_that_cannot_be_loaded_ends_it(bundle, tmp_path):
    (tmp_path / "paddle.py").write_text('raise ImportError("libgomp is missing")')
    run = run_tool("serve", "-m", bundle.folder, "--port", 0, PYTHONPATH=str(tmp_path))
    assert run.code == 2
    assert "error: the model cannot be run: " in run.err
    assert "libgomp is missing" in run.err


def test_a_bundle_of_a_newer_version(newer):
    run = run_forked("serve", "-m", newer, "--port", 0)
    assert run.code == 2
    assert "99" in run.err
    assert "newer" in run.err


def test_a_missing_bundle_and_a_missing_file(bundle, tmp_path):
    run = run_forked("serve", "-m", tmp_path / "nothing", "--port", 0)
    assert (run.code, "nothing" in run.err) == (2, True)
    folder = tmp_path / "part"
    shutil.copytree(bundle.folder, folder)
    (folder / "inference.pdiparams").unlink()
    run = run_forked("serve", "-m", folder, "--port", 0)
    assert (run.code, "inference.pdiparams" in run.err) == (2, True)


def test_a_port_in_use(bundle):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = run_forked("serve", "-m", bundle.folder, "--port", port)
    sentence = f"error: --port: 127.0.0.1:{port} is in use by another program; choose another port"
    assert (run.code, run.err) == (2, f"{sentence}, or 0 for any free one\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--runtime", "tensorrt"), "the bundle has no file for 'tensorrt'"),
        (("--port", 99_999), "--port: must be 0 to 65535, got 99999"),
        (("--host", "256.1.1.1"), "--host, --port: cannot listen on 256.1.1.1"),
        (("--max-batch", 0), "--max-batch: must be at least 1, got 0"),
        (("--token", ""), "--token: must be printable ASCII"),
        (("--threads", 0), "threads: must be at least 1, got 0"),
    ],
)
def test_wrong_options(bundle, words, sentence):
    given = words if "--port" in words else (*words, "--port", 0)
    run = run_forked("serve", "-m", bundle.folder, *given)
    assert (run.code, sentence in run.err) == (2, True), run.err


def test_without_the_extra(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    run = run_forked("serve", "-m", bundle.folder)
    assert run.code == 2
    assert 'pip install "paddle_automl[serve]"' in run.err


@pytest.mark.parametrize("url", ["ftp://x", "http://:80", "http://a:b"])
def test_wrong_addresses_of_a_load_test(url):
    run = run_forked("loadtest", url)
    assert (run.code, "no address such as http://127.0.0.1:8080" in run.err) == (2, True)


def test_nobody_at_the_address():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    run = run_forked("loadtest", f"127.0.0.1:{port}")
    assert (run.code, f"cannot connect to 127.0.0.1:{port}" in run.err) == (2, True)


def test_memory_that_grows_is_seen():
    steady = memory.line([100.0, 100.4, 99.7, 100.1, 99.9, 100.2], per=40)
    assert steady["constant"]
    growing = memory.line([100.0, 102.1, 103.9, 106.0, 108.1], per=40)
    assert not growing["constant"]
    assert growing["slope_mb"] == pytest.approx(80, rel=0.05)


@pytest.mark.slow
def test_ten_thousand_hostile_requests(bundle):
    with started(bundle.folder) as server:
        asyncio.run(attack(server.target, requests=500, seed=1))
        before, files = server.memory_mb(), server.files()
        found = asyncio.run(attack(server.target, requests=10_000))
        assert found["failed"] == {}
        assert found["healthy"] > 100
        assert found["healthy_unanswered"] == 0
        assert asyncio.run(server.ready())
        end = time.monotonic() + 30
        while server.files() > files:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert server.memory_mb() - before < 50


@pytest.mark.slow
def test_constant_memory_over_a_hundred_thousand_requests(bundle):
    with started(bundle.folder) as server:
        found = memory.measure(server, requests=100_000, connections=16, tell=lambda text: None)
    assert found["errors"] == 0
    assert found["constant"], found
