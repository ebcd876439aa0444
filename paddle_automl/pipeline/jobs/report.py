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
from paddle_automl.pipeline.jobs.answers import answers_of
from paddle_automl.pipeline.jobs.base import enter
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.reporting.answers import Answers
from paddle_automl.reporting.document import Report
from paddle_automl.reporting.words import Language
from paddle_automl.search.executors.base import Worker

ANSWERS_FRACTION = 0.6
"""Fraction of the time left that the network's answers may take."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportRequest:
    """Write the report of `folder` in `language`, within `within_s` seconds if that is given.

    `config` is that of the exported network, with the folders of its data; None: it is not asked for its answers.
    With `again` it is asked even if they are known. `searching`: the search itself makes the report.
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


def run(request: ReportRequest, worker: Worker) -> ReportResult:
    """Write the report; with a time limit first without the network's answers, and once more with them."""
    enter(worker)
    started = time.monotonic()
    folder, report = request.folder, Report(request.language)
    answers = None if request.again else stored_answers(folder)
    wanted = answers is None and request.config is not None and folder.bundle_file.is_file()
    material = material_of(folder, answers, "" if wanted else _unknown(request), running=request.searching)
    if wanted and request.within_s is not None:
        report.write(material, answers=False)
        _save(report, material, folder)
    why = ""
    if wanted:
        assert request.config is not None
        left = None if request.within_s is None else request.within_s - (time.monotonic() - started)
        answers, why = _answers(folder, request.config, worker, None if left is None else ANSWERS_FRACTION * left)
        material = material_of(folder, answers, why, running=request.searching)
    report.write(material)
    return ReportResult(page_kb=_save(report, material, folder), answers=answers is not None, why=why)


def _answers(
    folder: RunFolder, config: Mapping[str, Any], worker: Worker, within_s: float | None
) -> tuple[Answers | None, str]:
    try:
        found = answers_of(folder.bundle, config, worker, within_s)
    except AutoMLError as error:
        return None, shown(str(error))
    except Exception as error:
        logger.debug("the network's answers failed", exc_info=True)
        return None, shown(f"{type(error).__name__}: {error}")
    write_json(folder.answers, found.model_dump(mode="json"))
    return found, ""


def _unknown(request: ReportRequest) -> str:
    return "" if request.config is not None else "the configuration of the network is not known"


def _save(report: Report, material: Any, folder: RunFolder) -> float:
    page = report.as_page(material, folder.report_data.name)
    write_text(folder.report, page)
    write_json(folder.report_data, report.as_dict(material))
    return round(len(page.encode("utf-8")) / 1000, 1)
