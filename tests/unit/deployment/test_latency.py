"""Times: what is counted, one measurement at a time, nothing left behind."""

import multiprocessing
import tempfile
import time

import numpy as np
import pytest

from paddle_automl.deployment.config import LatencyConfig
from paddle_automl.deployment.latency import (
    measure,
    measure_model_latency,
    measure_session,
    time_in_turn,
    time_sessions,
)
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.tasks.base import Final
from tests.unit.deployment.conftest import make_input, make_net

SOFTMAX = Final("softmax")


def test_measure_counts_runs_after_the_warm_up(monkeypatch):
    calls, clock = [], iter(np.cumsum([0, 0.001, 1, 0.003, 1, 0.002]))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    timing = measure(lambda: calls.append(1), warmup=2, runs=3)
    assert len(calls) == 5
    assert timing.p50_ms == pytest.approx(2)
    assert timing.min_ms == pytest.approx(1)
    assert timing.p95_ms == pytest.approx(2.9)


def test_session_gets_each_batch_size():
    shapes = []

    def session(arrays):
        shapes.append((arrays["image"].shape, arrays["image"].dtype.name))
        return arrays["image"]

    config = LatencyConfig(batch_sizes=(1, 4), warmup=0, runs=1, threads=2)
    records = measure_session(session, make_input(3, (5, 6)), config)
    assert shapes == [((1, 3, 5, 6), "float32"), ((4, 3, 5, 6), "float32")]
    assert [record.batch_size for record in records] == [1, 4]
    assert records[0].threads == 2
    assert records[0].device == "cpu"
    assert records[0].date.endswith("+00:00")
    assert measure_session(session, make_input(3, (5, 6)), LatencyConfig(batch_sizes=())) == []


def test_objective_of_a_network_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    net = make_net()
    net.train()
    config = LatencyConfig(batch_sizes=(2,), warmup=1, runs=3)
    milliseconds = measure_model_latency(
        net, make_input(), SOFTMAX, config, lock=tmp_path / "locks" / "latency.lock"
    )
    assert 0 < milliseconds < 1000
    assert net.training
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_callers_math_threads_stay(bundle):
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def counts():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

    with threadpoolctl.threadpool_limits(2):
        before = counts()
        assert 2 in before
        measure_model_latency(make_net(), make_input(), SOFTMAX, LatencyConfig(warmup=1, runs=2, threads=1))
        Predictor(bundle, threads=1).predict_arrays(np.zeros((3, 1, 8, 10), np.uint8))
        assert counts() == before


def hold(lock, entered, done):
    def session(images):
        entered.set()
        time.sleep(0.5)
        done.value = time.monotonic()
        return images

    measure_session(session, make_input(1, (1, 1)), LatencyConfig(warmup=0, runs=1), lock=lock)


def test_another_process_waits(tmp_path):
    context = multiprocessing.get_context("fork")
    entered, done = context.Event(), context.Value("d", 0.0)
    other = context.Process(target=hold, args=(tmp_path / "lock", entered, done))
    other.start()
    assert entered.wait(10)
    started = []

    def session(images):
        started.append(time.monotonic())
        return images

    measure_session(session, make_input(1, (1, 1)), LatencyConfig(warmup=0, runs=1), lock=tmp_path / "lock")
    other.join()
    assert started[0] >= done.value > 0


def test_turns_are_kept_apart():
    calls = []
    found = time_in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, warmup=1, turns=[2, 3])
    assert "".join(calls) == "ab" + "aaa" + "bbb" + "aaaa" + "bbbb"
    assert [times.shape for times in found["a"]] == [(2,), (3,)]


def test_loaded_networks_are_timed_on_one_batch(tmp_path):
    seen = []
    arrays = make_input().example(2, np.random.default_rng(0))
    found = time_sessions(
        {"one": lambda given: seen.append(given)}, arrays, warmup=1, turns=[4] * 3, lock=tmp_path / "l" / "lock"
    )
    assert np.asarray(found["one"]).shape == (3, 4)
    assert len(seen) == 13
    assert all(given is arrays for given in seen)
