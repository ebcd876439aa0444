"""A process that trains the networks of one variant on request.

It reads lines of JSON from its input and answers each with one line that begins with `MARK`. Only the standard
library and NumPy are imported before the framework, so that it also runs in an interpreter that has PyTorch and
not this project's requirements.

    python -m paddle_automl.benchmarks.training.worker FRAMEWORK DTYPE [SETTING ...]
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from paddle_automl.benchmarks.training.workloads import LEARNING_RATE, MOMENTUM, WORKLOADS, Workload
from paddle_automl.core.runtime import silence_known_warnings, tune_process

MARK = "FIGURES "
Step = Callable[[], float]


class Worker:
    """Caches the warmed-up steps of the requested networks."""

    def __init__(self, framework: str, dtype: str, settings: dict[str, str]) -> None:
        self.framework, self.dtype, self.settings = framework, dtype, settings
        self._steps: dict[str, Step] = {}

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the results that `order` requests."""
        if order["what"] == "about":
            return self._about()
        if order["what"] == "roofline":
            from paddle_automl.models.kernels import roofline

            return {"gflops": roofline.measure(order["dtypes"])}
        if order["what"] == "idle":
            return {"cpu_s": _idle_after_two_threads(order["seconds"])}
        return self._train(order["network"], order["steps"])

    def _about(self) -> dict[str, Any]:
        if self.framework == "torch":
            import torch

            torch.set_num_threads(1)
            return {"version": torch.__version__, "dtype": self.dtype, "settings": self.settings}
        import paddle

        paddle.set_device("cpu")
        return {"version": paddle.__version__, "dtype": self.dtype, "settings": self.settings}

    def _train(self, name: str, steps: int) -> dict[str, Any]:
        step = self._steps.get(name)
        if step is None:
            step = self._steps[name] = self._make(name, WORKLOADS[name])
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(steps):
            loss = step()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return {"images": steps * WORKLOADS[name].batch, "cpu_s": cpu, "wall_s": wall, "loss": loss}

    def _make(self, name: str, workload: Workload) -> Step:
        if self.framework == "torch":
            from paddle_automl.benchmarks.training import torch_networks

            return torch_networks.make_step(name, workload, self.dtype)
        if self.framework == "paddle":
            from paddle_automl.benchmarks.training import paddle_networks

            return paddle_networks.make_step(name, workload)
        return _project_step(name, workload, self.dtype)


def _project_step(name: str, workload: Workload, dtype: str) -> Step:
    import paddle

    from paddle_automl.benchmarks.training.project_networks import build, task_of_classes
    from paddle_automl.training.config import TrainingConfig
    from paddle_automl.training.freezing import Start
    from paddle_automl.training.learner import Learner

    labels, task = workload.labels(), task_of_classes()
    recipe: dict[str, Any] = {
        "batch_size": workload.batch,
        "optimizer": {"name": "momentum", "momentum": MOMENTUM, "learning_rate": LEARNING_RATE},
        "lr_schedule": "constant",
        "amp": {"dtype": "bfloat16"} if dtype == "bfloat16" else None,
    }
    learner = Learner(
        build(name, workload),
        TrainingConfig.model_validate(recipe),
        task=task,
        codes=labels,
        start=Start(),
        device="cpu",
        step_flops=int(workload.mflop * 1e6 / 6 * workload.batch),
    )
    inputs = [paddle.to_tensor(workload.inputs())]
    targets = paddle.to_tensor(task.dense(labels))
    learner.begin(1)
    return lambda: float(learner.step(inputs, targets))


def _idle_after_two_threads(seconds: float) -> float:
    """Return the CPU time spent in `seconds` of idleness after a matrix product with two threads of MKL."""
    import paddle

    from paddle_automl.paddle_compat.device import set_threads

    a = paddle.rand([512, 512])
    set_threads(2)
    paddle.matmul(a, a)
    started = time.process_time()
    time.sleep(seconds)
    spent = time.process_time() - started
    set_threads(1)
    return spent


def main(arguments: list[str]) -> None:
    """Answer requests until the input ends."""
    framework, dtype, *settings = arguments
    set_here = tune_process(settings)
    silence_known_warnings()
    # Output of a framework must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = Worker(framework, dtype, set_here)
    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Exception as error:  # noqa: BLE001  the asking process reports it
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(MARK + json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
