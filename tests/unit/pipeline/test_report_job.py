"""The report's answers: those that are known, and those that are asked for again."""

import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import write_json
from paddle_automl.core.yaml_io import dump_yaml
from paddle_automl.pipeline.gathering import stored_answers
from paddle_automl.pipeline.jobs import report
from paddle_automl.pipeline.jobs.report import ReportRequest
from paddle_automl.pipeline.runs.folder import RunFolder
from tests.unit.reporting import materials

ALL = 60


@pytest.fixture
def folder(tmp_path, monkeypatch) -> RunFolder:
    """A folder with a bundle alone, whose report is written without its drawings."""
    monkeypatch.setattr("paddle_automl.reporting.charts.Drawing.svg", lambda self: b"<svg/>")
    monkeypatch.setattr(report, "enter", lambda worker: None)
    found = RunFolder(tmp_path)
    found.bundle.mkdir()
    found.bundle_file.write_text(dump_yaml({**materials.bundle(), "sha256": "0" * 64}), encoding="utf-8")
    return found


def made(folder, monkeypatch, known, *, fails=False, config=True, **options):
    """Write a report where `known` items are answered already; return its result and how often it asked."""
    asked = []

    def answers_of(*given):
        asked.append(given)
        if fails:
            raise DataError("the data are gone")
        return materials.answers(items=ALL), None

    monkeypatch.setattr(report, "answers_of", answers_of)
    if known is not None:
        record = materials.answers(items=ALL).model_copy(update={"evaluated": known})
        write_json(folder.answers, record.model_dump(mode="json"))
    return report.run(ReportRequest(folder, "en", {} if config else None, **options), None), len(asked)


@pytest.mark.parametrize(
    ("known", "options", "asks"),
    [
        (ALL, {}, 0),
        (20, {}, 1),
        (20, {"within_s": 60.0}, 0),
        (20, {"config": False}, 0),
        (ALL, {"again": True}, 1),
        (None, {}, 1),
    ],
    ids=["all", "a part", "a part and little time", "a part and no data", "again", "none"],
)
def test_answers_to_a_part_are_asked_again_where_time_is_no_limit(folder, monkeypatch, known, options, asks):
    result, asked = made(folder, monkeypatch, known, **options)
    assert (result.answers, result.why, asked) == (True, "", asks)
    assert stored_answers(folder).evaluated == (ALL if asks else known)
    page = folder.report.read_text(encoding="utf-8")
    assert ("were predicted, because the time was short" in page) is (known == 20 and not asks)


def test_answers_to_a_part_stay_if_they_cannot_be_had_again(folder, monkeypatch):
    result, asked = made(folder, monkeypatch, 20, fails=True)
    assert (result.answers, result.why, asked) == (True, "", 1)
    assert stored_answers(folder).evaluated == 20
    assert f"20 of {ALL} images were predicted" in folder.report.read_text(encoding="utf-8")


def test_without_earlier_answers_the_reason_is_told(folder, monkeypatch):
    result, _ = made(folder, monkeypatch, None, fails=True)
    assert (result.answers, result.why) == (False, "the data are gone")
