"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.core.errors import TrialError
from paddle_automl.core.files import append_json_line
from paddle_automl.core.seeds import generator
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.device import move, seed_everything, set_device
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure
from paddle_automl.training.best import Best, Keep
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import evaluate, predict
from paddle_automl.training.fitting import with_epochs
from paddle_automl.training.freezing import Start
from paddle_automl.training.goal import Goal
from paddle_automl.training.learner import Learner, copy_of_weights
from paddle_automl.training.preparing import prepare
from paddle_automl.training.progressive import check_resolution
from paddle_automl.training.recalibration import Recalibration
from paddle_automl.training.result import Stopped, TrainingResult
from paddle_automl.training.solving import learns, solve
from paddle_automl.training.soup import Soup, Weights

if TYPE_CHECKING:
    from paddle_automl.data.augment.base import Augmenter
    from paddle_automl.data.splits import PreparedData, Split

__all__ = ["Goal", "Keep", "Report", "Start", "TrainingResult", "train"]

logger = logging.getLogger(__name__)

Report = Callable[[int, dict[str, float]], bool]
"""Called with the epoch, from 1, and its metrics; returns whether to go on."""

METRICS_FILE = "metrics.jsonl"
BEST_FILE = "best.pdparams"
EXPECTED = 0.75
"""Fraction of the planned epochs that is expected of a training with a time limit, which is planned with hope."""
STEPS_BETWEEN_CHECKS = 20
"""Steps between checks of the summed loss: often enough to end a diverged epoch early."""


def train(  # noqa: PLR0913  each argument is a separate decision of the caller
    model: Network,
    data: PreparedData,
    config: TrainingConfig,
    goal: Goal | None = None,
    start: Start | None = None,
    *,
    seed: int,
    folder: Path | None,
    augment: Augmenter | None = None,
    report: Report | None = None,
    on: Literal["train", "train+validation"] = "train",
    device: str = "cpu",
    callbacks: Sequence[Callback] = (),
    keep: Keep | None = None,
) -> TrainingResult:
    """Train `model` in place and leave it with the best weights, in evaluation mode.

    After each epoch the network (with `config.ema`, the average of its weights) is evaluated on the validation
    split. The best epoch is the one with the best metric of `goal`, by default the main metric of the task; of
    equal ones, the one with the lowest loss. With `keep.which` "last" the last epoch is kept instead. In `folder`,
    ``metrics.jsonl`` gets a line per epoch and ``best.pdparams`` the weights that are kept; files of an earlier run
    are replaced. With `on` "train+validation" the network learns from both splits, nothing is evaluated,
    `config.patience` does not apply, and the last weights are kept.

    A network that needs statistics of training items gets them first (`preparing.prepare`), and weights that follow
    from all of them at once (`solving.solve`); if it has no others, there is one epoch without steps. `start`
    applies to the layers of the backbone that were loaded from a file. Each of `callbacks` may change loss and
    weights. An epoch leaves out items that do not fill a batch. On a CPU with one thread equal arguments give equal
    results.

    Raises TrialError if the loss is not finite, ConfigError for a recipe that does not fit the task or the input.
    """
    set_device(device)
    move(model, device)
    keep = keep or Keep()
    random = _seeded(seed, keep.purpose)
    split = data.train if on == "train" else data.joined()
    config = config.for_items(len(split))
    check_resolution(model, data.input, config.progressive)
    prepare(model, data, seed)
    began = time.perf_counter()
    solve(model, split, config, seed)
    solved_s = time.perf_counter() - began
    if not learns(model):
        config = with_epochs(config, 1)
    learner = Learner.on(model, data, config, split=split, start=start, device=device, callbacks=callbacks)
    made = _Run(
        learner=learner,
        config=config,
        split=split,
        validation=data.validation if on == "train" else None,
        best=Best(goal or Goal.of(data.task), keep),
        folder=folder,
        augment=augment,
        random=random,
        statistics=Recalibration.of(config, split, augment, seed=seed, purpose=keep.purpose),
        soup=Soup(config.soup) if config.soup is not None and on == "train" and keep.which == "best" else None,
    ).run(report)
    return replace(made, solved_s=solved_s, only_solved=not learns(model))


def _seeded(seed: int, purpose: str) -> np.random.Generator:
    """Seed Paddle and return the generator of the batches."""
    names = (purpose,) if purpose else ()
    seed_everything(seed, "training", *names)
    return generator(seed, "batches", *names)


