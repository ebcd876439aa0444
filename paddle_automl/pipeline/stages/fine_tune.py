"""The stage that trains the winner's whole network further, and keeps that only where validation gains by it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import AutoMLError, MachineError, OutputError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.core.paths import absolute_path, readable
from paddle_automl.core.schema import PluginConfig, with_paths
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.gain import GainRequest, GainResult
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.sources import read_run_config, with_all_steps
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import FINE_TUNE, best_run, winner
from paddle_automl.pipeline.stages.refit import refit_of, tuned_task
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.training.fine_tuning.base import RECIPES

FREE_S = 220.0
"""Seconds of the budget that the search of heads and 8 bits need by themselves; without more there is no
fine-tuning."""
FRACTION = 0.6
"""Fraction of the rest that is reserved for fine-tuning."""
TRIED_FRACTION = 0.5
"""Fraction of its time for the trainings that validation judges; what is kept may be trained again on all data."""
MARGIN = 1.1
"""Safety factor for the time of another fold."""
LEAST_EPOCHS = 2.0
"""Epochs below which a fine-tuning is not started."""
ALL_DATA = "all_data"
"""Name of the folder of the training on all data."""
JUDGED_S = 10.0
"""Seconds for the comparison on validation."""


@STAGES.register(FINE_TUNE)
class FineTune(Stage):
    """Tries the recipes in `fine_tuning` from the winner's network, and keeps the best one if it gains enough.

    Each is trained like the winner, without its validation items, and compared with it on them, item by item; with
    cross-validation on further folds, as long as a gain may be noise. The last epoch counts, since choosing one on
    validation would look like a gain. What is kept is trained again from the refit's network if that has learned
    from the validation items too.
    """

    place = 35

    def wanted(self, run: Run) -> bool:
        """Return whether there are recipes, and time for them."""
        if not run.config.fine_tuning.recipes:
            return False
        return run.config.budget.time is None or self.seconds(run) > 0

    def seconds(self, run: Run) -> float:
        """Return a fraction of what the search of heads does not need."""
        return FRACTION * max(0.0, (run.config.budget.time or 0.0) - FREE_S)

    def inputs(self, run: Run) -> Any:
        """Return the recipes and the winner."""
        best = winner(run).first
        return {
            "recipes": run.config.fine_tuning.model_dump(mode="json"),
            "winner": best.params,
            "on": run.config.refit.data,
        }

    def is_intact(self, run: Run, result: Any) -> bool:
        """Return whether the kept network exists; recipes without time, or with a mistake, are tried again."""
        # Earlier versions call it `short_of_time`.
        if not isinstance(result, dict) or result.get("again") or result.get("short_of_time"):
            return False
        return result["kept"] is None or run.folder.inside(result["kept"]).weights.is_file()

    def outputs(self, run: Run) -> Iterable[Path]:
        """Return nothing: which files there are depends on the result."""
        del run
        return ()

    def work(self, run: Run, until: float | None) -> dict[str, Any]:
        """Return what each recipe gained, and the folder of the network that is kept."""
        chosen = winner(run)
        best = best_run(run, chosen)
        result: dict[str, Any] = {"kept": None, "gains": {}, "again": False}
        if best is None:
            return result
        start = run.folder.trial(best.number)
        gains: dict[str, GainResult] = {}
        recipes = run.config.fine_tuning.recipes
        for number, options in enumerate(recipes):
            try:
                share = _share(run, until, len(recipes) - number)
                gains[options.name] = self._judged(run, options, start, share)
            except (MachineError, OutputError):
                raise
            except AutoMLError as error:
                result["again"] |= _is_worth_another_try(error, until)
                run.observer.on_message(f"fine-tuning by {options.name} was not possible: {error}")
        result["gains"] = {name: gain.model_dump(mode="json") for name, gain in gains.items()}
        name = max(gains, key=lambda name: gains[name].gain, default=None)
        if name is None or not self._convinces(run, name, gains[name]):
            return result
        options = next(item for item in recipes if item.name == name)
        try:
            result["kept"] = run.folder.relative(self._final(run, options, until))
        except (MachineError, OutputError):
            raise
        except AutoMLError as error:
            result["again"] |= _is_worth_another_try(error, until)
            run.observer.on_message(
                f"fine-tuning by {name} on all data was not possible: {error}; the network before it is exported"
            )
        return result

    def _convinces(self, run: Run, name: str, found: GainResult) -> bool:
        kept = found.convinces(run.config.fine_tuning.standard_errors)
        run.observer.on_message(
            f"fine-tuning by {name}: {found.metric} on {found.items} validation items {found.before:.4f} -> "
            f"{found.after:.4f}, standard error of the difference {found.standard_error:.4f}; "
            f"{'kept' if kept else 'not kept: that is within the noise' if found.gain > 0 else 'not kept'}"
        )
        return kept

    def _judged(self, run: Run, options: PluginConfig, start: RunFolder, within_s: float | None) -> GainResult:
        """Return what a recipe gains on the winner's validation items, and on those of the other folds if there is
        doubt and time."""
        until = _end_of(within_s)
        began, fold, folds = time.monotonic(), read_record(start).fold, run.config.data.folds
        found = [self._tried(run, options, start, run.folder.fine_tuned(options.name), fold, within_s)]
        took = MARGIN * (time.monotonic() - began)
        for other in range(folds if isinstance(folds, int) and fold is not None else 0):
            if other == fold or not _is_in_doubt(run, found):
                continue
            if until is not None and _left(until) < took:
                break
            head = run.folder.fine_tuned(f"{options.name}_head_{other}")
            folder = run.folder.fine_tuned(f"{options.name}_fold_{other}")
            try:
                self._train_head(run, read_run_config(start.config), head, other, until)
                if until is not None and _left(until) < took:
                    break
                left = None if until is None else _left(until)
                found.append(self._tried(run, options, head, folder, other, left))
            except TrialError as error:
                # What the folds before say remains, and that is in doubt.
                run.observer.on_message(f"fine-tuning by {options.name} on fold {other} was not possible: {error}")
                break
        return pooled(found)

    def _train_head(self, run: Run, config: RunConfig, folder: RunFolder, fold: int, until: float | None) -> None:
        """Train the winner's configuration for another fold; with a frozen backbone on features that exist.

        A network with fewer epochs would be easier to improve: TrialError if not all fit in before `until`.
        """
        changes = {"data": config.data.model_copy(update={"fold": fold}), "output": readable(folder.path.resolve())}
        config = config.model_copy(update=changes)
        folder.write_config(config, clear=True)
        within_s, epochs = None if until is None else _left(until), config.training.epochs
        request = TrainRequest(config, folder.path, run.shared, within_s=within_s, least_epochs=epochs, alone=True)
        job = job_of("train", request, folder.log("train"), run.config)
        call(run.executor, job, TrainResult, run.observer.job(f"training the winner for fold {fold}"), until)

    def _tried(
        self,
        run: Run,
        options: PluginConfig,
        start: RunFolder,
        folder: RunFolder,
        fold: int | None,
        within_s: float | None,
    ) -> GainResult:
        until = _end_of(None if within_s is None else within_s + JUDGED_S)
        old = read_run_config(start.config)
        config = fine_tuned_config(run.config, old, options, start, folder, fold=fold)
        self._train(run, config, folder, "train", within_s)
        request = GainRequest(read_run_config(folder.config), folder.path, old, start.path)
        job = job_of("gain", request, folder.log("gain"), run.config)
        return call(run.executor, job, GainResult, run.observer.job("comparing on validation"), until)

    def _final(self, run: Run, options: PluginConfig, until: float | None) -> RunFolder:
        """Return the folder of the network to export: from all data where the refit has learned from all."""
        if run.config.refit.data == "train" or refit_of(run) is None:
            return run.folder.fine_tuned(options.name)
        start, folder = run.folder.refit, run.folder.fine_tuned(ALL_DATA)
        old = read_run_config(start.config)
        config = fine_tuned_config(run.config, old, options, start, folder, fold=None)
        left = None if until is None else _left(until)
        self._train(run, config, folder, "train+validation", left)
        return folder

    def _train(
        self, run: Run, config: RunConfig, folder: RunFolder, on: Any, within_s: float | None
    ) -> TrainResult:
        folder.write_config(config, clear=True)
        epochs = config.training.epochs
        shown = run.observer.job(f"fine-tuning the whole network ({folder.path.name})", epochs)
        until = _end_of(within_s)

        def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
            shown(epoch, metrics)
            # The training itself ends in time; see `TimeLimit`.
            return until is None or time.monotonic() < until

        tuned = None if on == "train" else tuned_task(run, winner(run).first)
        request = TrainRequest(
            config, folder.path, run.shared, on, tuned, within_s, LEAST_EPOCHS, whole=True, alone=True, keep="last"
        )
        job = job_of("train", request, folder.log("train"), run.config)
        return call(run.executor, job, TrainResult, on_report, until)


def fine_tuned_config(
    search: RunConfig,
    old: RunConfig,
    options: PluginConfig,
    start: RunFolder,
    folder: RunFolder,
    *,
    fold: int | None,
) -> RunConfig:
    """Return the configuration of a training of the network in `start`, whose own is `old`, by a recipe."""
    recipe = RECIPES[options.name](options)
    data = old.data.model_copy(
        update={
            "augment": with_paths(search.fine_tuning, absolute_path).augment,
            "fold": fold,
            "folds": None if fold is None else old.data.folds,
        }
    )
    changes = {
        "output": readable(folder.path.resolve()),
        "data": data,
        "model": recipe.model(old.model, absolute_path(readable(start.path))),
        # The time for this training has nothing to do with that of the trial.
        "training": recipe.training(with_all_steps(old, search).training),
    }
    return validate(RunConfig, old.model_copy(update=changes).as_dict())


def _is_in_doubt(run: Run, found: list[GainResult]) -> bool:
    """Return whether there is a gain that may be noise."""
    whole = pooled(found)
    return whole.gain > 0 and not whole.convinces(run.config.fine_tuning.standard_errors)


def pooled(found: Sequence[GainResult]) -> GainResult:
    """Return the gain over the items of several folds, which are different items: means by their number."""
    items = [item.items for item in found]
    total = sum(items)

    def mean(name: str) -> float:
        return sum(count * getattr(item, name) for count, item in zip(items, found, strict=True)) / total

    squares = sum((count * item.standard_error) ** 2 for count, item in zip(items, found, strict=True))
    return GainResult(
        metric=found[0].metric,
        before=mean("before"),
        after=mean("after"),
        gain=mean("gain"),
        standard_error=squares**0.5 / total,
        items=total,
    )


def _is_worth_another_try(error: AutoMLError, until: float | None) -> bool:
    """Return whether the next start may do better: with more time, or with a mistake mended."""
    return until is not None or not isinstance(error, TrialError)


def _end_of(within_s: float | None) -> float | None:
    return None if within_s is None else time.monotonic() + within_s


def _left(until: float) -> float:
    return until - time.monotonic()


def _share(run: Run, until: float | None, recipes: int) -> float | None:
    """Return the seconds for the next of several recipes; some are left for the training on all data."""
    if until is None:
        return None
    tried = 1.0 if run.config.refit.data == "train" else TRIED_FRACTION
    return max(0.0, tried * _left(until) / recipes - JUDGED_S)


def validation_of(run: Run) -> dict[str, float]:
    """Return the metrics of the kept recipe on validation, before its network learned from that too."""
    result = run.results.get(FineTune.name) or {}
    gains = {name: validate(GainResult, gain) for name, gain in result.get("gains", {}).items()}
    name = max(gains, key=lambda name: gains[name].gain)
    try:
        found = read_record(run.folder.fine_tuned(name)).metrics
    except AutoMLError:
        return {}
    known = {key: found[key] for key in run.config.epoch_metrics() if key in found}
    return {**known, gains[name].metric: gains[name].after}
