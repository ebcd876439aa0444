"""The report of a folder of results, made in a worker: whatever happens to it costs the report alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import AutoMLError
from paddle_automl.core.files import write_json, write_text
from paddle_automl.core.schema import Section
from paddle_automl.pipeline.gathering import material_of, stored_answers
from paddle_automl.pipeline.jobs.answers import Asked, answers_of
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.pipeline.jobs.networks import trained_network
from paddle_automl.pipeline.progress.network_log import log_network
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.sources import read_run_config
from paddle_automl.reporting.answers import Answers
from paddle_automl.reporting.document import Report
from paddle_automl.reporting.material import Material
from paddle_automl.reporting.words import Language
from paddle_automl.search.executors.base import Worker

ANSWERS_FRACTION = 0.6
"""Fraction of the time left that the network's answers may take."""
PAGES_S = 4.0
"""Seconds below which VisualDL's pages about the network are not begun."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportRequest:
    """Write the report of `folder` in `language`, within `within_s` seconds if that is given.

    `config` is that of the exported network, with the folders of its data; None: it is not asked for its answers.
    With `again` it is asked even if they are known; without a time limit, also if they are known for a part of the
    items alone. `searching`: the search itself makes the report.

    Where the network is asked and `visualdl` is on, VisualDL's pages about it are written as well.
    """

    folder: RunFolder
    language: Language
    config: Mapping[str, Any] | None
    within_s: float | None = None
    again: bool = False
    searching: bool = False


class ReportResult(Section):
    """The files are written."""

    page_kb: float
    """Size of the page in kilobytes."""
    answers: bool
    """Whether the network's answers are in it."""
    why: str = ""
    """Why not."""


class _Clock:
    def __init__(self, within_s: float | None) -> None:
        self.end = None if within_s is None else time.monotonic() + within_s

    def left(self, fraction: float = 1.0) -> float | None:
        return None if self.end is None else fraction * max(0.0, self.end - time.monotonic())


def run(request: ReportRequest, worker: Worker) -> ReportResult:
    """Write the report; with a time limit first without what takes long, and once more with it."""
    clock = _Clock(request.within_s)
    enter(worker)
    folder, report = request.folder, Report(request.language)
    answers = None if request.again else stored_answers(folder)
    config, asked, why = request.config, None, ""
    # A search may have had time for a part of the items alone.
    enough = answers is not None and (answers.evaluated == answers.items or request.within_s is not None)
    wanted = not enough and config is not None and folder.bundle_file.is_file()
    if not wanted and answers is None:
        why = "it was not asked"
    material = material_of(folder, answers, why, running=request.searching)
    if clock.end is not None:
        report.write(material, quick=True)
        _save(report, material, folder)
    if wanted and config is not None:
        found, why, asked = _answers(folder, config, worker, clock.left(ANSWERS_FRACTION))
        if found is None and answers is not None:
            logger.warning("the answers to a part of the items stay: %s", why)
            why = ""
        answers = found or answers
        material = material_of(folder, answers, why, running=request.searching)
    report.write(material)
    result = ReportResult(page_kb=_save(report, material, folder), answers=answers is not None, why=why)
    left = clock.left()
    if asked is not None and material.config.get("visualdl") and (left is None or left > PAGES_S):
        _log(folder, material.source, asked)
    return result


def _answers(
    folder: RunFolder, config: Mapping[str, Any], worker: Worker, within_s: float | None
) -> tuple[Answers | None, str, Asked | None]:
    try:
        found, asked = answers_of(folder.bundle, config, worker, within_s)
    except AutoMLError as error:
        return None, shown(str(error)), None
    except Exception as error:
        logger.warning("the network's answers failed", exc_info=True)
        return None, shown(f"{type(error).__name__}: {error}"), None
    write_json(folder.answers, found.model_dump(mode="json"))
    return found, "", asked


def _log(folder: RunFolder, source: str, asked: Asked) -> None:
    """Write VisualDL's pages about the exported network; without its weights there is no graph."""
    network = None
    if source and folder.inside(source).weights.is_file():
        try:
            run = folder.inside(source)
            network = trained_network(read_run_config(run.config), run).network
        except (AutoMLError, OSError) as error:
            logger.warning("VisualDL: no graph: %s", shown(error))
    log_network(folder.visualdl, asked.config, asked.train, asked.split, asked.outputs, asked.name, network)


def _save(report: Report, material: Material, folder: RunFolder) -> float:
    page = report.as_page(material, folder.report_data.name)
    write_text(folder.report, page)
    write_json(folder.report_data, report.as_dict(material))
    return round(len(page.encode("utf-8")) / 1000, 1)
