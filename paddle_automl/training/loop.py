"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.files import append_json_line
from paddle_automl.core.seeds import generator
from paddle_automl.models.classifier import Classifier
from paddle_automl.paddle_compat.device import seed_everything, set_device
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.guide import Guide
from paddle_automl.training.learner import Learner, copy_of_weights
from paddle_automl.training.progressive import check_size

if TYPE_CHECKING:
    from paddle_automl.data.augment.base import Augmenter
    from paddle_automl.data.parts import Part, PreparedData

Report = Callable[[int, dict[str, float]], bool]
"""Called with the epoch, from 1, and its metrics; returns whether to go on."""

Stopped = Literal["", "patience", "report"]
Keep = Literal["best", "last"]

METRICS_FILE = "metrics.jsonl"
BEST_FILE = "best.pdparams"
VALIDATION_METRICS = ("accuracy", "macro_f1", "loss")
STEPS_BETWEEN_CHECKS = 20
"""Steps after which the sum of the losses is looked at: often enough to end a diverged epoch early."""


@dataclass
class TrainingResult:
    """What a training run came to."""

    metrics: dict[str, float]
    """Validation metrics of the epoch that was kept; empty if there was no validation."""
    best_epoch: int
    """Epoch, from 1, whose weights the network ends with: the best one, or the last one if that is kept."""
    epochs_run: int
    stopped: Stopped
    """Why it ended before the last epoch; empty if it did not."""
    seconds: float
    amp: str
    """The precision that really ran, such as ``float32`` or ``bfloat16 O1``."""


def train(  # noqa: PLR0913  each argument is a decision of its own that only the caller can take
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
    guides: Sequence[Guide] = (),
    keep: Keep = "best",
    purpose: str = "",
) -> TrainingResult:
    """Train `model` in place and leave it with the best weights, in evaluation mode.

    After each epoch the network (with `config.ema`, the average of its weights) is evaluated on the validation
    part. The best epoch is that of the best `metric` (accuracy, macro_f1 or loss) by `goal` (maximize or
    minimize); of equal ones, that of the lowest loss. With `keep` "last" the last epoch is kept instead. In
    `folder`, ``metrics.jsonl`` gets a line per epoch and ``best.pdparams`` the weights kept; files of an earlier
    run are replaced. With `on` "train+validation" both parts are learned, nothing is evaluated, `config.patience`
    does not apply, and the last weights are kept.

    `frozen_epochs` and `backbone_rate` concern the layers of the backbone that were loaded from a file. Each of
    `guides` may change loss and weights. `purpose` gives one of several trainings random numbers of its own. An
    epoch leaves out images that do not fill a batch. On a CPU with one thread equal arguments give equal results.

    Raises TrialError if the loss is not finite, ConfigError for a metric that is not measured here.
    """
    set_device(device)
    model.to(device)
    random = _seeded(seed, purpose)
    part = data.train if on == "train" else data.joined()
    check_size(model, data.preprocess.channels, data.preprocess.image_size, config.progressive)
    learner = Learner.on(
        model,
        data,
        config,
        part=part,
        frozen_epochs=frozen_epochs,
        loaded_rate=backbone_rate,
        device=device,
        guides=guides,
    )
    return _Run(
        learner=learner,
        config=config,
        part=part,
        validation=data.validation if on == "train" else None,
        best=_Best(metric, 1.0 if goal == "maximize" else -1.0, keep),
        folder=folder,
        augment=augment,
        random=random,
    ).run(report)


def _seeded(seed: int, purpose: str) -> np.random.Generator:
    """Seed Paddle and return the generator of the batches."""
    names = (purpose,) if purpose else ()
    seed_everything(seed, "training", *names)
    return generator(seed, "batches", *names)


