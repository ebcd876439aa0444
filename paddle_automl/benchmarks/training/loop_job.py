"""The measured process of `benchmark loop`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from paddle_automl.benchmarks.training.loop_overhead import LoopRequest
from paddle_automl.benchmarks.training.project_networks import build, image_input, spec_of, task_of_classes
from paddle_automl.benchmarks.training.workloads import CLASSES, WORKLOADS, Workload
from paddle_automl.core.files import append_json_line
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import Augmenter, build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.data.splits import Everything, PreparedData, Split
from paddle_automl.data.stores import ArrayStore
from paddle_automl.inputs.base import Arrays
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network, build_network
from paddle_automl.models.profile import profile
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import RawTargets
from paddle_automl.tasks.metrics.spelling import epoch_metrics
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.ema import ExponentialMovingAverage
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.learner import copy_of_weights
from paddle_automl.training.loop import train
from paddle_automl.training.precision import Precision
from paddle_automl.training.recipe import build_optimizer

EPOCH_S = 2.0
"""Approximate CPU seconds of an epoch."""
FEWEST_STEPS = 12
"""Fewest steps of an epoch: in shorter ones the files, written once per epoch, would count too much."""
VALIDATION_SHARE = 0.2
SMALL = Workload("ResNet of 7 convolutions, 32x32", 64, (3, 32, 32), 0.0)
RECIPE: dict[str, Any] = {
    "optimizer": {"name": "momentum", "learning_rate": 0.01, "weight_decay": 5e-4},
    "loss": {"name": "cross_entropy", "label_smoothing": 0.05},
    "ema": {"decay": 0.999},
    "clip_global_norm": 5.0,
}
AUGMENT: dict[str, Any] = {"augment": [{"name": "random_crop", "padding": 4}, "horizontal_flip"]}


def run(request: LoopRequest, worker: Worker) -> dict[str, Any]:
    """Return CPU seconds of epochs of the loop, of the same work in bare steps, and of the loop's phases."""
    enter(worker)
    return _Measurement(request).run()


@dataclass
class _Seconds:
    """CPU seconds by round."""

    loop: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    bare_step: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)


class _Measurement:
    def __init__(self, request: LoopRequest) -> None:
        self.request = request
        self.workload = workload_of(request.net)
        self.amp = {"dtype": "bfloat16"} if request.dtype == "bfloat16" else None
        self.augment = augmenter_of(self.workload)
        self.bare = _Bare(network_of(request.net), self._recipe(1, plain=True), self.workload)
        self.data = self._data()
        self.seconds = _Seconds()

    def run(self) -> dict[str, Any]:
        """Train the epochs after one for warm-up, each followed by the same work in bare steps."""
        seconds = self.seconds
        started = time.process_time()

        def after_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
            nonlocal started
            spent = time.process_time() - started
            if epoch > 1:
                seconds.loop.append(spent)
                self._bare_work()
                self._parts()
            started = time.process_time()
            return True

        result = train(
            network_of(self.request.net),
            self.data,
            self._recipe(self.request.rounds + 1),
            seed=0,
            folder=self.request.folder,
            augment=self.augment,
            report=after_epoch,
        )
        return {
            "title": self.workload.title,
            "precision": result.amp,
            "steps": self.steps,
            "loop_s": seconds.loop,
            "bare_s": seconds.bare,
            "bare_step_s": seconds.bare_step,
            "parts_s": seconds.parts,
        }

    def _recipe(self, epochs: int, plain: bool = False) -> TrainingConfig:
        options = {**RECIPE, "ema": None, "clip_global_norm": None} if plain else RECIPE
        return TrainingConfig.model_validate(
            {**options, "epochs": epochs, "batch_size": self.workload.batch, "amp": self.amp}
        )

    def _data(self) -> PreparedData:
        """Return random images for an epoch of about `EPOCH_S`."""
        self.bare.step()
        self.steps = max(FEWEST_STEPS, min(100, round(EPOCH_S / max(_spent(self.bare.step), 1e-3))))
        count = self.steps * self.workload.batch
        data = random_data(self.workload, count, round(count * VALIDATION_SHARE))
        self.bare.held_out = [_tensors(batch.inputs) for batch in data.validation.batches(256)]
        return data

    def _bare_work(self) -> None:
        """Measure only the epoch's forward, backward and optimizer, and forward for the validation images."""
        steps = self._often(self.bare.step)
        self.forward = _spent(self.bare.evaluate)
        self.seconds.bare.append(steps + self.forward)
        self.seconds.bare_step.append(steps / self.steps)

    def _parts(self) -> None:
        """Measure each phase of the loop by itself, as often as in an epoch."""
        plain, augmented = _spent(lambda: self._pass(None)), _spent(lambda: self._pass(self.augment))
        images, targets = self.workload.inputs(), task_of_classes().dense(self.workload.labels())
        bare = self.bare
        gradients = [(p, p.grad) for p in bare.kept_gradients()]
        clip, average = nn.ClipGradByGlobalNorm(5.0), ExponentialMovingAverage(bare.model, 0.999, warmup=True)
        scored = _spent(self._scored)
        spent = {
            "batches": plain,
            "augmentation": augmented - plain,
            "tensors": self._often(lambda: (paddle.to_tensor(images), paddle.to_tensor(targets))),
            "rate": self._often(lambda: bare.optimizer.set_lr(0.01)),
            "clipping": self._often(lambda: clip(gradients)),
            "average": self._often(average.update),
            "scores": scored - self.forward,
            "files": _spent(self._write),
        }
        for name, seconds in spent.items():
            self.seconds.parts.setdefault(name, []).append(seconds)

    def _scored(self) -> None:
        with self.bare.precision.evaluation_context():
            evaluate(self.bare.model, self.data.validation, epoch_metrics(self.data.task))

    def _pass(self, augment: Augmenter | None) -> None:
        for _ in self.data.train.batches(
            self.workload.batch, rng=generator(0, "benchmark", "pass"), augment=augment, drop_last=True
        ):
            pass

    def _often(self, call: Callable[[], object]) -> float:
        return _spent(lambda: [call() for _ in range(self.steps)])

    def _write(self) -> None:
        append_json_line(self.request.folder / "parts.jsonl", {"epoch": 1, "loss": 0.5})
        save_weights(self.request.folder / "parts.pdparams", copy_of_weights(self.bare.model))


