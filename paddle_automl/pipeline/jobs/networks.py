"""Networks of configurations and of trained runs, also for compression and teachers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from paddle_automl.compression.context import Context, TrainedNetwork, go_on
from paddle_automl.compression.distillation import distillation_of
from paddle_automl.compression.teachers import find_teacher
from paddle_automl.core.errors import ConfigError
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.splits import PreparedData
from paddle_automl.inputs.base import Input
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import Network, build_network
from paddle_automl.models.pretrained import grow_head, has_backbone, load_backbone, load_checkpoint
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.frozen import weights_key
from paddle_automl.pipeline.jobs.base import Shared, load_data, lock_of
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import TrainResult, read_record
from paddle_automl.pipeline.runs.remembered import data_of_run
from paddle_automl.pipeline.runs.sources import best_trials, is_search, open_run
from paddle_automl.pipeline.runs.starting import run_of_weights, same_head
from paddle_automl.search.executors.base import Report, Worker
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.classification import NamedTask
from paddle_automl.tasks.metrics.spelling import check_metrics, epoch_metrics
from paddle_automl.training.callback import Callback
from paddle_automl.training.goal import Goal
from paddle_automl.training.solving import learns

logger = logging.getLogger(__name__)


def make_model(config: RunConfig, data: PreparedData) -> Network:
    """Return a new network for the data, with pretrained weights if the configuration names some."""
    return _built(config.model, data.input, data.task, config.seed)


def _built(
    options: ModelConfig, taken: Input, task: Task, seed: int | None = None, *, blank: bool = False
) -> Network:
    """Return a new network, from the weights of another run if `pretrained` is its folder."""
    run = run_of_weights(options)
    if run is None:
        return build_network(options, taken, task.outputs, seed=seed, blank=blank)
    _check_layers(options, run.config.model, run.folder.path)
    model = build_network(options.model_copy(update={"pretrained": None}), taken, task.outputs, seed=seed)
    other = trained_network(run.config, run.folder)
    solved = options.freeze is None and not learns(model)
    if not _same_vocabulary(taken, other.input, run.folder.path, solved=solved):
        return model
    arrays = {name: tensor.numpy() for name, tensor in other.network.backbone.state_dict().items()}
    load_backbone(model, arrays, str(run.folder.path))
    alike = same_head(options, run.config.model) and task.name == other.task.name
    if alike and task.names == other.task.names:
        model.set_state_dict(other.network.state_dict())
    elif alike and isinstance(task, NamedTask) and set(other.task.names) < set(task.names):
        arrays = {name: tensor.numpy() for name, tensor in other.network.state_dict().items()}
        grow_head(model, arrays, [task.names.index(name) for name in other.task.names], str(run.folder.path))
        logger.info("model.pretrained: the head has grown from %d classes to %d", other.task.outputs, task.outputs)
    else:
        logger.warning(
            "model.pretrained: %s: the head is new, because the classes or the head are others than there",
            run.folder.path,
        )
    return model


def _check_layers(options: ModelConfig, theirs: ModelConfig, folder: Path) -> None:
    """Raise ConfigError if the same weights would mean something else here."""
    for key in ("backbone", "activation", "norm"):
        own, other = getattr(options, key), getattr(theirs, key)
        if own != other:
            shown = [value if isinstance(value, str) else value.model_dump(mode="json") for value in (other, own)]
            raise ConfigError(
                f"model.pretrained: {folder}: was trained with model.{key}: {shown[0]}, got {shown[1]}; "
                "use the same"
            )


def _same_vocabulary(ours: Input, theirs: Input, folder: Path, *, solved: bool) -> bool:
    """Return whether the rows of tables mean the same in both inputs, such as the same words.

    Raises ConfigError if they do not, except for a network that is `solved` from the items at hand anyway.
    """
    known, found = (getattr(given.fitted, "files", {}) for given in (theirs, ours))
    if known == found:
        return True
    if not solved:
        raise ConfigError(
            f"model.pretrained: {folder}: its tables belong to another vocabulary than that of the data "
            f"({', '.join(sorted({*known, *found}))}), so that its vectors would be those of other words; start "
            "from a run with the same training texts and data.input, or leave model.pretrained out"
        )
    logger.info("model.pretrained: %s: nothing is taken from it, as all weights are computed from the data", folder)
    return False


def goal_of_run(config: RunConfig, task: Task, shared: Shared) -> Goal:
    """Return the goal of a training and its metrics of each epoch, including the search's objectives.

    Raises ConfigError for a metric that the task does not have.
    """
    metric = config.epoch_metric()
    check_metrics(shared.objectives, task)
    check_metrics([metric], task, "metric")
    metrics = epoch_metrics(task, [metric, *shared.objectives])
    return Goal(metric, config.goal_of(metric) == "maximize", metrics)


def trained_network(config: RunConfig, folder: RunFolder) -> TrainedNetwork:
    """Return the network of a trained run, in evaluation mode, with its own input and task.

    Raises BundleError if its record is missing.
    """
    record = read_record(folder)
    return _loaded(config, folder, record)


def trained_with_data(config: RunConfig, folder: RunFolder, worker: Worker) -> tuple[TrainedNetwork, PreparedData]:
    """Return the network of a trained run and its data, split as in its training, with its own input and task."""
    record = read_record(folder)
    found = _loaded(config, folder, record)
    stated = found.input.stated()
    if stated is not None:
        # What `auto` stands for may be another size today.
        config = config.model_copy(update={"data": config.data.model_copy(update={"input": stated})})
    data = load_data(config, worker, fold=record.fold, remembered=data_of_run(folder, record))
    return found, data.with_input(found.input).with_task(found.task)


def context_of(
    config: RunConfig,
    data: PreparedData,
    original: Network,
    worker: Worker,
    *,
    report: Report = go_on,
    trials: Sequence[RunFolder] = (),
) -> Context:
    """Return the context of steps and teachers; `trials` are folders of trained trials, best first."""
    return Context(
        data=data,
        training=config.training,
        original=original,
        seed=config.seed,
        augment=build_augmenter(config.data.augment, data.input),
        goal=goal_of_run(config, data.task, Shared()),
        device=worker.device,
        lock=lock_of(worker),
        report=report,
        load_network=_open_network,
        best_networks=(lambda count: _first(trials, count)) if trials else None,
    )


def callbacks_of(config: RunConfig, data: PreparedData, student: Network, worker: Worker) -> list[Callback]:
    """Return the callbacks for the section `distillation`.

    Raises ConfigError for a teacher that is missing, has another task, or does not support these hints.
    """
    options = config.distillation
    if options is None or not options.active:
        return []
    names: list[str] = list(options.teacher)
    trials: list[RunFolder] = []
    if options.best_trials:
        searches = [name for name in names if is_search(name)]
        if not searches:
            raise ConfigError(
                "distillation.best_trials: none of the teachers is the output folder of a search; name one in "
                "distillation.teacher, or leave best_trials out"
            )
        names = [name for name in names if name not in searches]
        trials = [trial for name in searches for trial in best_trials(name, config.epoch_metric())]
        if not trials:
            raise ConfigError(f"distillation.best_trials: {searches[0]} has not kept the weights of any trial")
    context = context_of(config, data, student, worker, trials=trials)
    try:
        teacher = find_teacher(names, options.best_trials, context)
        return [distillation_of(options, teacher, student, context)]
    except ConfigError as error:
        raise ConfigError([f"distillation.{issue}" for issue in error.issues]) from None


def _open_network(folder: Path) -> TrainedNetwork:
    """Return the network of a run; raises BundleError if the run, its weights or its record is missing."""
    run = open_run(folder)
    return trained_network(run.config, run.folder)


def _first(trials: Sequence[RunFolder], count: int) -> list[TrainedNetwork]:
    if count > len(trials):
        raise ConfigError(
            f"best_trials: needs {count} trials, but the weights of {len(trials)} trials were kept; "
            f"use fewer, or search with search.keep_checkpoints: {count}"
        )
    return [_open_network(trial.path) for trial in trials[:count]]


def _loaded(config: RunConfig, folder: RunFolder, record: TrainResult) -> TrainedNetwork:
    taken, task, weights = record.fitted_input(folder), record.fitted_task(), folder.weights
    head_alone = bool(record.frozen) and not has_backbone(weights)
    if head_alone and weights_key(config.model) != record.frozen:
        raise ConfigError(
            f"{weights}: is a head for a frozen backbone, and model.pretrained ({config.model.pretrained}) no "
            "longer holds the weights that it was trained on"
        )
    options = config.model if head_alone else config.model.model_copy(update={"pretrained": None})
    model = _built(options, taken, task, blank=True)
    load_checkpoint(model, weights, head_alone=head_alone)
    model.eval()
    return TrainedNetwork(model, taken, task)


def with_backbone(config: RunConfig, data: PreparedData, head: Network) -> Network:
    """Return the whole network, in evaluation mode, for a head that was trained on the features of a backbone."""
    model = make_model(config, data)
    model.set_state_dict({**model.state_dict(), **head.state_dict()})
    model.eval()
    return model
