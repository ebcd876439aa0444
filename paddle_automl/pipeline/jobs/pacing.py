"""A training within a given time: as many of its epochs as fit, with as many threads as are fastest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from paddle_automl.core.errors import TrialError
from paddle_automl.core.runtime import usable_cores
from paddle_automl.data.splits import PreparedData
from paddle_automl.models.config import ModelConfig
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.learning import learnable
from paddle_automl.pipeline.jobs.networks import callbacks_of
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.callback import Callback
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.fitting import Pace, fit_epochs, measure_pace
from paddle_automl.training.freezing import Start
from paddle_automl.training.threads import ThreadGuard, Threads, choose
from paddle_automl.training.time_limit import FEWEST_STEPS, TimeLimit

if TYPE_CHECKING:
    from paddle_automl.pipeline.jobs.train import TrainRequest

logger = logging.getLogger(__name__)

RESERVE_S, RESERVE = 2.0, 0.03
"""Seconds, or a fraction of the time, that a training does not use: its process has started before it knows its
time, and its weights are written at the end."""
HOPE = 0.8
"""Factor for the measured times of a training with a `TimeLimit`, as they may be shorter later."""
MANY_STEPS = 3 * FEWEST_STEPS
"""Steps from which a `TimeLimit` sees in time that they take too long."""
THREADS_FROM_S = 30.0
"""Seconds of a training from which it pays to time it with several threads."""
ATTEMPTS, ATTEMPTS_FROM_S = 3, 120.0
"""Times that it is timed where another process disturbs it, and seconds of a training that has time for it."""


def fitted(
    request: TrainRequest, data: PreparedData, worker: Worker, left: float
) -> tuple[TrainRequest, list[Callback]]:
    """Return the request with the epochs that fit into `left` seconds, and callbacks that its training needs.

    The configuration in its folder then states epochs and threads. Raises TrialError if they would be fewer than
    `request.least_epochs`.
    """
    began, config = time.monotonic(), request.config
    work = learnable(config, data, worker)
    split = work.data.train if request.on == "train" else work.data.joined()

    def measured() -> Pace:
        return measure_pace(
            work.model,
            work.data,
            config.training,
            # Steps of the first epochs, in which layers are frozen, cost less than most.
            start=start_of(config).thawed(),
            augment=work.augment,
            split=split,
            device=worker.device,
            callbacks=callbacks_of(config, data, work.model, worker),
        )

    pace, threads, guards = _fastest(request, worker, measured, left)
    seconds = (left - (time.monotonic() - began) - request.solve_s) / request.networks
    if request.on != "train":
        # Nothing is evaluated; only at the end statistics are computed again.
        seconds, pace = seconds - pace.evaluation_s, replace(pace, evaluation_s=0.0)
    if request.on != "train" or request.keep == "last":
        # Such a training makes no soup (see `training.loop.train`).
        pace = replace(pace, member_s=0.0)
    if _is_limited(request):
        seconds -= max(RESERVE_S, RESERVE * left)
    training, expected = _planned(request, pace, len(split), seconds)
    if _is_limited(request):
        # Weights that are solved come first, in their own time.
        steps_s = request.solve_s + seconds - pace.soup_s(expected, expected.epochs)
        guards = [*guards, TimeLimit(time.monotonic() + steps_s, pace.evaluation_s)]
    steps, whole = expected.steps(len(split)), config.training.steps(len(split))
    epochs = expected.epochs * steps / whole
    if expected is not config.training:
        told = f"{expected.epochs} of {config.training.epochs} epochs" + (
            f" of {steps} steps" if steps < whole else ""
        )
        if epochs < request.least_epochs:
            raise TrialError(f"too little time is left: {told} fit into {left:.0f} s")
        logger.warning("%s, because of the time left", told)
    model = with_frozen_epochs(config.model, training.epochs, config.training.epochs)
    training = training.model_copy(update={"threads": threads})
    config = config.model_copy(update={"model": model, "training": training})
    return at_its_length(replace(request, config=config), epochs), guards


def at_its_length(request: TrainRequest, epochs: float) -> TrainRequest:
    """Return the request with the learning rate for so many epochs; the configuration in its folder states it."""
    config = request.config
    if request.rate_power and request.rate_epochs < epochs:
        training = config.training.at_rate((request.rate_epochs / epochs) ** request.rate_power)
        config = config.model_copy(update={"training": training})
    RunFolder(request.folder).write_config(config)
    return replace(request, config=config)


def _planned(
    request: TrainRequest, pace: Pace, items: int, seconds: float
) -> tuple[TrainingConfig, TrainingConfig]:
    """Return the recipe with the epochs that are planned, and with those that are expected to fit.

    A training with a time limit ends its schedule in time even where its steps take longer than planned, unless
    there are too few to tell. So it is planned for faster steps than were measured: steps that another process
    disturbed while they were timed would leave a part of the time unused.
    """
    recipe = request.config.training
    if _is_limited(request) and request.least_epochs < recipe.epochs:
        expected = fit_epochs(recipe, pace, items, seconds, margin=1.0)
        if expected.epochs * expected.steps(items) >= MANY_STEPS:
            return fit_epochs(recipe, pace, items, seconds, margin=HOPE), expected
    found = fit_epochs(recipe, pace, items, seconds)
    return found, found


def _fastest(
    request: TrainRequest, worker: Worker, measured: Callable[[], Pace], left: float
) -> tuple[Pace, Threads, list[Callback]]:
    """Return the pace, the threads to train with, which are now used, and callbacks that watch them."""
    pace, threads, cores = measured(), request.config.training.threads, usable_cores()
    if (
        not _is_limited(request)
        or threads != "auto"
        or worker.device != "cpu"
        or cores == 1
        or left < THREADS_FROM_S
    ):
        return pace, threads, []
    # It may be planned as on free cores: its limit ends its schedule in time anyway.
    planned, use = choose(cores, pace, measured, ATTEMPTS if left >= ATTEMPTS_FROM_S else 1)
    guards: list[Callback] = [] if use == "one" else [ThreadGuard(cores, pace.step_s, busy=use == "busy")]
    return planned, cores if use == "all" else 1, guards


def _is_limited(request: TrainRequest) -> bool:
    """Return whether a training has a `TimeLimit`: it is one of a single network that has the machine to itself."""
    return request.alone and request.networks == 1


def with_frozen_epochs(model: ModelConfig, epochs: int, planned: int) -> ModelConfig:
    """Return the model with frozen epochs that fit into `epochs` instead of the `planned` ones.

    They shrink in proportion, as the warm-up does. One is left where there were some, because a new head would
    spoil what was loaded, but not all of the training.
    """
    if epochs >= planned:
        return model
    frozen, thaw = (round(count * epochs / planned) for count in (model.frozen_epochs, model.thaw_epochs))
    if model.frozen_epochs:
        frozen = min(max(frozen, 1), epochs - 1)
    return model.model_copy(update={"frozen_epochs": frozen, "thaw_epochs": thaw})


def start_of(config: RunConfig) -> Start:
    """Return how the training treats loaded layers."""
    model = config.model
    return Start(
        frozen_epochs=model.frozen_epochs,
        rate=model.pretrained_rate,
        frozen_norm=model.frozen_norm,
        stage_decay=model.stage_decay,
        trained_stages=model.trained_stages,
        thaw_epochs=model.thaw_epochs,
    )
