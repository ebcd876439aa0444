"""Every executor keeps the laws; one from outside the package runs a search."""

import pytest

from paddle_automl.core.loading import validate
from paddle_automl.core.plugins import load_plugins
from paddle_automl.core.registry import registrations, take_back
from paddle_automl.search.config import SearchConfig
from paddle_automl.search.executors.base import EXECUTORS
from paddle_automl.testing.executors import ExecutorContract

IN_THREADS = '''
"""An executor that runs jobs in threads of the calling process."""

import queue
import threading
import time

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.executors.base import EXECUTORS, Capacity, Executor, Failed, Reported, Worker
from paddle_automl.search.messages import event_of, function_of, outcome_of


class Killed(BaseException):
    """Ends the thread of a job that was killed."""


@EXECUTORS.register("in_threads")
class InThreads(Executor):
    """Runs jobs in threads."""

    class Config(PluginConfig):
        """Options."""

        note: str = ""
        """Shows that a plugin's options are read."""

    def __init__(self, config, *, workers="auto", device="auto", scratch=None, preload=()):
        self._workers = 2 if workers == "auto" else workers
        self._scratch = scratch
        self._replies = {}
        self._events = queue.Queue()

    def capacity(self):
        return Capacity(self._workers, ("cpu",), 1)

    @property
    def free(self):
        return self._workers - len(self._replies)

    def submit(self, id, job):
        self._replies[id] = queue.Queue()
        threading.Thread(target=self._run, args=(id, job, self._replies[id]), daemon=True).start()

    def _run(self, id, job, replies):
        def report(epoch, metrics):
            self._events.put((replies, Reported(id, epoch, dict(metrics))))
            if (go_on := replies.get()) is None:
                raise Killed
            return go_on

        worker = Worker("cpu", 1, self._scratch, report)
        try:
            message = outcome_of(lambda: function_of(job.target)(job.request, worker))
        except Killed:
            return
        self._events.put((replies, event_of(id, message)))

    def poll(self, timeout_s):
        found, end = [], time.monotonic() + timeout_s
        while not found and time.monotonic() < end:
            try:
                replies, event = self._events.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if self._replies.get(event.id) is not replies:
                continue
            if not isinstance(event, Reported):
                del self._replies[event.id]
            found.append(event)
        return found

    def reply(self, id, go_on):
        if id in self._replies:
            self._replies[id].put(go_on)

    def kill(self, id, reason):
        replies = self._replies.get(id)
        if replies is not None and not hasattr(replies, "killed"):
            replies.killed = True
            replies.put(None)
            self._replies[id] = token = queue.Queue()
            token.killed = True
            self._events.put((token, Failed(id, reason)))

    def close(self):
        for id in list(self._replies):
            self.kill(id, "cancelled")
        self._replies.clear()
'''


@pytest.mark.parametrize("plugin", [EXECUTORS[name] for name in EXECUTORS.names()])
class TestExecutors(ExecutorContract):
    pass


@pytest.fixture
def in_threads(tmp_path):
    file = tmp_path / "in_threads.py"
    file.write_text(IN_THREADS)
    load_plugins([str(file)])
    yield EXECUTORS["in_threads"]
    take_back([item for item in registrations() if item.registry is EXECUTORS])


class TestOneOfOnesOwn(ExecutorContract):
    own_process = False

    @pytest.fixture
    def plugin(self, in_threads):
        return in_threads

    def test_it_is_an_option_like_any_other(self, plugin):
        options = validate(SearchConfig, {"executor": {"name": "in_threads", "note": "x"}}).executor
        assert isinstance(options, plugin.Config)
        assert options.note == "x"
