"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import paddle
from paddle import Tensor

from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.files import append_json_line
from paddle_automl.core.seeds import generator
from paddle_automl.models.classifier import Classifier
from paddle_automl.paddle_compat.device import seed_everything, set_device
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.ema import ExponentialMovingAverage
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.freezing import Freezer
from paddle_automl.training.gradients import centralize, centralized_parameters
from paddle_automl.training.lr_schedules.base import LR_SCHEDULES
from paddle_automl.training.precision import Precision
from paddle_automl.training.recipe import build_loss, build_optimizer

if TYPE_CHECKING:
    from paddle_automl.data.augment.base import Augmenter
    from paddle_automl.data.prepare import Part, PreparedData

Report = Callable[[int, dict[str, float]], bool]
"""Called with the epoch, from 1, and its metrics; returns whether to go on."""

METRICS_FILE = "metrics.jsonl"
BEST_FILE = "best.pdparams"
VALIDATION_METRICS = ("accuracy", "macro_f1", "loss")
STEPS_BETWEEN_CHECKS = 20
"""Steps after which the sum of the losses is looked at: often enough to end a diverged epoch early."""


@dataclass
class TrainingResult:
    """What a training run came to."""

    metrics: dict[str, float]
    """Validation metrics of the best epoch; empty if there was no validation."""
    best_epoch: int
    """Epoch, from 1, whose weights the network ends with."""
    epochs_run: int
    stopped: Literal["", "patience", "report"]
    """Why it ended before the last epoch; empty if it did not."""
    seconds: float
    amp: str
    """The precision that really ran, such as ``float32`` or ``bfloat16 O1``."""


def train(  # noqa: PLR0913  each argument is a separate decision of the caller
    model: Classifier,
    data: PreparedData,
    config: TrainingConfig,
    *,
    metric: str = "accuracy",
    goal: str = "maximize",
    seed: int,
    folder: Path | None,
    augment: Augmenter | None = None,
    report: Report | None = None,
    on: Literal["train", "train+validation"] = "train",
    frozen_epochs: int = 0,
    backbone_rate: float = 1.0,
    device: str = "cpu",
) -> TrainingResult:
    """Train `model` in place and leave it with the best weights, in evaluation mode.

    After each epoch the network (with `config.ema`, the average of its weights) is evaluated on the validation
    part; `metric`, one of accuracy, macro_f1 and loss, tells with `goal` which epoch is the best. In `folder`,
    ``metrics.jsonl`` gets a line per epoch and ``best.pdparams`` the weights of the best one; files of an
    earlier run are replaced. With `on` "train+validation" both parts are learned, nothing is evaluated, all
    epochs run and the last weights are kept, in ``best.pdparams`` too.

    `frozen_epochs` and `backbone_rate` concern the backbone's layers that were loaded from a file. An epoch's
    last images that do not fill a batch are left out; the next epoch draws others. The same arguments and
    initial weights give the same result on a CPU with one thread.

    Raises TrialError if the loss is not finite, ConfigError for a metric that is not measured here.
    """
    if metric not in VALIDATION_METRICS:
        valid = ", ".join(VALIDATION_METRICS)
        raise ConfigError(f"'{metric}' is not measured in each epoch; valid metrics for training: {valid}")
    set_device(device)
    if device != "cpu":
        model.to(device)
    run = _Run(
        model, data, config, _Best(metric, goal), seed, folder, augment, on, frozen_epochs, backbone_rate, device
    )
    return run.run(report)


@dataclass
class _Best:
    """The best epoch so far and its weights."""

    metric: str
    goal: str
    epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def improved_by(self, metrics: dict[str, float]) -> bool:
        if not self.metrics:
            return True
        new, old = metrics[self.metric], self.metrics[self.metric]
        return new > old if self.goal == "maximize" else new < old

    def take(self, epoch: int, metrics: dict[str, float], model: Classifier) -> None:
        self.epoch = epoch
        self.metrics = metrics
        self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


