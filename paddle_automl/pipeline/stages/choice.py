"""The choice of the best weights: those of a trial, or those of the refit."""

from __future__ import annotations

import math

from paddle_automl.core.errors import AutoMLError, SearchFailedError
from paddle_automl.paddle_compat.weights import load_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.train import TrainResult
from paddle_automl.pipeline.runs.facts import DataFacts
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.configurations import Chance, Configuration
from paddle_automl.search.objective import excess_of
from paddle_automl.search.records import TrialRecord
from paddle_automl.tasks.metrics.spelling import epoch_part, when_of

FINE_TUNE, ENSEMBLE = "fine_tune", "ensemble"
"""Names of the stages whose results name the folder of the network that they keep."""


def winner(run: Run) -> Configuration:
    """Return the winning configuration; raises SearchFailedError if none is within the limits."""
    objectives = run.config.search.objectives
    nearest = run.study.settled()[0]
    if excess_of(nearest.values, objectives) == 0:
        return nearest
    wanted = ", ".join(f"{o.metric} {o.limit:g}" for o in objectives if o.limit is not None)
    got = ", ".join(f"{o.metric} {value:.4g}" for o, value in zip(objectives, nearest.values, strict=True))
    raise SearchFailedError(
        f"search.objectives: no trial is within the limits ({wanted}); the nearest is trial {nearest.first.number} "
        f"with {got}. Relax the limit, or raise search.trials, and run the same command again: finished trials stay"
    )


def chance_of(config: RunConfig, facts: DataFacts) -> Chance | None:
    """Return the standard error of an accuracy p on so many validation items, sqrt(p (1 - p) / items).

    None for other objectives, whose error does not follow from their value.
    """
    metric = config.search.objectives[0].metric
    if when_of(metric) != "epoch" or epoch_part(metric) != "accuracy":
        return None
    # With cross-validation each item is a validation item once.
    items = facts.validation + (facts.train if config.data.networks > 1 else 0)
    return lambda value: math.sqrt(max(value * (1.0 - value), 0.0) / max(items, 1))


def best_run(run: Run, chosen: Configuration | None = None) -> TrialRecord | None:
    """Return the best run of a configuration, by default of the best one so far, whose weights exist.

    None if there is none, or if the best configuration so far exceeds a limit.
    """
    if chosen is None:
        found = run.study.configurations()
        if not found or excess_of(found[0].values, run.config.search.objectives) > 0:
            return None
        chosen = found[0]
    metric, sign = metric_and_sign(run)
    kept = [item for item in chosen.runs if _is_whole(run.folder.trial(item.number))]
    return max(kept, key=lambda item: sign * item.metrics.get(metric, -sign * math.inf), default=None)


def source_of(run: Run, chosen: Configuration, refit: TrainResult | None) -> RunFolder:
    """Return the folder with the better weights on validation: the refit's, or a trial's.

    A refit on train+validation, or one after cross-validation, has no validation split in common with the trials,
    so it is chosen. What a fine-tuning gained on validation is chosen above both, and an ensemble above all. Raises
    SearchFailedError if all are missing.
    """
    for stage in (ENSEMBLE, FINE_TUNE):
        better = run.results.get(stage) or {}
        if better.get("kept") is not None:
            return run.folder.inside(better["kept"])
    own, folder = best_run(run, chosen), run.folder.refit
    if refit is None and own is None:
        # The deadline stopped the winner's training before its record was written: the next one is taken.
        found = (best_run(run, other) for other in run.study.settled() if _within_limits(run, other))
        own = next((record for record in found if record is not None), None)
    if refit is None and own is None:
        raise SearchFailedError(
            f"trial {chosen.first.number}: its weights are gone and the refit did not succeed; see "
            f"{folder.log('train')}"
        )
    if own is not None and refit is not None and not readable_weights(run.folder.trial(own.number)):
        return folder
    incomparable = run.config.refit.data == "train+validation" or run.config.data.folds
    if own is None or (refit is not None and incomparable):
        return folder
    metric, sign = metric_and_sign(run)
    # At equal scores the refit wins: it has usually seen more epochs.
    if refit is not None and sign * refit.metrics[metric] >= sign * own.metrics[metric]:
        return folder
    return run.folder.trial(own.number)


def _within_limits(run: Run, found: Configuration) -> bool:
    return excess_of(found.values, run.config.search.objectives) == 0


def _is_whole(folder: RunFolder) -> bool:
    """Return whether a training has left its weights and the record that they need."""
    return has_weights(folder) and folder.result.is_file()


def has_weights(folder: RunFolder) -> bool:
    """Return whether there is a file of weights that is not empty."""
    return folder.weights.is_file() and folder.weights.stat().st_size > 0


def readable_weights(folder: RunFolder) -> bool:
    """Return whether the weights can be read."""
    try:
        load_weights(folder.weights)
    except AutoMLError:
        return False
    return True


def metric_and_sign(run: Run) -> tuple[str, float]:
    """Return the metric by which epochs are compared, and 1 if larger values are better, else -1."""
    metric = run.config.epoch_metric()
    return metric, 1.0 if run.config.goal_of(metric) == "maximize" else -1.0
