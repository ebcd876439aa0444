"""The number of epochs that fits into a given time, from the measured time of a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import paddle

from paddle_automl.core.errors import TimeUpError
from paddle_automl.core.seeds import generator
from paddle_automl.paddle_compat.device import move
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import predict
from paddle_automl.training.freezing import Start
from paddle_automl.training.learner import Learner, copy_of_weights
from paddle_automl.training.recalibration import Recalibration

if TYPE_CHECKING:
    from paddle_automl.data.augment.base import Augmenter
    from paddle_automl.data.splits import PreparedData, Split
    from paddle_automl.models.network import Network

WARMUP_STEPS, MEASURED_STEPS = 2, 10
"""Steps that are not measured, because the first ones prepare memory and kernels, and the most that are."""
MEASURED_S = 2.0
"""Seconds after which no further step is measured: slow steps need fewer measurements."""
MARGIN = 1.1
"""Safety factor for the measured times."""
FEW_EPOCHS = 4
"""Below this many epochs the time is divided evenly among shorter epochs: whole ones would waste up to half."""


@dataclass(frozen=True)
class Pace:
    """Measured times of a training in seconds: one step, and one evaluation on the validation split.

    `member_s` is that of trying one more network in a soup, after the last epoch; 0 without a soup.
    """

    step_s: float
    evaluation_s: float
    member_s: float = 0.0

    def seconds(self, config: TrainingConfig, items: int) -> float:
        """Return the expected time of a training on `items` training items."""
        whole = config.progressive.whole_epochs(config.epochs)
        steps_s = whole * config.steps(items) * self.step_s
        return steps_s + config.epochs * self.evaluation_s + self.soup_s(config, config.epochs)

    def soup_s(self, config: TrainingConfig, epochs: int) -> float:
        """Return the expected time of the soup after so many epochs."""
        return 0.0 if config.soup is None else (min(config.soup, epochs) - 1) * self.member_s


def measure_pace(
    model: Network,
    data: PreparedData,
    config: TrainingConfig,
    *,
    start: Start | None = None,
    augment: Augmenter | None = None,
    split: Split | None = None,
    device: str = "cpu",
    callbacks: Sequence[Callback] = (),
) -> Pace:
    """Time a few steps on `split` (by default the training split) and an evaluation; the weights stay as they were.

    `callbacks` are used up: a training afterwards needs its own.
    """
    split = data.train if split is None else split
    config = config.for_items(len(split))
    move(model, device)
    kept = copy_of_weights(model)
    learner = Learner.on(model, data, config, split=split, start=start, device=device, callbacks=callbacks)
    with ExitStack() as stack:
        for callback in learner.callbacks:
            stack.enter_context(callback.watching())
        step_s = _step_time(learner, split, config, augment) if learner.learns else 0.0
        evaluation_s = _evaluation_time(learner, data.validation, config)
        used = config.recalibrate is not None or config.soup is not None
        statistics = Recalibration.of(config, split, augment, seed=0)
        recalibration_s = _recalibration_time(learner, statistics) if used else 0.0
    learner.finish(kept)
    member_s = 0.0 if config.soup is None else evaluation_s + recalibration_s
    return Pace(step_s, evaluation_s + (recalibration_s if config.recalibrate is not None else 0.0), member_s)


def _step_time(learner: Learner, split: Split, config: TrainingConfig, augment: Augmenter | None) -> float:
    # After the cheap epochs: their steps cost less.
    epoch = config.progressive.epochs + 1
    learner.begin(epoch)
    times: list[float] = []
    random = generator(0, "pace")
    # A small data set has fewer steps in an epoch than are measured.
    while len(times) < WARMUP_STEPS + MEASURED_STEPS:
        started = time.perf_counter()
        for batch in split.batches(config.batch_size, rng=random, augment=augment, drop_last=True, epoch=epoch):
            inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
            float(learner.step(inputs, paddle.to_tensor(batch.targets)))
            times.append(time.perf_counter() - started)
            started = time.perf_counter()
            if len(times) >= WARMUP_STEPS + MEASURED_STEPS or sum(times) > MEASURED_S:
                break
        if sum(times) > MEASURED_S:
            break
    return median(times[WARMUP_STEPS:] or times[-1:])


def _evaluation_time(learner: Learner, validation: Split, config: TrainingConfig) -> float:
    if len(validation) == 0:
        return 0.0
    sample = validation.with_indices(validation.indices[: config.eval_batch_size])
    with learner.evaluated() as model:
        if len(sample) < len(validation):
            # The first batch of a size prepares memory and kernels; that is not done for each of them.
            predict(model, sample, config.eval_batch_size)
        started = time.perf_counter()
        predict(model, sample, config.eval_batch_size)
    return (time.perf_counter() - started) * len(validation) / len(sample)


def _recalibration_time(learner: Learner, statistics: Recalibration) -> float:
    with learner.evaluated() as model:
        started = time.perf_counter()
        statistics(model)
    return time.perf_counter() - started


def fit_epochs(
    config: TrainingConfig, pace: Pace, items: int, seconds: float, margin: float = MARGIN
) -> TrainingConfig:
    """Return the recipe with as many of its epochs on `items` training items as fit into `seconds`.

    Measured times are taken times `margin`. Where all epochs fit the recipe is returned as it is. Fewer than
    `FEW_EPOCHS` are made of fewer steps each (`steps_per_epoch`), so that the time is used. The schedule follows:
    it ends with the last step. Raises TimeUpError if not even one step fits.
    """
    limit = seconds / margin
    # Without steps, fewer epochs save nothing.
    if not pace.step_s or pace.seconds(config, items) <= limit:
        return config
    whole = _most(lambda epochs: pace.seconds(with_epochs(config, epochs), items) <= limit, config.epochs)
    if whole >= FEW_EPOCHS or (whole and config.progressive.epochs):
        return with_epochs(config, whole)
    epochs = min(whole + 1, config.epochs)
    steps = int(((limit - pace.soup_s(config, epochs)) / epochs - pace.evaluation_s) / pace.step_s)
    if whole and epochs * steps < whole * config.steps(items):
        # The evaluation of one more epoch would take longer than what is left after whole ones.
        return with_epochs(config, whole)
    if steps < 1:
        raise TimeUpError(
            f"{max(seconds, 0):.1f} s are too short for one step of {pace.step_s:.1f} s and an evaluation of "
            f"{pace.evaluation_s:.1f} s; raise the time, or use a smaller network or batch"
        )
    return with_epochs(config, epochs, min(steps, config.steps(items)))


def with_epochs(config: TrainingConfig, epochs: int, steps_per_epoch: int | None = None) -> TrainingConfig:
    """Return the recipe with fewer epochs: warm-up, cheap and averaged epochs shrink with them."""
    schedule = config.lr_schedule
    warmup = getattr(schedule, "warmup_epochs", 0)
    if warmup:
        schedule = schedule.model_copy(update={"warmup_epochs": warmup * epochs / config.epochs})
    update = {
        "epochs": epochs,
        "lr_schedule": schedule,
        "progressive": config.progressive.fitting(epochs),
        "average_epochs": config.averaged(epochs),
        "steps_per_epoch": config.steps_per_epoch if steps_per_epoch is None else steps_per_epoch,
    }
    return config.model_copy(update=update)


def _most(fits: Callable[[int], bool], below: int) -> int:
    """Return the largest number below `below` that fits, or 0."""
    return next((number for number in range(below - 1, 0, -1) if fits(number)), 0)
