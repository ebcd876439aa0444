"""One process of `benchmark scaling`: it works until a given time and counts what it did in a window."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import paddle

from paddle_automl.benchmarks.training.loop_job import AUGMENT, RECIPE, network_of, random_data, task_of
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.models import kernels
from paddle_automl.paddle_compat.device import disable_signal_handler, set_threads
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import train

SIDE = 768
"""Of the matrices: three of them fit into the caches of a core."""
STEPS = 4
"""Of an epoch: short ones let the window be met closely, and each has a validation and files as usual."""


def work(payload: Mapping[str, Any], report: Callable[[int, Mapping[str, float]], bool]) -> dict[str, Any]:
    """Return products or images per second between the times `begin` and `end` of the payload.

    Payload: `net` ("product", or a network), `dtype`, `begin` and `end` (seconds of the clock), `threads`.
    """
    disable_signal_handler()
    set_threads(int(payload["threads"]))
    kernels.set_threads(1)
    window = _Window(payload["begin"], payload["end"])
    if payload["net"] == "product":
        matrix = paddle.rand([SIDE, SIDE])
        while window.open():
            paddle.matmul(matrix, matrix)
            window.note(1)
    else:
        _train(payload["net"], payload["dtype"], window)
    return {"per_second": window.rate()}


class _Window:
    """Counts work that was done between two times."""

    def __init__(self, begin: float, end: float) -> None:
        self.begin, self.end = begin, end
        self.marks: list[tuple[float, int]] = []
        """Time and amount of each piece of work that ended after `begin`."""

    def open(self) -> bool:
        """Return whether there is time left."""
        return time.time() < self.end

    def note(self, amount: int) -> None:
        """Count a piece of work that ended now."""
        now = time.time()
        if now >= self.begin:
            self.marks.append((now, amount))

    def rate(self) -> float:
        """Return the work per second from the first mark, which is not counted, to the last."""
        if len(self.marks) < 2:
            raise RuntimeError("too slow for the window: give more --seconds")
        return sum(amount for _, amount in self.marks[1:]) / (self.marks[-1][0] - self.marks[0][0])


def _train(net: str, dtype: str, window: _Window) -> None:
    task = task_of(net)
    data = random_data(task, STEPS * task.batch, task.batch)

    def after_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
        window.note(STEPS * task.batch)
        return window.open()

    amp = {"dtype": "bfloat16"} if dtype == "bfloat16" else None
    config = TrainingConfig.model_validate({**RECIPE, "epochs": 10_000, "batch_size": task.batch, "amp": amp})
    train(
        network_of(net),
        data,
        config,
        seed=0,
        folder=None,
        augment=build_augmenter(DataConfig.model_validate(AUGMENT).augment),
        report=after_epoch,
    )
