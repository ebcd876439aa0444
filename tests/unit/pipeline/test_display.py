"""The display of a job: epochs or items, and the time that is left."""

import io

import pytest
from rich.console import Console

from paddle_automl.pipeline.progress import display
from paddle_automl.pipeline.progress.display import Display


@pytest.mark.parametrize(
    ("epochs", "done", "metrics", "expected"),
    [
        (10, 4, {}, "epoch 4 of 10, about 0:30 left"),
        (10, 4, {"accuracy": 0.5}, "epoch 4 of 10, about 0:30 left, accuracy 0.5000"),
        (None, 400, {"items": 1000.0}, "400 of 1,000 items, about 0:30 left"),
        (None, 400, {"items": 1000.0, "most_s": 12.0}, "400 of 1,000 items, about 0:12 left"),
        (None, 1000, {"items": 1000.0}, "1,000 of 1,000 items, about 0:00 left"),
        (None, 0, {"items": 1000.0}, ""),
        (None, 4, {}, ""),
    ],
)
def test_a_job_tells_what_is_done_and_left(monkeypatch, epochs, done, metrics, expected):
    now = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    found = Display.of_job(Console(file=io.StringIO()))
    report = found.job("working", epochs)
    now[0] += 20.0
    report(done, metrics)
    assert found.task == ("working", expected)
