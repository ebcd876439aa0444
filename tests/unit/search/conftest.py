"""A clock for searches with a deadline."""

import pytest

from tests.unit.search.helpers import Scripted


class Clock:
    """A clock that only its executors move: by 0.1 s whenever they are asked."""

    now = 1000.0

    def monotonic(self):
        return self.now

    def slow(self, workers):
        clock = self

        class Slow(Scripted):
            def poll(self, timeout_s):
                clock.now += 0.1
                return super().poll(timeout_s)

        return Slow(workers)


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    for module in ("coordinator", "study", "recording"):
        monkeypatch.setattr(f"paddle_automl.search.{module}.time", found)
    return found
