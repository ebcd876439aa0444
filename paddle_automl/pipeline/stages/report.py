"""The end of a search: plots, the summary, the report, and the result for the caller."""

from __future__ import annotations

import time
from dataclasses import replace

from paddle_automl.core.errors import AutoMLError, TimeUpError
from paddle_automl.core.locking import LOCK, holder_of
from paddle_automl.core.partial import delete_partial_files, delete_partial_folders
from paddle_automl.core.program import command
from paddle_automl.pipeline.jobs.base import call, job_of
from paddle_automl.pipeline.jobs.report import ReportRequest, ReportResult
from paddle_automl.pipeline.progress import plots
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.progress.summary import write_summary
from paddle_automl.pipeline.report import network_config
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import winner
from paddle_automl.pipeline.stages.compress import compression_of
from paddle_automl.pipeline.stages.estimates import REPORT_S
from paddle_automl.pipeline.stages.export import bundle_of
from paddle_automl.pipeline.stages.refit import best_config, refit_of
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.reporting.words import language_of
from paddle_automl.search.objective import curve_objective

PAGE_S, PAGE_FRACTION = 6.0, 0.06
"""Seconds reserved for the report, and the largest fraction of the budget that is."""
LEAST_S = 1.5
"""Seconds below which the report is not begun."""
MARGIN_S = 2.0
"""Seconds between the end of the report, or its being killed, and the end of the budget: the command prints its
results, ends its processes and itself."""
LONGEST_S = 600.0
"""Seconds after which a report without a budget is given up: a plugin or a disk hangs."""


@STAGES.register("report")
class Report(Stage):
    """Draws the history and the learning curves, writes the summary and, if time is left, the report."""

    place = 90

    def seconds(self, run: Run) -> float:
        """Return the time for plots, and some for the report."""
        if run.config.report == "none":
            return REPORT_S
        return REPORT_S + min(PAGE_S, PAGE_FRACTION * (run.config.budget.time or 0.0))

    def work(self, run: Run, until: float | None) -> SearchResult:
        """Return the result of the search."""
        started = time.monotonic()
        study, objectives = run.study, run.config.search.objectives
        best = winner(run)
        metric = curve_objective(objectives).metric
        plots.plot_history(study.records(), objectives[0], run.folder.history_picture)
        plots.plot_curves(study.records(), metric, best.first.number, run.folder.curves_picture)
        result = SearchResult(
            output=run.folder.path,
            ended=run.results["search"].message,
            best=best.first,
            best_config=best_config(run, best.first),
            objectives=tuple(objectives),
            trials=tuple(study.records()),
            pareto=tuple(study.pareto()),
            configurations=tuple(study.settled()),
            source=run.results["export"]["source"],
            refit=refit_of(run),
            bundle=bundle_of(run),
            compression=compression_of(run),
            data=run.results["check"],
            seconds=run.deadline.passed,
            stage_seconds={**run.took, self.name: time.monotonic() - started},
            describe=run.describe,
        )
        # The stage that wrote it may not have run this time.
        run.folder.write_best(result.best_config)
        write_summary(result, run.folder.summary)
        _write_page(run, until)
        # The page took time, too, and reads the summary itself.
        took = {**run.took, self.name: time.monotonic() - started}
        result = replace(result, seconds=run.deadline.passed, stage_seconds=took)
        write_summary(result, run.folder.summary)
        run.folder.drop_cached_items()
        delete_partial(run.folder)
        return result


def delete_partial(search: RunFolder) -> None:
    """Delete what jobs that were killed have left in the folder of a search, whose lock this process has."""
    delete_partial_files(search.path)
    delete_partial_folders(search.path)
    delete_partial_folders(search.compressed.path)
    for trial in search.each_trial():
        # Another command may export a trial just now.
        if holder_of(trial.path / LOCK) is None:
            delete_partial_folders(trial.path, trial.bundle.name)


def _write_page(run: Run, until: float | None) -> None:
    """Write the report in a worker that is killed shortly before `until`; its failures are none of the search."""
    folder = run.folder
    for file in (folder.report, folder.report_data):
        # Whatever happens now, there is no report of an earlier state.
        file.unlink(missing_ok=True)
    if run.config.report == "none":
        return
    later = f"{command('report')} {folder.path} makes it"
    end = None if until is None else until - MARGIN_S
    left = None if end is None else end - time.monotonic()
    if left is not None and left < LEAST_S:
        run.observer.on_message(f"no time was left for the report: {later}")
        return
    language = language_of(run.config.report)
    request = ReportRequest(folder, language, network_config(folder), within_s=left, searching=True)
    job = job_of("report", request, folder.log("report"), run.config)
    shown = run.observer.job("writing the report")
    try:
        call(run.executor, job, ReportResult, shown, time.monotonic() + LONGEST_S if end is None else end)
    except TimeUpError:
        if not folder.report.is_file():
            run.observer.on_message(f"no time was left for the report: {later}")
        # Otherwise the page says itself what it lacks.
    except (AutoMLError, OSError) as error:
        run.observer.on_message(f"no report: {error}")