@dataclass
class _Best:
    """The epoch to keep, so far, and its weights; `sign` is 1 where a larger metric is better, else -1."""

    metric: str
    sign: float
    keep: Keep
    epoch: int = 0
    improved: int = 0
    """Last epoch with a better metric than all before it; `epoch` may be later, with an equal one."""
    metrics: dict[str, float] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)
    _highest: float = -math.inf
    """Best metric so far times `sign`."""

    def __post_init__(self) -> None:
        if self.metric not in VALIDATION_METRICS:
            raise ConfigError(
                f"metric: '{self.metric}' is not measured in each epoch; valid: {', '.join(VALIDATION_METRICS)}"
            )

    def offer(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Return whether the epoch is the one to keep, and note its numbers if so."""
        gain = self.sign * metrics[self.metric] - self._highest
        if gain > 0:
            self._highest, self.improved = self.sign * metrics[self.metric], epoch
        tied = gain == 0 and metrics["loss"] < self.metrics["loss"]
        if self.keep == "best" and gain <= 0 and not tied:
            return False
        self.epoch, self.metrics = epoch, metrics
        return True


@dataclass
class _Run:
    """One training run; see `train`."""

    learner: Learner
    config: TrainingConfig
    part: Part
    validation: Part | None
    best: _Best
    folder: Path | None
    augment: Augmenter | None
    random: np.random.Generator

    def run(self, report: Report | None) -> TrainingResult:
        with ExitStack() as stack:
            for guide in self.learner.guides:
                stack.enter_context(guide.watching())
            return self._run(report)

    def _run(self, report: Report | None) -> TrainingResult:
        started = time.perf_counter()
        self._clear_folder()
        stopped: Stopped = ""
        epoch = 0
        for epoch in range(1, self.config.epochs + 1):
            metrics = self._epoch(epoch)
            if self.folder is not None:
                append_json_line(self.folder / METRICS_FILE, {"epoch": epoch, **metrics})
            go_on = report is None or report(epoch, metrics)
            if epoch < self.config.epochs:
                stopped = "report" if not go_on else "patience" if self._out_of_patience(epoch) else ""
            if stopped:
                break
        if self.validation is None:
            self.best.epoch = epoch
            with self.learner.evaluated() as model:
                self._keep(model)
        self.learner.finish(self.best.weights)
        return TrainingResult(
            metrics=self.best.metrics,
            best_epoch=self.best.epoch,
            epochs_run=epoch,
            stopped=stopped,
            seconds=time.perf_counter() - started,
            amp=self.learner.precision.description,
        )

    def _clear_folder(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (METRICS_FILE, BEST_FILE):
            (self.folder / name).unlink(missing_ok=True)

    def _epoch(self, epoch: int) -> dict[str, float]:
        started = time.perf_counter()
        loss, images = self._steps(epoch)
        metrics = {
            "train_loss": loss,
            "learning_rate": self.learner.learning_rate,
            "images_per_second": images / (time.perf_counter() - started),
        }
        if self.validation is not None:
            with self.learner.evaluated() as model:
                measured = evaluate(model, self.validation, self.config.eval_batch_size)
                _check_finite(measured["loss"], "validation", epoch)
                if self.best.offer(epoch, measured):
                    self._keep(model)
            metrics.update(measured)
        metrics["seconds"] = time.perf_counter() - started
        return metrics

    def _steps(self, epoch: int) -> tuple[float, int]:
        """Run the steps of one epoch; return the mean loss and the number of images."""
        size, begins = self.config.batch_size, self.config.progressive
        count = begins.count(epoch, len(self.part), size)
        self.learner.begin(epoch, self.config.steps(count))
        total = paddle.zeros([])
        steps = images = 0
        for batch in self.part.batches(
            size,
            rng=self.random,
            augment=self.augment,
            drop_last=True,
            count=count,
            size=begins.size(epoch, self.part.preprocess.image_size),
        ):
            total.add_(self.learner.step(paddle.to_tensor(batch.images), paddle.to_tensor(batch.targets)))
            steps += 1
            images += len(batch.labels)
            # A loss that is not finite makes every later sum so, hence looking now and then is enough.
            if steps % STEPS_BETWEEN_CHECKS == 0:
                _check_finite(float(total), "training", epoch)
        mean = float(total) / steps
        _check_finite(mean, "training", epoch)
        return mean, images

    def _keep(self, model: Classifier) -> None:
        self.best.weights = copy_of_weights(model)
        if self.folder is not None:
            save_weights(self.folder / BEST_FILE, self.best.weights)

    def _out_of_patience(self, epoch: int) -> bool:
        patience = self.config.patience
        if patience is None or self.validation is None:
            return False
        return epoch - self.best.improved >= patience


def _check_finite(loss: float, which: str, epoch: int) -> None:
    if not math.isfinite(loss):
        raise TrialError(
            f"diverged: the {which} loss is {loss} in epoch {epoch}; lower training.optimizer.learning_rate or "
            "set training.clip_global_norm"
        )
