"""Which of the best trials answer better together than the winner alone, and how sure that is."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from paddle_automl.core.errors import AutoMLError, DataError
from paddle_automl.core.fitted import FittedPlugin
from paddle_automl.core.schema import PluginConfig, Section
from paddle_automl.core.schema import Sequence as Items
from paddle_automl.core.seeds import generator
from paddle_automl.data.splits import PreparedData
from paddle_automl.pipeline.config import Ensemble
from paddle_automl.pipeline.jobs.base import Shared, enter
from paddle_automl.pipeline.jobs.costs import network_costs
from paddle_automl.pipeline.jobs.gain import GainResult, gain_of
from paddle_automl.pipeline.joining import (
    Opened,
    Trained,
    data_of,
    joined_config,
    joined_network,
    opened,
    reads_alike,
    unfit,
)
from paddle_automl.pipeline.runs.fold_answers import read_answers
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.selection import Judge, honest_mean, mean_of, select
from paddle_automl.search.constraints import Constraint
from paddle_automl.search.executors.base import Worker
from paddle_automl.search.objective import Objective
from paddle_automl.tasks.base import TASKS
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import epoch_metrics, measure, value_in
from paddle_automl.training.evaluation import predict

TIME_FRACTION = 0.5
"""Fraction of the time for answers; of the candidates that are not asked by then none is a member."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChooseRequest:
    """Choose members among `candidates`, the winner first, on the winner's validation items."""

    candidates: tuple[Trained, ...]
    options: Ensemble
    shared: Shared
    objectives: tuple[Objective, ...]
    within_s: float | None = None


class Choice(Section):
    """The members that were chosen, and what they gain over the winner."""

    members: Items[int]
    """The numbers of their trials, the winner first; one alone: no other improves it."""
    task: Annotated[PluginConfig, FittedPlugin(TASKS)]
    """The task with values chosen for the members' mean answer on validation."""
    tuned: Items[str] = ()
    """Names of these values; what else is in the task belongs to the data that the members have learned."""
    gain: GainResult | None = None
    """What ensembles gain on items by which their members were not chosen; None without an ensemble."""
    kept: bool = False
    """Whether that is enough, within all limits."""
    beyond: str = ""
    """The limits that the network of all members would break."""
    metrics: dict[str, Annotated[float, Field(allow_inf_nan=True)]] = Field(default_factory=dict)
    """Validation metrics of the members together, and the costs of their network."""
    left_out: dict[str, str] = Field(default_factory=dict)
    """Why candidates could not be members, by the number of their trial."""


def run(request: ChooseRequest, worker: Worker) -> Choice:
    """Choose members, and judge them."""
    enter(worker)
    started = time.monotonic()
    found, data, left_out = _fitting(request.candidates, worker)
    end = None if request.within_s is None else started + TIME_FRACTION * request.within_s
    asked = _of_all_folds(found, data, left_out) or _of_validation(found, data, left_out, end)
    found = asked.members
    first, options = found[0].of.config, request.options
    metric = first.epoch_metric()
    judge = Judge(metric, first.goal_of(metric) == "maximize", data.task)
    for size in range(min(options.size, len(found)), 1, -1):
        choice = _judged(request, asked, data, judge, size, worker)
        choice = choice.model_copy(update={"left_out": left_out})
        if not choice.beyond:
            return choice
        logger.info("ensemble of trials %s: %s", choice.members, choice.beyond)
    if len(found) > 1:
        return choice
    return Choice(members=(found[0].of.number,), task=data.task.fitted, left_out=left_out)


def _fitting(candidates: Sequence[Trained], worker: Worker) -> tuple[list[Opened], PreparedData, dict[str, str]]:
    """Return the networks that can be members, the data that they take, and why others cannot."""
    found, left_out = [opened(candidates[0])], dict[str, str]()
    for candidate in candidates[1:]:
        try:
            member = opened(candidate)
        except AutoMLError as error:
            left_out[str(candidate.number)] = str(error)
            continue
        reason = unfit(member, found[0])
        if reason:
            left_out[str(candidate.number)] = reason
        else:
            found.append(member)
    data = data_of(found, worker)
    if not reads_alike(found[0], data):
        raise DataError(f"{found[0].of.folder}: its data have changed since its training; train it again")
    fitting = [member for member in found if reads_alike(member, data)]
    others = [member for member in found if member not in fitting]
    left_out |= {
        str(member.of.number): "it has learned another vocabulary or other statistics" for member in others
    }
    return fitting, data_of(fitting, worker) if others else data, left_out


