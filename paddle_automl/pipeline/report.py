"""Makes the report of a folder of results, as a command and at the end of a search."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import AutoMLError
from paddle_automl.core.paths import located
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluation import bundle_config
from paddle_automl.pipeline.gathering import check_folder
from paddle_automl.pipeline.jobs.base import call, job_of, start_executor
from paddle_automl.pipeline.jobs.report import ReportRequest, ReportResult
from paddle_automl.pipeline.jobs.warmup import stable_hashing
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.reporting.words import language_of


def make_report(
    path: str | Path, *, language: str = "auto", again: bool = False, answers: bool = True
) -> tuple[RunFolder, ReportResult]:
    """Write the report of a search's or a training's output folder; return the folder and what was written.

    Without `answers` the exported network is not asked; with `again` it is asked even if its answers are known.
    Raises BundleError for a folder with nothing to report, OutputError if the report cannot be written.
    """
    folder = RunFolder(located(path))
    check_folder(folder)
    config = network_config(folder) if answers else None
    plugins = tuple(config.get("plugins") or ()) if config else ()
    request = ReportRequest(folder, language_of(language), config, again=again)
    run = RunConfig(output=str(folder.path), plugins=plugins)
    stable_hashing()
    with start_executor(run, 1, caching=False) as executor, tempfile.TemporaryDirectory() as scratch:
        job = job_of("report", request, Path(scratch) / "report.log", run)
        return folder, call(executor, job, ReportResult)


def network_config(folder: RunFolder) -> Mapping[str, Any] | None:
    """Return the configuration of the exported network, with the folders of its data; None if it is not known."""
    try:
        return bundle_config(folder.bundle) if folder.bundle_file.is_file() else None
    except AutoMLError:
        return None
