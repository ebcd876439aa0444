"""A whole search: check, trials, last training, export with proof, pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import ConfigError, InterruptedRunError, SearchFailedError
from paddle_automl.core.files import write_json, write_text
from paddle_automl.core.paths import located
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.pipeline.candidates import covering
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs import remote
from paddle_automl.pipeline.jobs.base import call
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.machine import start_executor
from paddle_automl.pipeline.progress import plots
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.progress.summary import describe_choices, summary_of
from paddle_automl.pipeline.progress.visualdl_log import VisualDLLog
from paddle_automl.pipeline.runs.folder import STUDY_FILE, open_folder, remember_data
from paddle_automl.pipeline.runs.keeping import CheckpointKeeper
from paddle_automl.pipeline.runs.trials import (
    ALONE_FOLDER,
    CONFIG_FILE,
    LOG_FILE,
    identity,
    payload_of,
    trial_config,
    trial_folder,
    write_config,
)
from paddle_automl.pipeline.space import baseline_of, make_space
from paddle_automl.pipeline.stages.clock import GRACE_S, Clock
from paddle_automl.pipeline.stages.finishing import Finish
from paddle_automl.search.configurations import Configuration
from paddle_automl.search.controllers.base import CONTROLLERS, Controller
from paddle_automl.search.coordinator import Coordinator
from paddle_automl.search.executors.base import Executor, Job
from paddle_automl.search.limits import Ending, Limits
from paddle_automl.search.listener import Listener
from paddle_automl.search.objective import curve_objective, excess_of
from paddle_automl.search.records import TrialRecord
from paddle_automl.search.schedulers.base import SCHEDULERS, Scheduler
from paddle_automl.search.study import Study
from paddle_automl.search.warm_start import first_proposals
from paddle_automl.space import Params

LEADERS = 3
"""Best trials from whose epochs the time of the last training is estimated: the winner is likely among them."""
EPOCHS_KEY = "training.epochs"
logger = logging.getLogger(__name__)


class SearchRun:
    """One search in its output folder; `run` does everything and may be repeated: what is done stays done."""

    def __init__(self, config: RunConfig, observer: Observer | None = None) -> None:
        self.config = config
        self.observer = observer or Observer()
        self.clock = Clock(config)
        self.space = make_space(config)
        self.baseline = baseline_of(config, self.space)
        self.logs = VisualDLLog(config.folder / "visualdl", self.space) if config.visualdl else None
        self.candidates = covering(config, self.space, self.baseline or {})

    def run(self, fresh: bool = False) -> SearchResult:
        """Search, train the winner once more, test it once, export and prove it.

        Raises ConfigError, DataError, StudyError or OutputError before the first trial; SearchFailedError
        where no trial is usable; InterruptedRunError after Ctrl-C, with what is finished kept.
        """
        stable_hashing()
        folder = open_folder(self.config.folder, fresh)
        # Before the study is made: with a mistake in its warm start there is to be none.
        first = [] if (folder / STUDY_FILE).exists() else self._from_other_studies()
        with self._open_study(folder) as study:
            if study.resumed and not study.records():
                first = self._from_other_studies()
            write_text(folder / CONFIG_FILE, dump_yaml(self.config.as_dict()))
            with start_executor(self.config) as executor, self.observer:
                try:
                    facts = self._check(executor, study)
                    ending = self._search(executor, study, first)
                    found = study.configurations()
                    best = self._best(found)
                    finish = Finish(self.config, self.clock, executor, self.observer, self.space, self.logs)
                    final, source, bundle = finish.run(best)
                except KeyboardInterrupt:
                    raise self._interrupted() from None
                finally:
                    if self.logs is not None:
                        self.logs.close_all()
            self._draw(study, best.first)
            result = SearchResult(
                output=folder,
                ended=ending.message,
                best=best.first,
                best_config=finish.best_config(best.first),
                objectives=tuple(self.config.search.objectives),
                trials=tuple(study.records()),
                pareto=tuple(study.pareto()),
                configurations=tuple(found),
                source=source,
                final=final,
                bundle=bundle,
                data=facts,
                seconds=self.clock.passed,
                describe=self.describe,
            )
        write_json(folder / "summary.json", summary_of(result))
        for decoded in (folder / "cache").glob("*.npy"):
            # Decoded images can be large, one file for each size that was searched.
            decoded.unlink(missing_ok=True)
        return result

    def describe(self, record: TrialRecord) -> str:
        """Return a trial's choices as a short text."""
        text = describe_choices(self.space.overrides(record.params))
        if record.repeat_of is not None:
            text = f"trial {record.repeat_of} again, repeat {record.repeat}: {text}"
        return f"{text} (from another search)" if record.warm_start else text

    def _open_study(self, folder: Path) -> Study:
        return Study.open(
            folder / STUDY_FILE,
            space=self.space,
            objectives=self.config.search.objectives,
            identity=identity(self.config),
        )

    def _from_other_studies(self) -> list[Params]:
        """Return what the searches of search.warm_start suggest to try first."""
        search = self.config.search
        files = {name: located(name) / STUDY_FILE for name in search.warm_start}
        for name, file in files.items():
            if file.resolve() == (self.config.folder / STUDY_FILE).resolve():
                raise ConfigError(f"search.warm_start: '{name}' is the output folder of this search itself")
        if not files:
            return []
        return first_proposals(files, self.space, search.objectives, search.trials, self.baseline or {})

    def _check(self, executor: Executor, study: Study) -> dict[str, Any]:
        """Build every option once, and compare the data with that of the study's trials."""
        on_report = self.observer.job(f"checking the data and {len(self.candidates)} options")
        payload = payload_of(self.config, self.config)
        payload["candidates"] = [[item.label, item.config.as_dict()] for item in self.candidates]
        log = self.config.folder / "logs" / "check.log"
        facts = call(executor, remote.check, payload, log, on_report)
        remember_data(self.config.folder, facts, bool(study.records()))
        for note in facts.pop("notes"):
            self.observer.on_message(note)
        if self.baseline is None:
            self.observer.on_message("search.space: auto does not hold the configuration's own values: no baseline")
        for file, reason in facts["skipped_files"]:
            self.observer.on_message(f"left out: {file}: {reason}")
        return facts

    def _search(self, executor: Executor, study: Study, first: Sequence[Params]) -> Ending:
        config = self.config.search
        limits = Limits(
            trials=config.trials,
            deadline=self.clock.trials_end(),
            stop_after=config.stop_after,
            max_failures=config.max_failures,
            grace_s=GRACE_S,
            repeats=config.final_repeats,
        )
        keeper = CheckpointKeeper(self.config, study, limits.planned)
        listeners: list[Listener] = [self.observer, keeper]
        if self.logs is not None:
            listeners.append(self.logs)
        coordinator = Coordinator(
            study,
            self._controller(limits),
            self._scheduler(),
            executor,
            self._make_job,
            limits=limits,
            listeners=listeners,
            baseline=self.baseline,
            first=first,
        )
        coordinator.listeners += (_Deadline(coordinator, self.clock, study),)
        self.observer.plan(study.records(), self.describe, self._time_left)
        ending = coordinator.run()
        if ending.reason == "interrupted":
            raise KeyboardInterrupt
        keeper.close()
        return ending

    def _controller(self, limits: Limits) -> Controller:
        search = self.config.search
        options: Any = search.controller
        controller = CONTROLLERS[options.name](
            options, space=self.space, objectives=search.objectives, seed=self.config.seed
        )
        controller.planned = limits.trials - limits.planned
        controller.cost_aware = search.cost_aware
        return controller

    def _scheduler(self) -> Scheduler:
        options = self.config.search.scheduler
        varied = [decision for decision in self.space.decisions if decision.key == EPOCHS_KEY]
        most = [int(str(decision.domain.ends()[1])) for decision in varied] or [self.config.training.epochs]
        return SCHEDULERS[options.name](options, epochs=max(most))

    def _make_job(self, record: TrialRecord) -> Job:
        folder = trial_folder(self.config, record.number)
        config = trial_config(self.config, self.space, record.params, folder / ALONE_FOLDER, record.repeat)
        folder.mkdir(parents=True, exist_ok=True)
        write_config(config, folder)
        return Job(
            remote.train,
            payload_of(self.config, config, folder=folder),
            folder / LOG_FILE,
            timeout_s=self.config.search.trial_timeout_s,
            memory_mb=self.config.search.trial_memory_mb,
            epochs=config.training.epochs,
            provisional=config.compression.in_trials,
        )

    def _time_left(self) -> float | None:
        end = self.clock.trials_end()
        return None if end is None else end - self.clock.started - self.clock.passed

    def _best(self, found: Sequence[Configuration]) -> Configuration:
        nearest, objectives = found[0], self.config.search.objectives
        if excess_of(nearest.values, objectives) == 0:
            return nearest
        wanted = ", ".join(f"{o.metric} {o.limit:g}" for o in objectives if o.limit is not None)
        got = ", ".join(f"{o.metric} {value:.4g}" for o, value in zip(objectives, nearest.values, strict=True))
        raise SearchFailedError(
            f"search.objectives: no trial keeps the limits ({wanted}); the nearest is trial "
            f"{nearest.first.number} with {got}. Relax the limit, or raise search.trials, and run the same command "
            "again: finished trials stay"
        )

    def _draw(self, study: Study, best: TrialRecord) -> None:
        objective = self.config.search.objectives[0]
        metric = curve_objective(self.config.search.objectives).metric
        plots.plot_history(study.records(), objective, self.config.folder / "search_history.png")
        plots.plot_curves(study.records(), metric, best.number, self.config.folder / "learning_curves.png")

    def _interrupted(self) -> InterruptedRunError:
        return InterruptedRunError(
            f"interrupted; everything finished is kept in {self.config.folder}. "
            "The same command continues where it stopped"
        )


class _Deadline(Listener):
    """Moves the end of the trials as it becomes clearer what the last training will take."""

    def __init__(self, coordinator: Coordinator, clock: Clock, study: Study) -> None:
        self.coordinator, self.clock, self.study = coordinator, clock, study

    def on_end(self, record: TrialRecord) -> None:
        """Estimate anew."""
        self.clock.learn(self.study.ranking()[:LEADERS])
        self.coordinator.limits = replace(self.coordinator.limits, deadline=self.clock.trials_end())
