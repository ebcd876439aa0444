"""The report at the end of a search, and that of folders in which things are missing."""

import json
import shutil

import pytest

from paddle_automl.pipeline.gathering import check_folder, material_of, stored_answers
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.reporting.document import Report
from tests.e2e.conftest import run_forked, run_tool

# They need a search of their own in this process; that a search ends with a report is tested with the search.
pytestmark = pytest.mark.slow

LATER = {"overview", "asked", "history", "gain", "parallel", "curves", "environment"}
"""Sections of a search that was interrupted after its first trials."""


@pytest.fixture
def copied(searched, tmp_path) -> RunFolder:
    """A copy of a finished search."""
    _, output, ran = searched
    assert ran.code == 0, ran.err
    shutil.copytree(output, tmp_path / "output", ignore=shutil.ignore_patterns("visualdl", "cache", "*.pdparams"))
    return RunFolder(tmp_path / "output")


def told(folder: RunFolder, why: str = "") -> dict:
    """Return the sections of a folder's report, without asking its network."""
    report = Report("en")
    material = material_of(folder, stored_answers(folder), why)
    report.write(material)
    assert report.as_page(material).startswith("<!DOCTYPE html>")
    return report.as_dict(material)["sections"]


def test_a_search_ends_with_its_report(searched):
    _, output, ran = searched
    assert str(output / "report.html") in ran.out.replace("\n", "")
    page = (output / "report.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    sections = json.loads((output / "report.json").read_text(encoding="utf-8"))["sections"]
    lacking = {name: item["missing"] for name, item in sections.items() if "missing" in item}
    assert set(lacking) <= {"importance", "pareto", "repeats", "compression", "unknowns"}, lacking
    summary = json.loads((output / "summary.json").read_text(encoding="utf-8"))
    assert sections["scores"]["metrics"]["accuracy"] == summary["metrics"]["test"]["accuracy"]
    assert sections["overview"]["winner"]["number"] == summary["best_trial"]
    stages, took = sections["stages"]["stages"], summary["stage_seconds"]
    assert stages.pop("report") <= took.pop("report")  # the page cannot hold the time of its own writing
    assert stages == took
    assert "/tmp" not in page
    assert str(output) not in json.dumps(sections)


def test_visualdl_has_the_network_after_a_search(searched):
    from visualdl import LogReader

    _, output, _ = searched
    log = output / "visualdl" / "network"
    tags = LogReader(file_path=str(next(log.glob("vdlrecords.*")))).get_tags()
    assert "augmented training batch" in tags["image"]
    assert any(tag.startswith("mistakes (test)/") for tag in tags["image"])
    assert len(tags["pr_curve"]) == 11
    assert list(log.glob("vdlgraph.*"))


def test_an_interrupted_search_has_a_report(copied):
    for name in ("model", "refit", "stages"):
        shutil.rmtree(copied.path / name)
    for file in (copied.summary, copied.best, copied.answers):
        file.unlink()
    sections = told(copied)
    assert {name for name, item in sections.items() if "missing" not in item} == LATER
    assert sections["parity"]["missing"] == "No network was exported yet."
    assert sections["overview"]["finished"] is False


def test_damaged_files_cost_their_sections(copied):
    copied.summary.write_text('{"seconds": "x"', encoding="utf-8")
    copied.bundle_file.write_bytes(b"\xff\xfe\x00")
    copied.answers.write_text("[1, 2", encoding="utf-8")
    copied.study.write_bytes(copied.study.read_bytes()[:5000])
    sections = told(copied)
    assert "missing" in sections["stages"]
    assert "missing" in sections["latency"]
    assert sections["history"]["missing"].startswith("The trials cannot be read: ")
    assert "missing" not in sections["asked"]


def test_a_trial_alone_has_a_report(copied):
    trial = copied.trial(0)
    check_folder(trial)
    sections = told(trial)
    assert sections["overview"]["single"]["epochs"] >= 1
    assert sections["curves"]["single"]
    assert sections["history"]["missing"] == "There are no trials: this folder is not that of a search."


def test_answers_of_another_network_are_not_used(copied):
    assert stored_answers(copied) is not None
    known = json.loads(copied.answers.read_text(encoding="utf-8"))
    copied.answers.write_text(json.dumps({**known, "bundle": "0" * 64}), encoding="utf-8")
    assert stored_answers(copied) is None
    assert "because of that" in told(copied, "because of that")["scores"]["missing"]


@pytest.mark.parametrize(("name", "reason"), [("none", "no such folder"), ("empty", "holds neither study.db")])
def test_a_folder_without_results_is_refused(tmp_path, name, reason):
    (tmp_path / "empty").mkdir()
    ran = run_forked("report", tmp_path / name)
    assert ran.code == 2
    assert reason in ran.err


@pytest.mark.slow
def test_the_command_makes_it_again_in_chinese(copied):
    ran = run_tool("report", copied.path, "--again", "--language", "zh")
    assert ran.code == 0, ran.err
    page = copied.report.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in page
    assert "概要" in page
    quick = run_tool("report", copied.path, "--no-answers", LC_ALL="C")
    assert quick.code == 0, quick.err
    assert '<html lang="en">' in copied.report.read_text(encoding="utf-8")
