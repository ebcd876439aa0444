"""The stage that computes the features of frozen backbones, with all workers, before the trials use them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from paddle_automl.core.errors import ConfigError, TimeUpError
from paddle_automl.core.loading import validate
from paddle_automl.models.config import ModelConfig
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.feature_views import has_views
from paddle_automl.pipeline.frozen import backbone_key
from paddle_automl.pipeline.jobs.base import job_of
from paddle_automl.pipeline.jobs.features import FeaturesRequest, FeaturesResult
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import FINE_TUNE
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.executors.base import KILL_WAIT_S, Event, Executor, Failed, Finished, Job, Reported

OPTIONAL = {FINE_TUNE, "compress"}
"""Stages that improve a finished network, where time is left."""
VIEWS = 0.15
"""Fraction of the budget in which views of the items are computed, if `data.feature_views` wants some."""
SURE = 0.1
"""Fraction of the items whose time tells that of all."""
TOLERANCE = 1.2
"""How much longer than the time left all items may seem to take: the first ones include the start."""


@STAGES.register("features")
class Features(Stage):
    """Computes the features of frozen backbones once, each worker a part of the items.

    Trials would compute missing ones themselves, while others wait.
    """

    place = 15

    def wanted(self, run: Run) -> bool:
        """Return whether a trial can freeze its backbone."""
        return bool(_settings(run))

    def work(self, run: Run, until: float | None) -> None:
        """Compute and store the features of each backbone and input; raises ConfigError without time for it.

        Nothing is possible without them, so the time of stages that can be left out is theirs if need be.
        """
        if until is not None:
            until += sum(seconds for name, seconds in run.reserved(self).items() if name in OPTIONAL)
        settings = _settings(run)
        share = 1 / max(1, sum(map(has_views, settings)))
        for config in settings:
            started = time.monotonic()
            count = run.executor.capacity().workers
            views_s = None if until is None else share * self._views_s(run, until)
            jobs = [self._job(run, config, (number, count), views_s) for number in range(count)]
            shown = run.observer.job(f"computing the features of {_name(config.model)} once for each item")
            progress = _Progress(shown, count, until, views=_Views(run.observer))
            try:
                results = run_together(run.executor, jobs, progress.on_report, until)
            except TimeUpError:
                budget, seconds = run.config.budget.time or 0.0, time.monotonic() - started
                raise ConfigError(
                    f"budget.time: {budget:.0f} s are too short: {progress.done} of {progress.items} items had "
                    f"their features after {seconds:.0f} s, so all would take {progress.needed:.0f} s; raise it, "
                    "or use smaller items (data.input.size)"
                ) from None
            run.observer.on_message(
                f"features of {_name(config.model)} ({config.model.pretrained}): "
                f"{time.monotonic() - started:.0f} s{_views_told(config, results)}; trials only train heads"
            )

    @staticmethod
    def _views_s(run: Run, until: float) -> float:
        """Return the seconds for all views: less where the items themselves leave less."""
        return max(0.0, min(VIEWS * (run.config.budget.time or 0.0), (until - time.monotonic()) / 4))

    def _job(self, run: Run, config: RunConfig, part: tuple[int, int], views_s: float | None) -> Job:
        items = run.folder.splits if run.folder.splits.is_file() else None
        request = FeaturesRequest(config, part, items, views_s)
        return job_of("features", request, run.folder.log("features"), run.config)


@dataclass
class _Progress:
    """Items that are done in all of `count` parts, and whether the rest can be done until `until`."""

    shown: Callable[[int, Mapping[str, float]], None]
    count: int
    until: float | None
    started: float = field(default_factory=time.monotonic)
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)
    views: _Views | None = None

    @property
    def done(self) -> int:
        """Return the items that are done."""
        return sum(done for done, _ in self.parts.values())

    @property
    def items(self) -> int:
        """Return the items of the parts that have begun."""
        return sum(items for _, items in self.parts.values())

    @property
    def needed(self) -> float:
        """Return the seconds that all items need at the pace so far."""
        return (time.monotonic() - self.started) * self.items / max(self.done, 1)

    def on_report(self, part: int, done: int, metrics: Mapping[str, float]) -> None:
        """Show the progress of a part; raises TimeUpError as soon as the rest cannot be done in time."""
        if "views" in metrics:
            if self.views is not None:
                self.views.on_report(part, done, metrics)
            return
        self.parts[part] = (done, int(metrics["items"]))
        self.shown(self.done, {"items": self.items})
        measured = len(self.parts) == self.count and self.done > SURE * self.items
        if self.until is not None and measured and self.started + self.needed / TOLERANCE > self.until:
            raise TimeUpError("the time for the features is too short")


@dataclass
class _Views:
    """Items of the views that are done in all parts, a job of its own on the display."""

    observer: Observer
    shown: Callable[[int, Mapping[str, float]], None] | None = None
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def on_report(self, part: int, done: int, metrics: Mapping[str, float]) -> None:
        """Show the progress of a part."""
        if self.shown is None:
            self.shown = self.observer.job("computing the features of changed copies of the items")
        self.parts[part] = (done, int(metrics["items"]))
        done, items = (sum(numbers) for numbers in zip(*self.parts.values(), strict=True))
        self.shown(done, {**metrics, "items": items})


def run_together(
    executor: Executor,
    jobs: list[Job],
    on_report: Callable[[int, int, Mapping[str, float]], None],
    until: float | None,
) -> list[Any]:
    """Run as many jobs as the executor has workers, at the same time; `on_report(job, epoch, metrics)`.

    Returns the results of those that did not fail. Raises the error of the first that fails, and TimeUpError at
    `until`, on the monotonic clock; then the others are killed.
    """
    running: set[int] = set()
    results: list[Any] = []
    try:
        for number, job in enumerate(jobs):
            executor.submit(number, job)
            running.add(number)
        while running:
            left = 1.0 if until is None else min(1.0, until - time.monotonic())
            if left <= 0:
                raise TimeUpError("the time for the features was up")
            events = executor.poll(left)
            # All ends first: an end that is not noted before an error would be waited for.
            running -= _ended(events)
            for event in events:
                if isinstance(event, Reported):
                    on_report(event.id, event.epoch, event.metrics)
                    executor.reply(event.id, True)
                elif isinstance(event, Failed) and event.error is not None:
                    raise event.error
                elif isinstance(event, Finished):
                    results.append(event.result)
                # A part whose process died is computed again by the first trial.
        return results
    finally:
        for number in running:
            executor.kill(number, "cancelled")
        give_up = time.monotonic() + KILL_WAIT_S
        while running and time.monotonic() < give_up:
            running -= _ended(executor.poll(1.0))


def _ended(events: list[Event]) -> set[int]:
    return {event.id for event in events if not isinstance(event, Reported)}


def _views_told(config: RunConfig, results: list[Any]) -> str:
    """Return how many views there are, as a part of a sentence."""
    if not has_views(config):
        return ""
    views = min((validate(FeaturesResult, result).views for result in results), default=0)
    return f", with {views} of {config.data.feature_views.count} views of each item"


def _settings(run: Run) -> list[RunConfig]:
    """Return one configuration for each frozen backbone, input and kind of views that trials can choose.

    What is equal for several of them is computed for the first one.
    """
    found: dict[str, RunConfig] = {}
    for item in run.candidates:
        config = item.config
        if config.model.freeze is not None:
            views = config.data.feature_views.model_dump_json() if has_views(config) else ""
            found.setdefault(backbone_key(config.model) + config.data.input.model_dump_json() + views, config)
    return list(found.values())


def _name(model: ModelConfig) -> str:
    variant = getattr(model.backbone, "variant", "")
    return f"{model.backbone.name} {variant}".strip()
