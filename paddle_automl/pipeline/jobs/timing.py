"""Estimated times of trials, from real steps of the smallest and the largest candidate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from paddle_automl.core.schema import Section
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, enter, load_data, same_data
from paddle_automl.pipeline.jobs.check import data_facts
from paddle_automl.pipeline.jobs.learning import Learnable, tried_out
from paddle_automl.pipeline.jobs.networks import callbacks_of, goal_of_run
from paddle_automl.pipeline.jobs.pacing import start_of
from paddle_automl.pipeline.runs.facts import DataFacts
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.loop import train
from paddle_automl.training.progressive import Progressive

TIMED_BATCHES = 8
PROCESS_S = 0.5
"""Seconds for start and end of a trial's process, its first step and the measurement of its costs."""


@dataclass(frozen=True)
class TimeRequest:
    """Time the smallest and the largest of the `candidates`, which are pairs of a label and a configuration."""

    config: RunConfig
    candidates: tuple[tuple[str, RunConfig], ...]
    shared: Shared


class CandidateTime(Section):
    """Time and size of one candidate."""

    label: str
    """Its label."""
    flops: int
    """Multiply-accumulates of one item."""
    parameters: int
    """Number of trained weights."""
    epoch_s: float
    """Seconds of an epoch."""
    trial_s: float
    """Seconds of a whole trial."""


class TimeResult(Section):
    """The facts about the data, and the times of the two extremes by FLOPs."""

    data: DataFacts
    """The data of the measurement."""
    smallest: CandidateTime
    """The candidate with the fewest operations."""
    largest: CandidateTime
    """The candidate with the most operations."""


def run(request: TimeRequest, worker: Worker) -> TimeResult:
    """Time real training steps and evaluation of the smallest and the largest candidate."""
    started = time.perf_counter()
    enter(worker)
    data = load_data(request.config, worker)
    overhead = PROCESS_S + time.perf_counter() - started

    def made(config: RunConfig) -> Learnable:
        # Not kept: a data set of images fills the memory soon if it is read for each candidate.
        return tried_out(config, data if same_data(config, request.config) else load_data(config, worker))

    sized = []
    for label, config in request.candidates:
        facts = made(config).profile
        sized.append((facts.flops, facts.parameters, label, config))
    sized.sort(key=lambda item: item[:2])
    timed = []
    for flops, parameters, label, config in (sized[0], sized[-1]):
        seconds, recipe = epoch_seconds(made(config), config, request.shared, worker), config.training
        trained_s = config.data.networks * seconds * recipe.progressive.whole_epochs(recipe.epochs)
        timed.append(
            CandidateTime(
                label=label,
                flops=flops,
                parameters=parameters,
                epoch_s=round(seconds, 3),
                trial_s=round(overhead + trained_s, 2),
            )
        )
        worker.report(len(timed), {})
    return TimeResult(data=data_facts(data), smallest=timed[0], largest=timed[1])


def epoch_seconds(work: Learnable, config: RunConfig, shared: Shared, worker: Worker) -> float:
    """Return the estimated seconds of an epoch of a network, from batches: one round to warm up, one timed."""
    data = work.data
    rng = np.random.default_rng(0)
    recipe = config.training.for_items(len(data.train))
    items = min(len(data.train), TIMED_BATCHES * recipe.batch_size)
    checked = min(len(data.validation), max(items, 64))
    small = replace(
        data,
        train=data.train.with_indices(np.sort(rng.permutation(data.train.indices)[:items])),
        validation=data.validation.with_indices(np.sort(rng.permutation(data.validation.indices)[:checked])),
    )
    seconds: list[float] = []
    changes = {"epochs": 2, "patience": None, "progressive": Progressive(), "least_steps": 1}
    timed = recipe.model_copy(update=changes)

    def note(epoch: int, metrics: Mapping[str, float]) -> bool:
        seconds.append(metrics["seconds"])
        return True

    train(
        work.model,
        small,
        timed,
        goal_of_run(config, data.task, shared),
        # Layers that are frozen at the start cost their full time in most epochs.
        start_of(config).thawed(),
        seed=config.seed,
        folder=None,
        augment=work.augment,
        report=note,
        device=worker.device,
        callbacks=callbacks_of(config, data, work.model, worker),
    )
    # Training dominates; the time of an evaluation is proportional to the size of the validation split.
    return seconds[-1] * recipe.epoch(len(data.train)).steps / timed.epoch(items).steps
