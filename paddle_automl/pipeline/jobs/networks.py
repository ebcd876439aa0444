"""Networks of configurations and of trained runs, and what compression and teachers may use of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_automl.compression.context import Context, TrainedNetwork, go_on
from paddle_automl.compression.distillation import Distillation
from paddle_automl.compression.teachers import find_teacher
from paddle_automl.core.errors import BundleError, ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.parts import PreparedData
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.models.classifier import Classifier, build_model
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.pretrained import load_checkpoint
from paddle_automl.pipeline.config import GOALS, RunConfig
from paddle_automl.pipeline.runs.sources import best_trials, is_search, open_run
from paddle_automl.pipeline.runs.trials import RESULT_FILE
from paddle_automl.training.guide import Guide

Report = Callable[[int, Mapping[str, float]], bool]


def make_model(config: RunConfig, data: PreparedData) -> Classifier:
    """Return a fresh network for the data, with pretrained weights where the configuration names a file."""
    return build_model(
        config.model,
        in_channels=data.preprocess.channels,
        num_classes=data.num_classes,
        image_size=data.preprocess.image_size,
        seed=config.seed,
    )


def load_trained(config: RunConfig, data: PreparedData, weights: Path) -> Classifier:
    """Return the network of a configuration with trained weights, in evaluation mode."""
    return _loaded(config.model, data.preprocess, data.num_classes, weights)


def recorded_facts(run: Path) -> tuple[tuple[str, ...], Preprocess]:
    """Return the classes and the preprocessing that a run was trained with; raises BundleError without them."""
    try:
        recorded = json.loads((run / RESULT_FILE).read_text(encoding="utf-8"))
        return tuple(recorded["classes"]), validate(Preprocess, recorded["preprocess"])
    except (OSError, ValueError, KeyError, TypeError):
        raise BundleError(
            f"{run / RESULT_FILE}: does not say with which classes and images the run was trained; train it again"
        ) from None


def open_network(folder: Path) -> TrainedNetwork:
    """Return the network of a trained run, with its own classes and preprocessing.

    Raises BundleError where the run, its weights or its record is missing.
    """
    run = open_run(folder)
    class_names, preprocess = recorded_facts(run.folder)
    network = _loaded(run.config.model, preprocess, len(class_names), run.weights)
    return TrainedNetwork(network, class_names, preprocess)


def context_of(
    config: RunConfig,
    data: PreparedData,
    original: Classifier,
    payload: Mapping[str, Any],
    *,
    report: Report = go_on,
    trials: Sequence[Path] = (),
) -> Context:
    """Return what steps and teachers may use; `trials` are folders of trained trials, best first."""
    metric = config.epoch_metric()
    return Context(
        data=data,
        training=config.training,
        original=original,
        seed=config.seed,
        augment=build_augmenter(config.data.augment),
        metric=metric,
        goal=GOALS[metric],
        device=payload["device"],
        lock=Path(payload["lock"]),
        report=report,
        load_network=open_network,
        best_networks=(lambda count: _first(trials, count)) if trials else None,
    )


def guides_of(
    config: RunConfig, data: PreparedData, student: Classifier, payload: Mapping[str, Any]
) -> list[Guide]:
    """Return the guides that the section `distillation` asks for.

    Raises ConfigError for a teacher that is missing, of other classes, or that cannot teach this student so.
    """
    options = config.distillation
    if options is None or not options.active:
        return []
    names, trials = list(options.teacher), []
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
            raise ConfigError(f"distillation.best_trials: {searches[0]} has kept the weights of no trial")
    context = context_of(config, data, student, payload, trials=trials)
    try:
        teacher = find_teacher(names, options.best_trials, context)
        return [Distillation(options, teacher, student, data.input_shape, seed=config.seed)]
    except ConfigError as error:
        raise ConfigError([f"distillation.{issue}" for issue in error.issues]) from None


def _first(trials: Sequence[Path], count: int) -> list[TrainedNetwork]:
    if count > len(trials):
        raise ConfigError(
            f"best_trials: {count} are asked for, but the weights of {len(trials)} trials were kept; "
            f"ask for fewer, or search with search.keep_checkpoints: {count}"
        )
    return [open_network(trial) for trial in trials[:count]]


def _loaded(config: ModelConfig, preprocess: Preprocess, num_classes: int, weights: Path) -> Classifier:
    model = build_model(
        config.model_copy(update={"pretrained": None}),
        in_channels=preprocess.channels,
        num_classes=num_classes,
        image_size=preprocess.image_size,
    )
    load_checkpoint(model, weights)
    model.eval()
    return model
