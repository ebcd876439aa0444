"""One search in its output folder: its stages in sequence, under one deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from paddle_automl.core import signals
from paddle_automl.core.errors import ConfigError, InterruptedRunError
from paddle_automl.core.paths import located
from paddle_automl.pipeline.candidates import CandidateConfig, covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, shared_of, start_executor
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.portfolio.applying import told
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.progress.summary import describe_trial
from paddle_automl.pipeline.progress.visualdl_log import VisualDLLog
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.place import LockedFolder
from paddle_automl.pipeline.runs.trials import identity, needed_paths
from paddle_automl.pipeline.settling import settled
from paddle_automl.pipeline.space import baseline_of, first_given, make_space
from paddle_automl.pipeline.stages.base import Deadline, Stage, in_order
from paddle_automl.pipeline.stages.estimates import Estimates
from paddle_automl.pipeline.stages.manifest import run_once
from paddle_automl.search.executors.base import Executor
from paddle_automl.search.records import TrialRecord
from paddle_automl.search.study import Study
from paddle_automl.search.warm_start import first_proposals
from paddle_automl.space import Params, SearchSpace

logger = logging.getLogger(__name__)


@dataclass
class Run:
    """State shared by the stages of one search; `results` and `took` (seconds) are by the stages' names.

    ``start`` in `took` is the time before the first stage. `opened` is the study; a new search has none before it
    has passed its check. `given` (by the configuration) and `first` (of other studies) are tried before all others.
    """

    config: RunConfig
    folder: RunFolder
    observer: Observer
    deadline: Deadline
    space: SearchSpace
    baseline: Params | None
    candidates: list[CandidateConfig]
    logs: VisualDLLog | None
    opened: Study | None
    executor: Executor
    first: list[Params]
    stages: list[Stage] = field(default_factory=in_order)
    results: dict[str, Any] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    make_study: Callable[[], Study] | None = None
    given: list[Params] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.estimates = Estimates(self.config)
        self.shared: Shared = shared_of(self.config)

    @property
    def study(self) -> Study:
        """The record of the trials."""
        assert self.opened is not None, "a new search has its study after the check"
        return self.opened

    def begin(self) -> None:
        """Create the study of a new search, and rename earlier results, now that all checks are passed."""
        if self.opened is None and self.make_study is not None:
            self.opened = self.make_study()
        self.folder.write_search(self.config)

    def go(self) -> None:
        """Run the wanted stages in their order."""
        self.took["start"] = self.deadline.passed
        for stage in self.stages:
            if stage.wanted(self):
                started = time.monotonic()
                self.results[stage.name] = self._result(stage)
                self.took[stage.name] = time.monotonic() - started

    def _result(self, stage: Stage) -> Any:
        inputs = stage.inputs(self)
        if inputs is None:
            return stage.work(self, self.until(stage))
        return run_once(
            self.folder.manifest(stage.name),
            inputs,
            lambda result: stage.is_intact(self, result),
            lambda: stage.work(self, self.until(stage)),
            lambda: stage.outputs(self),
        )

    def reserved(self, stage: Stage) -> dict[str, float]:
        """Return the seconds reserved for each wanted stage after `stage`."""
        later = [other for other in self.stages if (other.place, other.name) > (stage.place, stage.name)]
        return {other.name: other.seconds(self) for other in later if other.wanted(self)}

    def until(self, stage: Stage) -> float | None:
        """Return when `stage` must have ended, on the monotonic clock; None without a budget."""
        return self.deadline.before(sum(self.reserved(stage).values()))

    def describe(self, record: TrialRecord) -> str:
        """Return a trial's choices as a short text."""
        return describe_trial(record, self.space)


def run_search(
    config: RunConfig, observer: Observer | None = None, *, fresh: bool = False, started: float | None = None
) -> SearchResult:
    """Search, refit the winner, test it once, export and verify it, and compress it if configured.

    It may be called again: finished work is not repeated. With `fresh` the results of another search in the output
    folder are renamed as soon as this one can start its trials. `started`, on the monotonic clock, is the start of
    the budget. Raises ConfigError, DataError, StudyError or OutputError before the first trial; SearchFailedError
    if no trial is usable; InterruptedRunError after Ctrl-C, with finished work kept.
    """
    observer = observer or Observer()
    deadline = Deadline(config.budget.time, started)
    stable_hashing()
    make_space(config)
    with signals.as_ctrl_c():
        try:
            # Before the data are read: by its lock the folder is known as none of them.
            with LockedFolder(config.folder, "a search") as place, start_executor(config) as executor, observer:
                by_data = config.search.first == "auto"
                config = settled(config, executor, searching=True, fresh=fresh)
                observer.begin(config)
                if by_data:
                    observer.on_message(told(config))
                with begun(config, executor, observer, deadline, place=place, fresh=fresh) as run:
                    run.go()
                result: SearchResult = run.results["report"]
                return result
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"{signals.how()}; everything finished is kept in {config.folder}. "
                "The same command continues where it stopped"
            ) from None


@contextmanager
def begun(
    config: RunConfig,
    executor: Executor,
    observer: Observer,
    deadline: Deadline,
    *,
    place: LockedFolder | None = None,
    fresh: bool = False,
) -> Iterator[Run]:
    """Yield a search in its output folder (`place`), before its first stage; `config` is settled.

    Raises as `run_search` does before the first trial. A new search has its study, and an old folder is put aside,
    once the data and all options are checked (`Run.begin`).
    """
    space = make_space(config)
    baseline = baseline_of(config, space)
    candidates = covering(config, space, baseline or {})
    with ExitStack() as stack:
        place = place or stack.enter_context(LockedFolder(config.folder, "a search"))
        folder = place.folder
        if fresh and not place.is_empty:
            place.check_movable(needed_paths(config))
        elif not fresh:
            place.refuse_strangers([folder.study], "search")

        def make_study() -> Study:
            if fresh:
                aside = place.put_aside()
                if aside is not None:
                    observer.on_message(f"the earlier results in '{folder.path}' are now in '{aside}'")
            objectives, known = config.search.objectives, identity(config)
            found = Study.open(folder.study, space=space, objectives=objectives, identity=known)
            return stack.enter_context(found)

        study = make_study() if folder.study.exists() and not fresh else None
        # Before a study is made: with a mistake in its warm start there is to be none.
        known = study is not None and bool(study.records())
        first = [] if known else _from_other_studies(config, space, baseline)
        logs = VisualDLLog(folder.visualdl, space, config.epoch_metrics()) if config.visualdl else None
        if logs is not None:
            stack.callback(logs.close_all)
        run = Run(config, folder, observer, deadline, space, baseline, candidates, logs, study, executor, first)
        run.make_study = make_study
        run.given = [] if known else first_given(config, space)
        yield run


def _from_other_studies(config: RunConfig, space: SearchSpace, baseline: Params | None) -> list[Params]:
    """Return the configurations to try first, from the searches in search.warm_start."""
    search = config.search
    files = {name: RunFolder(located(name)).study for name in search.warm_start}
    for name, file in files.items():
        if file.resolve() == RunFolder(config.folder).study.resolve():
            raise ConfigError(f"search.warm_start: '{name}' is the output folder of this search itself")
    return first_proposals(files, space, search.objectives, search.trials, baseline or {}) if files else []
