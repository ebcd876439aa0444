"""One training of one configuration: where search and training meet."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from paddle_automl.core.files import write_json
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.remembering import Remembered
from paddle_automl.data.splits import PreparedData
from paddle_automl.models.network import Network
from paddle_automl.paddle_compat.weights import save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.frozen import FeatureStore, weights_key
from paddle_automl.pipeline.jobs.base import Shared, check_names, enter, load_data, notes
from paddle_automl.pipeline.jobs.learning import costs_of, learnable
from paddle_automl.pipeline.jobs.networks import callbacks_of, context_of, goal_of_run, make_model, with_backbone
from paddle_automl.pipeline.jobs.newcomers import LOSS, settle_new_classes
from paddle_automl.pipeline.jobs.pacing import at_its_length, fitted, start_of
from paddle_automl.pipeline.progress.network_log import log_training
from paddle_automl.pipeline.runs.fold_answers import write_answers
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import TrainResult, mean_and_error, read_record
from paddle_automl.pipeline.runs.remembered import data_of_training, data_to_grow
from paddle_automl.search.constraints import check_constraints
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import Task, restore
from paddle_automl.training.callback import Callback
from paddle_automl.training.loop import Keep, TrainingResult, train
from paddle_automl.training.solving import learns
from paddle_automl.training.threads import use_threads

__all__ = ["TrainRequest", "TrainResult", "run"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainRequest:
    """Train `config` into `folder`, `on` the training split or on it and the validation split.

    With a frozen backbone only the head's weights are written, unless `whole` asks for those of the network, with
    which the folder does not need the pretrained weights any more.

    If it trains on the validation split too, nothing can be tuned on it: `tuned` is the task of an earlier
    training.

    With `within_s`, seconds from the start of the job, it has as many of its epochs as fit (see
    `training.fitting`); TrialError if these would be fewer than `least_epochs`. The configuration in `folder` then
    states them. `solve_s` of these seconds are kept for weights that are computed from all items at once.

    `rate_power` and `rate_epochs`: with more epochs than those the learning rate is multiplied by
    (rate_epochs / epochs)^rate_power; see `refit.rate_power`.

    `alone`: no other job runs beside it, so that ``training.threads`` applies.

    A `constrained` training is that of a search: InfeasibleError if its network is beyond `Shared.constraints`.

    `grows` is the folder of an earlier training whose data are among those of `config`: they keep their splits, and
    only the others are split.

    `keep`: the weights of the epoch that is best on validation, or those of the last one.
    """

    config: RunConfig
    folder: Path
    shared: Shared
    on: Literal["train", "train+validation"] = "train"
    tuned: PluginConfig | None = None
    within_s: float | None = None
    least_epochs: float = 0.0
    rate_power: float = 0.0
    rate_epochs: float = 0.0
    whole: bool = False
    constrained: bool = False
    grows: Path | None = None
    alone: bool = False
    keep: Literal["best", "last"] = "best"
    old_loss: float = LOSS
    """Accuracy on old classes that may be lost to new ones, with `grows`."""
    solve_s: float = 0.0
    all_folds: bool = False
    """Whether a first fold that is stopped by its reports is followed by the others: it has converged."""
    answers: bool = False
    """Whether the answers of all folds are written, for an ensemble."""

    @property
    def networks(self) -> int:
        """Return how many networks it trains: with more than one each is validated on its own fold."""
        return self.config.data.networks if self.on == "train" else 1


def run(request: TrainRequest, worker: Worker) -> TrainResult:
    """Train one configuration; weights, metrics and the result are written to the request's folder.

    The result's `metrics` are those of the best epoch on validation, with the network's costs; with
    `compression.in_trials` those of the compressed network. With `data.folds` a network is trained for each fold:
    the first one reports its epochs and leaves its weights, the metrics are means over all folds. A training that
    is killed in a later fold leaves the result of the first one.
    """
    started = time.monotonic()
    enter(worker)
    folds = request.networks
    loaded = _load(request, worker, 0 if folds > 1 else None)
    if request.grows is not None:
        _take_features(request, loaded[0], RunFolder(request.grows), worker)
    guards: list[Callback] = []
    if request.alone and request.config.training.threads != "auto":
        use_threads(request.config.training.threads)
    costs = _within_constraints(request, loaded[0], worker)
    if request.within_s is not None:
        request, guards = fitted(request, loaded[0], worker, request.within_s - (time.monotonic() - started))
    elif request.rate_power:
        request = at_its_length(request, request.config.training.epochs)
    first = _train(request, worker, loaded, guards, costs=costs)
    if request.grows is not None:
        earlier, goal = RunFolder(request.grows), goal_of_run(request.config, first.data.task, request.shared)
        task = settle_new_classes(
            request.config, first.data, request.folder, earlier, worker, goal, on=request.on, loss=request.old_loss
        )
        first = first if task is None else replace(first, result=replace(first.result, task=task))
    all_of = [first]
    if folds > 1 and (first.result.stopped != "report" or request.all_folds):
        _recorded(request, all_of)
        all_of += [_train(request, worker, _load(request, worker, other), alone=False) for other in range(1, folds)]
    return _recorded(request, all_of)


def _recorded(request: TrainRequest, all_of: Sequence[_Trained]) -> TrainResult:
    """Write the result of the networks that were trained so far, the first of which is kept, and return it."""
    first, several = all_of[0], request.networks > 1
    result, metrics, errors = first.result, first.metrics, dict[str, float]()
    if len(all_of) > 1:
        metrics, errors = mean_and_error([item.metrics for item in all_of])
        logger.info("cross validation: %s", metrics)
    outcome = TrainResult(
        metrics={**metrics, **first.costs},
        standard_errors=errors,
        compression=first.compression,
        best_epoch=result.best_epoch,
        epochs_run=result.epochs_run,
        stopped=result.stopped,
        seconds=round(sum(item.result.seconds for item in all_of), 3),
        solved_s=round(sum(item.result.solved_s for item in all_of), 3),
        only_solved=result.only_solved,
        skipped_files=tuple((first.data.input.describe(item), reason) for item, reason in first.data.skipped),
        on=request.on,
        fold=0 if several else request.config.data.fold,
        folds=len(all_of) if several else None,
        all_epochs=sum(item.result.epochs_run for item in all_of) if several else None,
        task=_task_of(all_of).fitted if request.tuned is None else first.data.task.tuned_like(request.tuned),
        input=first.data.input.fitted,
        frozen=weights_key(request.config.model) if request.config.model.freeze else "",
        notes=notes(),
    )
    folder, items = RunFolder(request.folder), first.data.items
    first.data.input.save(folder.input(outcome.input))
    # Trials share the list of their search.
    if items is not None and (first.remembered is None or items is not first.remembered.items):
        items.write(folder.splits)
    if request.answers and several and len(all_of) == request.networks:
        known = [(item.data.validation.indices, item.result.outputs) for item in all_of]
        write_answers(folder.fold_answers, known)
    write_json(folder.result, outcome.model_dump(mode="json"))
    return outcome


def _task_of(all_of: Sequence[_Trained]) -> Task:
    """Return the task of the first network, calibrated on the validation items of all folds where it asks for that.

    The outputs of each item are those of the network that has not learned from it, as in cross-conformal prediction
    (Vovk 2015, "Cross-conformal predictors").
    """
    task = all_of[0].result.task
    found = [item.result.outputs for item in all_of if item.result.outputs is not None]
    if len(found) == 1 or len(found) < len(all_of) or not task.calibrates_on_folds:
        return task
    codes = [item.data.validation.codes for item in all_of]
    tuned = all_of[0].data.task.tuned(found[0], codes[0])
    return tuned.calibrated(np.concatenate(found), np.concatenate(codes))


def _within_constraints(request: TrainRequest, data: PreparedData, worker: Worker) -> dict[str, float] | None:
    """Return the costs of a network that has constraints; raises InfeasibleError if it is beyond them."""
    config, shared = request.config, request.shared
    if not request.constrained or not shared.constraints:
        return None
    costs = costs_of(learnable(config, data, worker), data, config, shared, worker)
    check_constraints(shared.constraints, costs)
    return costs


def _load(request: TrainRequest, worker: Worker, fold: int | None) -> tuple[PreparedData, Remembered | None]:
    """Return the data, and what an earlier training remembers of them."""
    if request.grows is not None:
        earlier = RunFolder(request.grows)
        remembered: Remembered | None = data_to_grow(earlier, read_record(earlier))
    else:
        remembered = data_of_training(request.config, RunFolder(request.folder))
    data = load_data(request.config, worker, fold=fold, remembered=remembered)
    check_names(data)
    return data, remembered


def _take_features(request: TrainRequest, data: PreparedData, earlier: RunFolder, worker: Worker) -> None:
    """Take the features of a frozen backbone from an earlier training: only those of new items are computed."""
    config = request.config
    if config.model.freeze is None:
        return
    content = data_to_grow(earlier, read_record(earlier)).items.content
    cache = (earlier.search or earlier).cache
    FeatureStore(worker.scratch).take_over(config.model, data, lambda: make_model(config, data), cache, content)


@dataclass(frozen=True)
class _Trained:
    """A finished training."""

    data: PreparedData
    result: TrainingResult
    metrics: dict[str, float]
    costs: dict[str, float]
    compression: dict[str, Any] | None = None
    remembered: Remembered | None = None
    """The data that it was to keep to."""


def _train(
    request: TrainRequest,
    worker: Worker,
    loaded: tuple[PreparedData, Remembered | None],
    guards: Sequence[Callback] = (),
    *,
    alone: bool = True,
    costs: dict[str, float] | None = None,
) -> _Trained:
    """Train one network; that of a later fold (not `alone`) writes and reports nothing.

    `costs` are those of the network, if they were measured before.
    """
    config, shared = request.config, request.shared
    data, remembered = loaded
    work = learnable(config, data, worker)
    model = work.model
    # The costs of a compressed network are known only at the end.
    if costs is None:
        costs = {} if config.compression.in_trials else costs_of(work, data, config, shared, worker)

    if alone:
        # A network whose weights are all computed at once has one epoch; others, those that fit into the time.
        worker.plan(config.training.epochs if learns(model) else 1)

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        # The costs of a network are known from the start: with several objectives schedulers use them too.
        return worker.report(epoch, {**costs, **metrics})

    result = train(
        model,
        work.data,
        config.training,
        goal_of_run(config, data.task, shared),
        start_of(config),
        seed=config.seed,
        folder=request.folder if alone else None,
        augment=work.augment,
        report=report if alone else None,
        on=request.on,
        device=worker.device,
        keep=Keep(request.keep),
        callbacks=[*callbacks_of(config, data, model, worker), *guards],
    )
    if not (data.task.calibrates_on_folds or request.answers):
        # With many classes those of all folds would take a lot of memory.
        result = replace(result, outputs=None)
    logger.info("precision: %s", result.amp)
    if alone and request.alone and config.visualdl and RunFolder(request.folder).search is None:
        pages = RunFolder(request.folder).visualdl
        log_training(pages, config, data.with_task(result.task), work, result.seconds)
    if work.frozen and (request.whole or config.compression.in_trials):
        model = with_backbone(config, data, model)
        if alone:
            save_weights(RunFolder(request.folder).weights, model.state_dict())
    if config.compression.in_trials:
        task = result.task if request.tuned is None else restore(data.task.tuned_like(request.tuned))
        trained = _compressed(request, data.with_task(task), model, result, worker)
        return replace(trained, remembered=remembered)
    return _Trained(data, result, result.metrics, costs, remembered=remembered)


def _compressed(
    request: TrainRequest, data: PreparedData, model: Network, result: TrainingResult, worker: Worker
) -> _Trained:
    """Return the training with the metrics of the compressed network and the facts reported by the steps.

    The network before compression is kept in the folder's weights, the compressed one in the folder's bundle.
    """
    from paddle_automl.compression.candidate import make_candidate

    config = request.config
    context = context_of(config, data, model, worker)
    candidate = make_candidate(
        model,
        config.compression,
        replace(context, tune_task=request.on == "train"),
        folder=RunFolder(request.folder).bundle,
        deployment=config.deployment,
        rebuilt_by=config.as_dict(),
        objectives=request.shared.objectives,
    )
    logger.info("compressed: %s", candidate.metrics)
    return _Trained(data, result, candidate.metrics, {}, candidate.facts)
