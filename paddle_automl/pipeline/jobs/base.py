"""Common code of all jobs: starting an executor, calling a job, setting up a worker."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from paddle_automl.core import signals
from paddle_automl.core.errors import BundleError, DataError
from paddle_automl.core.log import configure_logging, is_told
from paddle_automl.core.schema import Section
from paddle_automl.data import remembering
from paddle_automl.data.config import DataConfig, absolute
from paddle_automl.data.prepare import PreparedData, prepare
from paddle_automl.data.remembering import Remembered
from paddle_automl.deployment.integrity import checked_labels
from paddle_automl.inputs.base import Input
from paddle_automl.models import kernels
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.paddle_compat.device import disable_signal_handler, set_device, set_threads
from paddle_automl.paddle_compat.signals import keep_own_handlers
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.warmup import PRELOAD
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.remembered import learned_before
from paddle_automl.pipeline.runs.trials import split_seed
from paddle_automl.search.constraints import Constraint
from paddle_automl.search.executors.base import EXECUTORS, Executor, Job, Worker, run_job
from paddle_automl.tasks.base import TASKS

R = TypeVar("R", bound=Section)
OnReport = Callable[[int, Mapping[str, float]], bool | None]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shared:
    """Data that all jobs of a search share; caches and locks are in the worker's folder (`Worker.scratch`)."""

    objectives: tuple[str, ...] = ()
    """Metrics that the search optimizes: metrics that take time to measure are measured only if they are among
    them."""
    constraints: tuple[Constraint, ...] = ()
    """Bounds of the search on the network itself; their metrics are measured too."""

    @property
    def measured(self) -> tuple[str, ...]:
        """Return the metrics of objectives and constraints."""
        return (*self.objectives, *(item.metric for item in self.constraints))


def shared_of(config: RunConfig) -> Shared:
    """Return the data that the jobs of a search, or of one training, share."""
    search = config.search if config.task is None else config.search.for_task(TASKS[config.task.name])
    return Shared(tuple(objective.metric for objective in search.objectives), search.constraints)


def start_executor(
    config: RunConfig, workers: int | Literal["auto"] | None = None, *, caching: bool = True
) -> Executor:
    """Start the executor of a command; by default with the number of workers of `search.workers`.

    A single job (`workers` 1) gets all cores. With `caching` decoded items are stored in the output folder.
    """
    keep_own_handlers()
    options: Any = config.search.executor
    made: Executor = EXECUTORS[options.name](
        options,
        workers=config.search.workers if workers is None else workers,
        device=config.device,
        scratch=RunFolder(config.folder.resolve()).cache if caching else None,
        preload=(PRELOAD,),
    )
    return made


def job_of(kind: str, request: Any, log_file: Path, config: RunConfig) -> Job:
    """Return the job for the function `run` of this package's module `kind`."""
    return Job(f"{__package__}.{kind}:run", request, log_file, plugins=config.plugins)


def call(
    executor: Executor, job: Job, result: type[R], on_report: OnReport | None = None, until: float | None = None
) -> R:
    """Run one job on an idle executor and return its typed result.

    Raises the error that the job raised, with its type; TimeUpError when `until`, on the monotonic clock, has
    passed and the job was killed; TrialError if its process died.
    """
    job.log_file.parent.mkdir(parents=True, exist_ok=True)
    return result.model_validate_json(json.dumps(dict(run_job(executor, job, on_report, until))))


def enter(worker: Worker) -> None:
    """Set up a worker's process: log, device, threads."""
    configure_logging()
    logging.getLogger("paddle_automl").addHandler(_Notes())
    disable_signal_handler()
    signals.ignore_in_child()
    set_threads(worker.threads)
    # The fast layers' threads spin while waiting: with two on a busy machine a step took eight times as long.
    kernels.set_threads(1)
    set_device(worker.device)
    logger.info("device %s, threads %s", worker.device, worker.threads)


class _Notes(logging.Handler):
    """Collects what this worker logs for the user, each once: it is shown, not only logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, logging.LogRecord] = {}

    def emit(self, record: logging.LogRecord) -> None:
        if is_told(record):
            self.texts[record.getMessage()] = record


def notes(of: str = "", *, least: int = logging.WARNING) -> tuple[str, ...]:
    """Return the warnings of this worker so far, those of one module alone where `of` names it.

    With `least` INFO also what else users should see once, such as the encoding of a file.
    """
    found = [handler for handler in logging.getLogger("paddle_automl").handlers if isinstance(handler, _Notes)]
    return tuple(
        text
        for handler in found
        for text, record in handler.texts.items()
        if of in ("", record.name) and record.levelno >= least
    )


def changes() -> tuple[str, ...]:
    """Return what this worker found changed in the data since a training."""
    return notes(remembering.__name__)


def load_data(
    config: RunConfig,
    worker: Worker,
    *,
    fold: int | None = None,
    remembered: Remembered | None = None,
    fitted_input: Input | None = None,
    others: Iterable[RunConfig] = (),
) -> PreparedData:
    """Return the prepared data of a configuration, with the cache of the worker; see `data.prepare.prepare`.

    With cross-validation `fold` is the one to validate on; None: the one of the configuration, or the usual split.
    Splits are drawn so that no network of `config`, or of `others` that share them, is judged on items that the
    network which it starts from has learned; those of a training's own list are so already.
    """
    data, cache_dir = with_fold(config, fold).data, worker.scratch
    drawn = remembered is None or remembered.role == "student"
    return prepare(
        data,
        task=config.task,
        seed=split_seed(config),
        cache_dir=cache_dir,
        remembered=remembered,
        learned=learned_before((config, *others)) if drawn else None,
        arrays=arrays_of(config),
        fitted_input=fitted_input,
    )


def arrays_of(config: RunConfig) -> tuple[str, ...] | None:
    """Return the names of the input's arrays that the network of a configuration takes; None: all of them."""
    backbone = config.model.backbone
    return BACKBONES[backbone.name].arrays(backbone)


def same_data(one: RunConfig, other: RunConfig) -> bool:
    """Return whether `load_data` returns the same for both configurations; augmentation comes later.

    That of a trial has the paths and the seed of its search in full (`standalone`).
    """

    def stated(config: RunConfig) -> tuple[DataConfig, tuple[str, ...] | None]:
        split = config.data.split.model_copy(update={"seed": split_seed(config)})
        return absolute(config.data).model_copy(update={"augment": (), "split": split}), arrays_of(config)

    return stated(one) == stated(other)


def check_names(data: PreparedData) -> None:
    """Raise DataError for a name that no bundle can hold, before anything is trained."""
    try:
        checked_labels(data.task.names)
    except BundleError as error:
        raise DataError(f"data: {str(error).partition(': ')[2]}") from None


def with_fold(config: RunConfig, fold: int | None) -> RunConfig:
    """Return the configuration of the network that was validated on a fold; for None the given configuration."""
    if fold is None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"fold": fold})})


def lock_of(worker: Worker) -> Path | None:
    """Return the file that is locked while times are measured, so that one process per machine does so."""
    if worker.scratch is None:
        return None
    os.makedirs(worker.scratch, exist_ok=True)
    return worker.scratch / "latency.lock"
