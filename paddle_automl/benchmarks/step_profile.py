"""The time of a training step by phase, operator and layer, measured on real steps of a configuration."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import paddle

from paddle_automl.benchmarks.stopwatch import Stopwatch, replaced
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.runtime import processor_name
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import Augmenter, build_augmenter
from paddle_automl.data.splits import Batch, PreparedData
from paddle_automl.models import kernels
from paddle_automl.models.kernels import roofline
from paddle_automl.paddle_compat.device import set_device, set_threads
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.networks import callbacks_of, make_model
from paddle_automl.search.executors.base import Worker
from paddle_automl.search.machine import devices_of
from paddle_automl.training.learner import Learner

WARM_UP, BLOCK = 3, 5
"""Warm-up steps, and steps of a block; blocks with and without measurement alternate."""


def profile_step(config: RunConfig, steps: int) -> dict[str, Any]:
    """Return the CPU time of a training step of `config` by phases, kinds of operators and layers.

    `steps` steps are profiled, and as many run without profiling for comparison. One thread on the CPU; raises
    ConfigError for another device.
    """
    if devices_of(config.device)[0] != "cpu":
        raise ConfigError("device: steps are profiled on the CPU only; add -o device=cpu")
    set_device("cpu")
    set_threads(1)
    kernels.set_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        measurement = _Measurement(config, Worker("cpu", 1, Path(folder), lambda epoch, metrics: True))
        # As in trials: one garbage collection over all imports takes as long as many small steps.
        gc.collect()
        gc.freeze()
        try:
            return measurement.run(steps)
        finally:
            gc.unfreeze()


class _Measurement:
    """A configuration's network, data and learner, as in a training."""

    def __init__(self, config: RunConfig, worker: Worker) -> None:
        data = load_data(config, worker)
        model = make_model(config, data)
        config = config.model_copy(update={"training": config.training.for_items(len(data.train))})
        self.config, self.data = config, data
        self.learner = Learner.on(model, data, config.training, callbacks=callbacks_of(config, data, model, worker))
        self.augment = build_augmenter(config.data.augment, data.input)
        self.watch = Stopwatch()

    def run(self, steps: int) -> dict[str, Any]:
        batches = self._batches()
        self.learner.begin(1)
        with ExitStack() as stack:
            for callback in self.learner.callbacks:
                stack.enter_context(callback.watching())
            self._steps(batches, WARM_UP)
            with self._apart():
                self._steps(batches, 1)
            self.watch.spent.clear()
            plain, apart, peaks = [], [], []
            for _ in range(max(1, round(steps / BLOCK))):
                peaks.append(self._peak())
                plain.append(self._steps(batches, BLOCK) / BLOCK)
                with self._apart():
                    apart.append(self._steps(batches, BLOCK) / BLOCK)
        return self._record(plain, apart, median(peaks))

    def _steps(self, batches: Iterator[Batch], count: int) -> float:
        """Run some steps in the same way as the training loop and return their CPU time."""
        total = paddle.zeros([])
        started = process_time()
        for _ in range(count):
            batch = next(batches)
            inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
            targets = paddle.to_tensor(batch.targets)
            step: Callable[..., Any] = self.learner.step
            if self.watch.running:
                step = self.watch.around("rest of the step", step)
            total.add_(step(inputs, targets))
        float(total)
        return process_time() - started

    def _batches(self) -> Iterator[Batch]:
        random = generator(self.config.seed, "batches")
        augment = None if self.augment is None else _TimedAugmenter(self.augment, self.watch)
        while True:
            yield from self.data.train.batches(
                self.config.training.batch_size, rng=random, augment=augment, drop_last=True
            )

    @contextmanager
    def _apart(self) -> Iterator[None]:
        """Measure inside the block; time that no other phase takes is that of the data."""
        learner, watch = self.learner, self.watch
        around = watch.around
        with ExitStack() as stack:
            stack.enter_context(watch.watching(learner.model))
            for owner, name, part in (
                (learner.model, "features", "forward"),
                (learner.model, "head", "forward"),
                (learner.loss, "forward", "loss"),
                (learner.precision, "backward", "backward"),
                (learner.precision, "step", "optimizer"),
                (learner.optimizer, "clear_grad", "optimizer"),
                (learner.ema, "update", "moving average"),
            ):
                if owner is not None:
                    stack.enter_context(replaced(owner, name, around(part, getattr(owner, name))))
            clip = paddle.nn.ClipGradByGlobalNorm
            stack.enter_context(replaced(clip, "__call__", _timed_method(watch, "clipping", clip.__call__)))
            watch.start("data")
            yield
            watch.stop()

    def _peak(self) -> float:
        """Return the processor's peak GFLOP per second, measured now in the network's type."""
        dtype = self.learner.precision.cpu_type or "float32"
        return max(roofline.measure([dtype])[dtype].values())

    def _record(self, plain: list[float], apart: list[float], peak: float) -> dict[str, Any]:
        count = len(apart) * BLOCK
        parts: dict[str, float] = {}
        layers: dict[str, dict[str, float]] = {}
        for (part, name), seconds in self.watch.spent.items():
            milliseconds = 1000 * seconds / count
            parts[part] = parts.get(part, 0.0) + milliseconds
            if part in ("forward", "backward"):
                of_layer = layers.setdefault(name, {"forward": 0.0, "backward": 0.0})
                of_layer[part] += milliseconds
        facts = self.watch.layers
        found = [
            {
                "layer": name or "(between the layers)",
                "kind": facts[name].kind if name else "between the layers",
                "forward_ms": times["forward"],
                "backward_ms": times["backward"],
                "gflop": facts[name].operations / 1e9 if name else 0.0,
            }
            for name, times in layers.items()
        ]
        return _summary(self.config, self.data, self.learner, (median(plain), sum(apart) / len(apart)), peak) | {
            "parts_ms": dict(sorted(parts.items(), key=lambda item: -item[1])),
            "layers": sorted(found, key=lambda row: -row["forward_ms"] - row["backward_ms"]),  # type: ignore[operator]
        }


def _summary(
    config: RunConfig, data: PreparedData, learner: Learner, seconds: tuple[float, float], peak: float
) -> dict[str, Any]:
    return {
        "processor": processor_name(),
        "precision": learner.precision.description,
        "fast_layers": learner.precision.cpu_type is not None,
        "batch_size": config.training.batch_size,
        "word": data.input.word,
        "inputs": {spec.name: list(spec.shape) for spec in data.specs},
        "step_ms": 1000 * seconds[0],
        "measured_step_ms": 1000 * seconds[1],
        "roofline_gflops": peak,
    }


class _TimedAugmenter(Augmenter):
    """An augmenter whose time is counted separately from that of the data."""

    def __init__(self, inner: Augmenter, watch: Stopwatch) -> None:
        super().__init__(inner.augmentations, inner.main)
        self._watch = watch

    def _apply(self, *args: Any) -> Any:
        if not self._watch.running:
            return super()._apply(*args)
        with self._watch.on("augmentation"):
            return super()._apply(*args)


def _timed_method(watch: Stopwatch, part: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def timed(self: Any, *args: Any) -> Any:
        with watch.on(part):
            return method(self, *args)

    return timed
