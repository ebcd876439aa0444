"""The one thread in which a process runs loaded networks."""

import os
import signal
import threading
import time
from functools import lru_cache

import pytest

from paddle_automl.deployment import runtime


@pytest.fixture
def new_pool(monkeypatch):
    """No executor yet; that of the tests' process must not end, see `in_lasting_thread`."""
    made = []

    class Slow(runtime.ThreadPoolExecutor):
        def __init__(self, *args, **options):
            time.sleep(0.05)
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(runtime, "ThreadPoolExecutor", Slow)
    monkeypatch.setattr(runtime, "_made", lru_cache(maxsize=1)(runtime._made.__wrapped__))
    yield made
    for pool in made:
        pool.shutdown()


def test_threads_that_start_at_once_share_one_thread(new_pool):
    start, used = threading.Barrier(8), []

    def work():
        start.wait()
        used.append(runtime.in_lasting_thread(threading.get_ident))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(new_pool) == 1
    assert len(used) == 8
    assert len(set(used)) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_that_is_forked_while_a_thread_is_made_has_its_own(new_pool):
    with runtime._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            try:
                os._exit(runtime.in_lasting_thread(lambda: 7))
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
