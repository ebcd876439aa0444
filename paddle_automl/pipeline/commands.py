"""The commands besides the search: train, export, compress, dry run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from paddle_automl.compression.config import CompressionConfig
from paddle_automl.core import signals
from paddle_automl.core.errors import ConfigError, InterruptedRunError
from paddle_automl.core.files import make_output_folder
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.partial import delete_partial_folders
from paddle_automl.core.paths import located
from paddle_automl.core.schema import Section
from paddle_automl.pipeline.candidates import corners, covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.jobs.check import CheckRequest, CheckResult
from paddle_automl.pipeline.jobs.compress import CompressRequest, CompressResult
from paddle_automl.pipeline.jobs.export import ExportRequest
from paddle_automl.pipeline.jobs.timing import TimeRequest, TimeResult
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.place import LockedFolder, place_of_bundle
from paddle_automl.pipeline.runs.sources import LEARNED_VALIDATION, TrainedRun, best_trials, open_run
from paddle_automl.pipeline.settling import settled
from paddle_automl.pipeline.space import baseline_of, make_space
from paddle_automl.pipeline.stages.estimates import EXPORT_S, LARGEST_FRACTION, REPORT_S, most_epochs
from paddle_automl.pipeline.training import TrainingOutcome, train_run
from paddle_automl.search.executors.base import Executor, Job
from paddle_automl.space import Params, SearchSpace

__all__ = [
    "CompressFile",
    "DryRun",
    "TrainingOutcome",
    "compress_job",
    "compress_run",
    "dry_run",
    "export_run",
    "train_run",
    "what_fits",
]


class CompressFile(Section):
    """The configuration of a compression; data, network and recipe come from the run."""

    compression: CompressionConfig = CompressionConfig()
    """The chain of steps and its gates."""


@dataclass(frozen=True)
class DryRun:
    """Facts about a search before any trial."""

    times: TimeResult
    """The data, and the times of the smallest and the largest candidate."""
    size: int | None
    """Number of configurations in the space; None: infinitely many."""
    decisions: int
    """Number of decisions of the space."""
    fits: str
    """A sentence about how many trials fit into the budget."""


def export_run(
    path: str | Path,
    target: Path | None = None,
    observer: Observer | None = None,
    formats: Sequence[str] | None = None,
) -> BundleResult:
    """Export a run or a trial to a bundle, by default its ``model`` folder, and compare the two.

    `formats` are further formats instead of those in the run's own `deployment.formats`.
    """
    run = open_run(path)
    config = run.config
    if formats is not None and config.compression.in_trials:
        raise ConfigError(
            f"--formats: {path} was compressed in its training, which also made its formats; train it again with "
            "other deployment.formats"
        )
    if formats is not None:
        config = validate(RunConfig, with_overrides(config.as_dict(), {"deployment.formats": list(formats)}))
    given = RunFolder(located(path))
    if target is None and given.is_search:
        raise ConfigError(
            f"{path}: holds the exported and tested model of its search ({given.bundle.name}); "
            "to export it once more, name another folder with --to"
        )
    learned, bundle = run.learned_validation, target or given.bundle
    request = ExportRequest(
        config,
        run.folder.path,
        bundle,
        shared_of(config),
        test=False,
        validation={} if learned else None,
        note=LEARNED_VALIDATION if learned else "",
        rejection_s=config.deployment.rejection.training_s,
    )
    observer = observer or Observer()
    job = job_of("export", request, run.folder.path / "export.log", config)
    with (
        _interruptible(f"nothing in '{bundle}' was changed"),
        place_of_bundle(bundle, "an export"),
        start_executor(config, workers=1, caching=False) as executor,
        observer,
    ):
        display = observer.job("exporting and comparing with the trained network")
        return call(executor, job, BundleResult, display)


def compress_run(
    config: CompressFile, path: str | Path, target: Path | None = None, observer: Observer | None = None
) -> CompressResult:
    """Compress a run or a search's result into bundles below `target` (by default its ``compressed`` folder).

    Raises ConfigError for a chain without steps or for options that do not fit the network.
    """
    if not config.compression.chain():
        raise ConfigError("compression.steps: is empty; name at least one step, such as quantize_post")
    stable_hashing()
    run, given = open_run(path), RunFolder(located(path))
    folder = target or given.compressed.path
    observer = observer or Observer()
    # What is made of a run belongs to its folder.
    with (
        _interruptible(f"complete bundles in '{folder}' are kept"),
        LockedFolder(folder if target else given.path, "a compression"),
    ):
        make_output_folder(folder)
        delete_partial_folders(folder)
        job = compress_job(run, given, folder.resolve(), config.compression)
        with start_executor(run.config, workers=1, caching=False) as executor, observer:
            return call(executor, job, CompressResult, observer.job("compressing"))


def compress_job(
    run: TrainedRun, given: RunFolder, target: Path, chain: CompressionConfig, within_s: float | None = None
) -> Job:
    """Return the job that compresses `run` into `target`; `given` is the folder that was named (or its search).

    `within_s`: see `CompressRequest`.
    """
    trials = best_trials(given.path, run.config.epoch_metric())
    request = CompressRequest(
        run.config,
        chain,
        run.folder.path,
        target,
        shared_of(run.config),
        tuple(trial.path for trial in trials),
        within_s,
    )
    return job_of("compress", request, target / "compression.log", run.config)


@contextmanager
def _interruptible(kept: str) -> Iterator[None]:
    """Say after a signal what is `kept`."""
    with signals.as_ctrl_c():
        try:
            yield
        except KeyboardInterrupt:
            raise InterruptedRunError(f"{signals.how()}; {kept}") from None


def dry_run(config: RunConfig, *, fresh: bool = False) -> DryRun:
    """Check a search without running a trial, and time its smallest and largest candidates.

    `fresh`: the search will not continue an earlier one in its folder.
    """
    space = make_space(config)
    # With as many workers as the search, so that the candidates get as many threads as trials.
    folder = config.folder
    # An output folder among the class folders is known by its lock as none of them.
    empty = folder.is_dir() and not any(folder.iterdir())
    with (
        LockedFolder(folder, "a dry run") if empty else nullcontext(),
        start_executor(config, caching=False) as executor,
        tempfile.TemporaryDirectory() as scratch,
    ):
        config = settled(config, executor, searching=True, fresh=fresh)
        baseline = baseline_of(config, space)
        found = [*covering(config, space, baseline or {}), *corners(config, space)]
        candidates, shared = tuple((item.label, item.config) for item in found), shared_of(config)
        workers, log = executor.capacity().workers, Path(scratch) / "dry_run.log"
        call(executor, job_of("check", CheckRequest(config, candidates, shared), log, config), CheckResult)
        times = call(executor, job_of("timing", TimeRequest(config, candidates, shared), log, config), TimeResult)
        reserved_s = _reserved(config, space, baseline, executor)
    fits = what_fits(config, workers, times.smallest.trial_s, times.largest.trial_s, reserved_s)
    return DryRun(times, space.size(), len(space.decisions), fits)


def _reserved(config: RunConfig, space: SearchSpace, baseline: Params | None, executor: Executor) -> float:
    """Return the seconds that a search keeps back for the stages after its trials, but for the refit."""
    # Only here: other commands have no study, and should not load what it needs.
    from paddle_automl.pipeline.stages.base import Deadline
    from paddle_automl.pipeline.stages.run import Run

    folder, deadline = RunFolder(config.folder), Deadline(config.budget.time)
    run = Run(config, folder, Observer(), deadline, space, baseline, [], None, None, executor, [])
    trials = next(stage for stage in run.stages if stage.name == "search")
    return sum(seconds for name, seconds in run.reserved(trials).items() if name != "refit")


def what_fits(
    config: RunConfig, workers: int, fastest_s: float, slowest_s: float, reserved_s: float = EXPORT_S + REPORT_S
) -> str:
    """Return a sentence about how many trials fit into the budget, or how long the trials take without one.

    Trials take between `fastest_s` and `slowest_s`; `reserved_s` are for the stages after the refit.
    """
    trials = config.search.trials
    if config.budget.time is None:
        least, most = (trials * seconds / workers for seconds in (fastest_s, slowest_s))
        return f"{trials} trials with {workers} worker(s) take between {least:.0f} s and {most:.0f} s"
    recipe = config.training
    epochs = most_epochs(config) if config.refit.epochs == "auto" else config.refit.epochs or recipe.epochs
    # A refit trains one network.
    ratio = epochs / recipe.progressive.whole_epochs(recipe.epochs) / config.data.networks
    fit = []
    for seconds in (slowest_s, fastest_s):
        refit_s = min(ratio * seconds, LARGEST_FRACTION * config.budget.time)
        left = max(0.0, config.budget.time - reserved_s - refit_s)
        fit.append(int(left * workers / seconds) if seconds else trials)
    low, high = min(fit[0], trials), min(fit[1], trials)
    return (
        f"between {low} and {high} of the {trials} trials fit into {config.budget.time:.0f} s "
        f"with {workers} worker(s), more if a scheduler stops weak ones early"
    )
