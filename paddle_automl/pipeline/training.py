"""The command `train`: one training. Earlier results in its folder are kept until the new ones are complete."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from paddle_automl.core import signals
from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import InterruptedRunError, OutputError
from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import call, job_of, shared_of, start_executor
from paddle_automl.pipeline.jobs.newcomers import LOSS
from paddle_automl.pipeline.jobs.train import TrainRequest, TrainResult
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.progress.visualdl_log import VisualDLLog
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.place import LockedFolder
from paddle_automl.pipeline.runs.trials import needed_paths, standalone
from paddle_automl.pipeline.settling import settled
from paddle_automl.search.executors.base import Executor


class TrainingOutcome(TrainResult):
    """Result of a training, and its folder."""

    folder: Path
    """Folder with the weights."""


def train_run(
    config: RunConfig,
    observer: Observer | None = None,
    *,
    fresh: bool = False,
    grows: Path | None = None,
    on: Literal["train", "train+validation"] = "train",
    old_loss: float = LOSS,
) -> TrainingOutcome:
    """Train the values of a configuration itself into its output folder; raises TrialError if it diverges.

    An earlier training in the folder, finished or not, is kept unchanged until this one is complete; then its
    folder is renamed. With `fresh` a folder with other content, such as a search, is renamed in the same way.
    `grows`, `on` and `old_loss`: see `TrainRequest`.
    """
    stable_hashing()
    observer = observer or Observer()
    with signals.as_ctrl_c(), LockedFolder(config.folder, "a training") as place:
        _refuse_others(place, fresh=fresh)
        earlier = not place.is_empty
        if earlier:
            place.check_movable(needed_paths(config))
        training = _Training(place, observer, earlier, grows, on, old_loss)
        try:
            with start_executor(config, workers=1) as executor, observer:
                result = training.run(config, executor)
        except KeyboardInterrupt:
            raise InterruptedRunError(f"{signals.how()}; {training.kept}") from None
    return TrainingOutcome(folder=place.folder.path, **vars(result))


def _refuse_others(place: LockedFolder, *, fresh: bool) -> None:
    folder = place.folder
    if folder.search is not None or (folder.is_search and not fresh):
        hint = "" if folder.search is not None else ", or rename it with --fresh"
        raise OutputError(
            f"output: '{shown(folder.path)}' belongs to a search, whose results this training would overwrite; "
            f"set another folder with -o output=PATH{hint}"
        )
    if not fresh:
        place.refuse_strangers((folder.metrics, folder.weights, folder.result), "training")


class _Training:
    """One training into the folder `place`; with an `earlier` training there, first into a new folder beside it."""

    def __init__(
        self,
        place: LockedFolder,
        observer: Observer,
        earlier: bool,
        grows: Path | None,
        on: Literal["train", "train+validation"],
        old_loss: float,
    ) -> None:
        self.place = place
        self.grows = grows
        self.on = on
        self.old_loss = old_loss
        self.observer = observer
        self.earlier = earlier
        self.kept = "nothing was written" + (f"; '{place.folder.path}' is unchanged" if earlier else "")

    @property
    def _log(self) -> Path:
        """The log file; it stays in the output folder if the training fails."""
        return self.place.folder.log("training" if self.earlier else "train")

    def run(self, config: RunConfig, executor: Executor) -> TrainResult:
        """Train; return the result. An interrupted training keeps the weights of its best epoch so far."""
        config = settled(config, executor)
        if not self.earlier:
            return self._into(self.place.folder, config, executor)
        with self.place.successor() as scratch:
            try:
                result = self._into(RunFolder(scratch), config, executor)
            except KeyboardInterrupt:
                self._keep_unfinished(RunFolder(scratch))
                raise
            shutil.move(self._log, RunFolder(scratch).log("train"))
            aside = self.place.take_over(scratch)
        self.observer.on_message(f"the earlier results in '{self.place.folder.path}' are now in '{aside}'")
        return result

    def _into(self, folder: RunFolder, config: RunConfig, executor: Executor) -> TrainResult:
        own = validate(RunConfig, standalone(config, self.place.folder.path))
        request = TrainRequest(
            own,
            folder.path,
            shared_of(config),
            self.on,
            whole=True,
            grows=self.grows,
            alone=True,
            old_loss=self.old_loss,
        )
        job = job_of("train", request, self._log, config)
        display = self.observer.job("training", config.training.epochs)

        def begun() -> None:
            # Only now: a folder without results gets no configuration.
            if not folder.config.exists():
                folder.write_config(own)
                if not self.earlier:
                    self.kept = f"the best epoch so far is kept in '{folder.path}'"

        with _epoch_log(config, folder) as write:

            def on_report(epoch: int, metrics: Mapping[str, float]) -> bool:
                begun()
                display(epoch, metrics)
                write(epoch, metrics)
                return True

            result = call(executor, job, TrainResult, on_report)
        begun()
        return result

    def _keep_unfinished(self, folder: RunFolder) -> None:
        if folder.weights.exists():
            kept = self.place.keep_beside(folder.path)
            self.kept = f"'{self.place.folder.path}' is unchanged, and the best epoch so far is kept in '{kept}'"


@contextmanager
def _epoch_log(config: RunConfig, folder: RunFolder) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Provide the function that writes an epoch's metrics to VisualDL; it does nothing if `visualdl` is off."""
    if not config.visualdl:
        yield lambda epoch, metrics: None
        return
    logs, name = VisualDLLog(folder.path), folder.visualdl.name
    logs.open(name)
    try:
        yield lambda epoch, metrics: logs.write(name, epoch, metrics)
    finally:
        logs.close_all()