class _Run:
    """The objects of one training run."""

    def __init__(  # noqa: PLR0913  mirrors `train`
        self,
        model: Classifier,
        data: PreparedData,
        config: TrainingConfig,
        best: _Best,
        seed: int,
        folder: Path | None,
        augment: Augmenter | None,
        on: str,
        frozen_epochs: int,
        backbone_rate: float,
        device: str,
    ) -> None:
        seed_everything(seed, "training")
        self.config = config
        self.best = best
        self.folder = folder
        self.augment = augment
        self.random = generator(seed, "batches")
        self.part: Part = data.train if on == "train" else data.joined()
        self.validation: Part | None = data.validation if on == "train" else None
        self.drop_last = len(self.part) >= config.batch_size
        steps = len(self.part) // config.batch_size if self.drop_last else 1
        self.schedule = LR_SCHEDULES[config.lr_schedule.name](
            config.lr_schedule,  # type: ignore[arg-type]
            epochs=config.epochs,
            steps_per_epoch=steps,
        )
        self.loss = build_loss(
            config, labels=self.part.labels, num_classes=model.num_classes, feature_dim=model.feature_dim
        )
        self.freezer = Freezer(model, frozen_epochs)
        optimizer = build_optimizer(model, config, loaded=self.freezer.names, loaded_rate=backbone_rate)
        self.base_rate = optimizer.get_lr()
        self.precision = Precision(config.amp, device)
        self.model, self.optimizer = self.precision.prepare(model, optimizer)
        self.ema = None if config.ema is None else ExponentialMovingAverage(self.model, config.ema.decay)
        self.centralized = centralized_parameters(self.model) if config.gradient_centralization else []
        self.step = 0

    def run(self, report: Report | None) -> TrainingResult:
        started = time.perf_counter()
        stopped: Literal["", "patience", "report"] = ""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (METRICS_FILE, BEST_FILE):
                (self.folder / name).unlink(missing_ok=True)
        epoch = 0
        try:
            for epoch in range(1, self.config.epochs + 1):
                metrics = self._epoch(epoch)
                if self.folder is not None:
                    append_json_line(self.folder / METRICS_FILE, {"epoch": epoch, **metrics})
                if report is not None and not report(epoch, metrics):
                    stopped = "report"
                    break
                if self._out_of_patience(epoch):
                    stopped = "patience" if epoch < self.config.epochs else ""
                    break
        finally:
            self.freezer.release()
        self._finish(epoch)
        return TrainingResult(
            metrics={name: self.best.metrics[name] for name in VALIDATION_METRICS if name in self.best.metrics},
            best_epoch=self.best.epoch,
            epochs_run=epoch,
            stopped=stopped,
            seconds=time.perf_counter() - started,
            amp=self.precision.description,
        )

    def _epoch(self, epoch: int) -> dict[str, float]:
        started = time.perf_counter()
        self.model.train()
        self.loss.train()
        self.freezer.begin(epoch)
        loss, images = self._steps(epoch)
        trained = time.perf_counter() - started
        metrics = {
            "train_loss": loss,
            "learning_rate": self.base_rate * self.schedule.factor(self.step - 1),
            "images_per_second": images / trained,
        }
        if self.validation is not None:
            self._validate(epoch, metrics)
        metrics["seconds"] = time.perf_counter() - started
        return metrics

    def _steps(self, epoch: int) -> tuple[float, int]:
        """Run the steps of one epoch; return the mean loss and the number of images."""
        total = paddle.zeros([])
        steps = images = 0
        for batch in self.part.batches(
            self.config.batch_size, rng=self.random, augment=self.augment, drop_last=self.drop_last
        ):
            self.optimizer.set_lr(self.base_rate * self.schedule.factor(self.step))
            loss = self._forward(paddle.to_tensor(batch.images), paddle.to_tensor(batch.targets))
            self.precision.backward(loss)
            if self.centralized:
                centralize(self.centralized)
            self.precision.step(self.optimizer)
            self.optimizer.clear_grad(set_to_zero=False)
            self.loss.after_step()
            if self.ema is not None:
                self.ema.update()
            total.add_(loss.detach())
            self.step += 1
            steps += 1
            images += len(batch.labels)
            # A loss that is not finite makes every later sum so, hence looking now and then is enough.
            if steps % STEPS_BETWEEN_CHECKS == 0:
                _check_finite(float(total), "training", epoch)
        mean = float(total) / max(steps, 1)
        _check_finite(mean, "training", epoch)
        return mean, images

    def _forward(self, images: Tensor, targets: Tensor) -> Tensor:
        with self.precision.context():
            features = self.model.features(images)
            logits = self.model.head(features)
        if self.precision.config is not None:
            logits = logits.astype("float32")
        return self.loss(logits, features, targets)

    def _validate(self, epoch: int, metrics: dict[str, float]) -> None:
        """Add the validation metrics to `metrics`, and keep the weights if they are the best so far."""
        assert self.validation is not None
        with self.ema.applied() if self.ema is not None else nullcontext():
            with self.precision.context():
                measured = evaluate(self.model, self.validation, self.config.eval_batch_size)
            _check_finite(measured["loss"], "validation", epoch)
            metrics.update(measured)
            if self.best.improved_by(measured):
                self.best.take(epoch, measured, self.model)
                if self.folder is not None:
                    save_weights(self.folder / BEST_FILE, self.best.weights)

    def _out_of_patience(self, epoch: int) -> bool:
        patience = self.config.patience
        return self.validation is not None and patience is not None and epoch - self.best.epoch >= patience

    def _finish(self, epoch: int) -> None:
        """Leave the network in float32 and evaluation mode with the weights to keep."""
        if self.validation is None:
            if self.ema is not None:
                self.ema.copy_to_model()
            self.best.take(epoch, {}, self.model)
            if self.folder is not None:
                save_weights(self.folder / BEST_FILE, self.best.weights)
        self.precision.restore(self.model)
        self.model.set_state_dict(self.best.weights)
        self.model.eval()


def _check_finite(loss: float, which: str, epoch: int) -> None:
    if not math.isfinite(loss):
        raise TrialError(
            f"diverged: the {which} loss is {loss} in epoch {epoch}; lower training.optimizer.learning_rate or "
            "set training.clip_global_norm"
        )
