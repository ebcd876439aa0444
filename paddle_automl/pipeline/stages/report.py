"""The end of a search: plots, the summary, and the result for the caller."""

from __future__ import annotations

import time

from paddle_automl.core.files import delete_partial_files
from paddle_automl.pipeline.progress import plots
from paddle_automl.pipeline.progress.results import SearchResult
from paddle_automl.pipeline.progress.summary import write_summary
from paddle_automl.pipeline.stages.base import STAGES, Stage
from paddle_automl.pipeline.stages.choice import winner
from paddle_automl.pipeline.stages.compress import compression_of
from paddle_automl.pipeline.stages.estimates import REPORT_S
from paddle_automl.pipeline.stages.export import bundle_of
from paddle_automl.pipeline.stages.refit import best_config, refit_of
from paddle_automl.pipeline.stages.run import Run
from paddle_automl.search.objective import curve_objective


@STAGES.register("report")
class Report(Stage):
    """Draws the history and the learning curves, and writes the summary."""

    place = 90

    def seconds(self, run: Run) -> float:
        """Return the time for plots."""
        return REPORT_S

    def work(self, run: Run, until: float | None) -> SearchResult:
        """Return the result of the search."""
        del until
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
            configurations=tuple(study.configurations()),
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
        run.folder.drop_cached_items()
        delete_partial_files(run.folder.path)
        return result