@dataclass(frozen=True)
class _Asked:
    """Networks that can be members, their outputs ``[N, K]`` for the same items, and the codes of the targets."""

    members: list[Opened]
    outputs: list[np.ndarray]
    codes: np.ndarray


def _of_validation(found: list[Opened], data: PreparedData, left_out: dict[str, str], end: float | None) -> _Asked:
    """Return the answers of the networks on the validation items; after `end` no further one is asked."""
    outputs: list[np.ndarray] = []
    for member in found:
        if outputs and end is not None and time.monotonic() > end:
            left_out[str(member.of.number)] = "no time was left to ask it"
            continue
        names = [spec.name for spec in member.input.specs]
        outputs.append(predict(member.alone, data.validation.with_arrays(names)))
    return _Asked(found[: len(outputs)], outputs, data.validation.codes)


def _of_all_folds(found: Sequence[Opened], data: PreparedData, left_out: dict[str, str]) -> _Asked | None:
    """Return the answers on the items of all folds, each by the network that had not learned from the item.

    None without a cross-validation, or for a winner that was not judged by all folds.
    """
    if not found[0].record.folds:
        return None
    members, outputs, rows = list[Opened](), list[np.ndarray](), np.empty(0)
    for member in found:
        try:
            own, values = read_answers(RunFolder(member.of.folder).fold_answers)
        except DataError as error:
            if not members:
                return None
            left_out[str(member.of.number)] = f"it was not judged by all folds ({error})"
            continue
        if members and not np.array_equal(own, rows):
            left_out[str(member.of.number)] = "its folds have other items"
            continue
        rows = own
        members.append(member)
        outputs.append(tempered(values, data.task.final.activation, member.temperature))
    return _Asked(members, outputs, data.validation.everything.codes[rows])


def tempered(outputs: np.ndarray, activation: str, temperature: float) -> np.ndarray:
    """Return outputs ``[N, K]`` as they are if the raw ones are divided by a temperature before a softmax."""
    if activation != "softmax" or temperature == 1:
        return outputs
    logs = np.log(np.clip(outputs, 1e-30, None).astype(np.float64)) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def _judged(
    request: ChooseRequest,
    asked: _Asked,
    data: PreparedData,
    judge: Judge,
    size: int,
    worker: Worker,
) -> Choice:
    """Return the choice of at most `size` members."""
    found, outputs, codes = asked.members, asked.outputs, asked.codes
    seed = found[0].of.config.seed
    chosen = select(outputs, codes, judge, size)
    members = [found[place] for place in chosen]
    numbers = tuple(member.of.number for member in members)
    if len(members) < 2:
        return Choice(members=numbers, task=data.task.fitted)
    honest = honest_mean(outputs, codes, judge, size, generator(seed, "ensemble"))
    gain = gain_of(found[0].of.config, [outputs[0], honest], codes, data.task.tuned(outputs[0], codes))
    kept = gain.convinces(request.options.standard_errors)
    mean = mean_of(outputs, chosen)
    task = data.task.tuned(mean, codes).calibrated(mean, codes)
    tuned = changed_fields(data.task.fitted, task.fitted)
    if not kept:
        return Choice(members=numbers, gain=gain, task=task.fitted, tuned=tuned)
    keys = epoch_metrics(task, [judge.metric, *request.shared.objectives])
    config = joined_config(members, found[0].of.folder)
    costs = network_costs(joined_network(config, members, data), data, config, request.shared, worker)
    metrics = {**measure(keys, Predictions(mean, codes, data.task.tuned(mean, codes)), costs), **costs}
    beyond = beyond_limits(metrics, request.objectives, request.shared.constraints)
    return Choice(
        members=numbers, gain=gain, kept=not beyond, beyond=beyond, task=task.fitted, tuned=tuned, metrics=metrics
    )


def changed_fields(before: PluginConfig, after: PluginConfig) -> tuple[str, ...]:
    """Return the names of the options that differ."""
    return tuple(key for key in type(after).model_fields if getattr(before, key) != getattr(after, key))


def beyond_limits(
    metrics: dict[str, float], objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> str:
    """Return the limits that measured values break, with the values, or an empty text."""
    found = []
    for objective in objectives:
        value = objective.measured(metrics)
        if value is not None and objective.excess(value) > 0:
            found.append(f"{objective.metric} {value:.4g} (limit {objective.limit:g})")
    for constraint in constraints:
        value = value_in(metrics, constraint.metric)
        if value is not None and not constraint.holds(value):
            found.append(f"{constraint.metric} {value:.4g} ({constraint})")
    return ", ".join(found)