def workload_of(net: str) -> Workload:
    """Return the input and batch of a network: one of `WORKLOADS`, or ``small``, the network of the defaults."""
    return SMALL if net == "small" else WORKLOADS[net]


def network_of(net: str) -> Network:
    """Return a network of this project."""
    workload = workload_of(net)
    return build_network(ModelConfig(), image_input(workload), CLASSES) if net == "small" else build(net, workload)


def augmenter_of(workload: Workload) -> Augmenter | None:
    """Return random crops and flips."""
    return build_augmenter(DataConfig.model_validate(AUGMENT).augment, image_input(workload))


def random_data(workload: Workload, training: int, validation: int) -> PreparedData:
    """Return random images for training and validation, in memory."""
    random = generator(0, "benchmark", "loop")
    images = random.integers(0, 256, (training + validation, *workload.shape), dtype=np.uint8)
    labels = random.integers(0, CLASSES, len(images))
    task, given = task_of_classes(), image_input(workload)
    targets = RawTargets("classes", labels, task.names)
    everything = Everything(ArrayStore(images), targets, task.encode(targets), given, task)
    held_out = Split(everything, np.arange(training, len(images)))
    return PreparedData(Split(everything, np.arange(training)), held_out, held_out, given, task)


class _Bare:
    """Only forward, backward and optimizer, on one fixed batch."""

    def __init__(self, model: Network, config: TrainingConfig, workload: Workload) -> None:
        self.model = model
        self.optimizer = build_optimizer(model, config)
        self.precision = Precision(config.amp, "cpu", profile(model, [spec_of(workload)]).flops * workload.batch)
        self.images = paddle.to_tensor(workload.inputs())
        self.targets = paddle.to_tensor(task_of_classes().dense(workload.labels()))
        self.held_out: list[list[Tensor]] = []
        model.train()

    def step(self) -> None:
        """Learn from the batch."""
        self._backward()
        self.optimizer.step()
        self.optimizer.clear_grad(set_to_zero=False)

    def kept_gradients(self) -> list[Tensor]:
        """Return the trainable parameters with gradients."""
        self._backward()
        return [p for p in self.model.parameters() if not p.stop_gradient and p.grad is not None]

    def evaluate(self) -> None:
        """Run the forward passes of a validation, on prepared batches."""
        self.model.eval()
        with paddle.no_grad(), self.precision.evaluation_context():
            for inputs in self.held_out:
                self.model(*inputs)
        self.model.train()

    def _backward(self) -> None:
        with self.precision.context():
            outputs = self.model(self.images)
        F.cross_entropy(outputs.astype("float32"), self.targets, soft_label=True).backward()


def _tensors(arrays: Arrays) -> list[Tensor]:
    return [paddle.to_tensor(array) for array in arrays.values()]


def _spent(call: Callable[[], object]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started