@dataclass
class _Run:
    """One training run; see `train`."""

    learner: Learner
    config: TrainingConfig
    split: Split
    validation: Split | None
    best: Best
    folder: Path | None
    augment: Augmenter | None
    random: np.random.Generator
    statistics: Recalibration
    soup: Soup | None = None

    @property
    def recalibrate(self) -> Recalibration | None:
        """What is done before each evaluation."""
        return None if self.config.recalibrate is None else self.statistics

    def run(self, report: Report | None) -> TrainingResult:
        with ExitStack() as stack:
            for callback in self.learner.callbacks:
                stack.enter_context(callback.watching())
            return self._run(report)

    def _run(self, report: Report | None) -> TrainingResult:
        started = time.perf_counter()
        self._clear_folder()
        stopped: Stopped = ""
        epoch = 0
        last = self.config.epochs
        for epoch in range(1, last + 1):
            metrics = self._epoch(epoch)
            if self.folder is not None:
                append_json_line(self.folder / METRICS_FILE, {"epoch": epoch, **metrics})
            go_on = report is None or report(epoch, metrics)
            if self.learner.ended:
                told = logging.WARNING if epoch < EXPECTED * last else logging.INFO
                logger.log(told, "training ended in epoch %d of %d: steps took longer than planned", epoch, last)
                break
            if epoch < last:
                stopped = "report" if not go_on else "patience" if self._out_of_patience(epoch) else ""
            if stopped:
                break
        if self.soup is not None and stopped != "report":
            self._stir(self.soup)
        if self.validation is None:
            self.best.epoch = epoch
            with self.learner.evaluated(self.recalibrate) as model:
                self._keep(model)
        self.learner.finish(self.best.weights)
        return TrainingResult(
            metrics=self.best.metrics,
            best_epoch=self.best.epoch,
            epochs_run=epoch,
            stopped=stopped,
            seconds=time.perf_counter() - started,
            amp=self.learner.precision.description,
            task=self._tuned_task(),
            outputs=self.best.outputs,
        )

    def _tuned_task(self) -> Task:
        if self.validation is None or self.best.outputs is None:
            return self.split.task
        outputs, codes = self.best.outputs, self.validation.codes
        return self.validation.task.tuned(outputs, codes).calibrated(outputs, codes)

    def _clear_folder(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (METRICS_FILE, BEST_FILE):
            (self.folder / name).unlink(missing_ok=True)

    def _epoch(self, epoch: int) -> dict[str, float]:
        started = time.perf_counter()
        loss, items = self._steps(epoch)
        self.learner.end_epoch()
        metrics = {
            "train_loss": loss,
            "learning_rate": self.learner.learning_rate,
            "items_per_second": items / (time.perf_counter() - started),
        }
        if self.validation is not None:
            with self.learner.evaluated(self.recalibrate) as model:
                outputs = predict(model, self.validation, self.config.eval_batch_size)
                measured = self._measure(outputs, self.validation)
                _check_finite(measured["loss"], "validation", epoch)
                best = self.best.offer(epoch, measured, outputs)
                if best:
                    self._keep(model)
                if self.soup is not None:
                    merit = self.best.merit(measured)
                    self.soup.offer(merit, epoch, lambda: self.best.weights if best else copy_of_weights(model))
            metrics.update(measured)
        self.learner.schedule.observe(-loss if self.validation is None else self.best.merit(metrics))
        metrics["seconds"] = time.perf_counter() - started
        return metrics

    def _stir(self, soup: Soup) -> None:
        """Keep the mean of the weights of some epochs if it is better on validation than the best of them."""
        validation = self.validation
        assert validation is not None

        def measured(weights: Weights) -> tuple[float, tuple[dict[str, float], np.ndarray, dict[str, Tensor]]]:
            model.set_state_dict(weights)
            # Statistics of averaged weights are not the average of statistics.
            self.statistics(model)
            outputs = predict(model, validation, self.config.eval_batch_size)
            metrics = self._measure(outputs, validation)
            return self.best.merit(metrics), (metrics, outputs, copy_of_weights(model))

        with self.learner.evaluated() as model:
            stirred = soup.stir(measured)
        if stirred is None:
            return
        (self.best.metrics, self.best.outputs, weights), members = stirred
        logger.info("a soup of the epochs %s is better than the best of them", ", ".join(map(str, members)))
        self._keep_weights(weights)

    def _measure(self, outputs: np.ndarray, split: Split) -> dict[str, float]:
        # As the network would be used: with the values that the task chooses on validation, such as thresholds.
        task = split.task.tuned(outputs, split.codes)
        return measure(self.best.goal.metrics, Predictions(outputs, split.codes, task))

    def _steps(self, epoch: int) -> tuple[float, int]:
        """Run the steps of one epoch; return the mean loss and the number of items."""
        size, begins = self.config.batch_size, self.config.progressive
        planned = self.learner.planned_epoch(epoch)
        extent = self.config.epoch(len(self.split), planned)
        self.learner.begin(epoch, extent.steps)
        if not self.learner.learns:
            return evaluate(self.learner.model, self.split, ("loss",), size)["loss"], len(self.split)
        total = paddle.zeros([])
        steps = items = 0
        passes = (
            self.split.batches(
                size,
                rng=self.random,
                augment=self.augment,
                drop_last=True,
                count=extent.items,
                shrink=begins.shrink_factor(planned),
                epoch=epoch,
                balanced=self.config.sampling == "balanced",
            )
            for _ in range(extent.passes)
        )
        for batch in islice(chain.from_iterable(passes), extent.steps):
            inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
            total.add_(self.learner.step(inputs, paddle.to_tensor(batch.targets)))
            steps += 1
            items += len(batch.rows)
            if self.learner.ended:
                break
            # A loss that is not finite makes every later sum not finite, so occasional checks are enough.
            if steps % STEPS_BETWEEN_CHECKS == 0:
                _check_finite(float(total), "training", epoch)
        mean = float(total) / steps
        _check_finite(mean, "training", epoch)
        return mean, items

    def _keep(self, model: Network) -> None:
        self._keep_weights(copy_of_weights(model))

    def _keep_weights(self, weights: dict[str, Tensor]) -> None:
        self.best.weights = weights
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
