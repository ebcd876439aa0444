"""One process of `benchmark scaling`: it works until a given time and counts its work in a time window."""

from __future__ import annotations

import time
from collections.abc import Mapping

import paddle

from paddle_automl.benchmarks.training.loop_job import RECIPE, augmenter_of, network_of, random_data, workload_of
from paddle_automl.benchmarks.training.scaling import PRODUCT, ScalingRequest
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.loop import train

SIDE = 768
"""Size of the matrices: three of them fit into the caches of a core."""
STEPS = 4
"""Steps of an epoch: short ones fit the window closely, and each has the usual validation and files."""


def run(request: ScalingRequest, worker: Worker) -> dict[str, float]:
    """Return products or images per second between the two times of the request."""
    enter(worker)
    window = _Window(request.begin, request.end)
    if request.net == PRODUCT:
        matrix = paddle.rand([SIDE, SIDE])
        while window.open():
            paddle.matmul(matrix, matrix)
            window.note(1)
    else:
        _train(request.net, request.dtype, window)
    return {"per_second": window.rate()}


class _Window:
    """Counts work between two times."""

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
        """Return the work per second from the first mark (which is not counted) to the last."""
        if len(self.marks) < 2:
            raise RuntimeError("too slow for the window: use more --seconds")
        return sum(amount for _, amount in self.marks[1:]) / (self.marks[-1][0] - self.marks[0][0])


def _train(net: str, dtype: str, window: _Window) -> None:
    workload = workload_of(net)
    data = random_data(workload, STEPS * workload.batch, workload.batch)

    def after_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
        window.note(STEPS * workload.batch)
        return window.open()

    amp = {"dtype": "bfloat16"} if dtype == "bfloat16" else None
    config = TrainingConfig.model_validate({**RECIPE, "epochs": 10_000, "batch_size": workload.batch, "amp": amp})
    train(
        network_of(net),
        data,
        config,
        seed=0,
        folder=None,
        augment=augmenter_of(workload),
        report=after_epoch,
    )
