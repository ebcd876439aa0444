"""Whole searches end in their time, each with a verified bundle: by the benchmark's own cases."""

import zipfile
from pathlib import Path

import pytest

from paddle_automl.benchmarks.deadlines.cases import ROOT, cases
from paddle_automl.benchmarks.deadlines.measure import measure
from paddle_automl.benchmarks.deadlines.report import misses

pytestmark = pytest.mark.slow
PHOTOS = ROOT.parent / "shared" / "data" / "images" / "flower_photos_subset.zip"


def check(case):
    figures = measure(case)
    assert misses(case, figures) == [], figures


@pytest.mark.parametrize("case", cases(None, quick=False), ids=lambda case: f"{case.name}-{case.budget_s}")
def test_digits(case):
    check(case)


@pytest.mark.skipif(not PHOTOS.is_file(), reason="needs the photos of ../shared")
@pytest.mark.parametrize("budget_s", [60, 120, 300])
def test_photos(budget_s, tmp_path):
    with zipfile.ZipFile(PHOTOS) as archive:
        archive.extractall(tmp_path)
    folder: Path = tmp_path / "flower_photos"
    (case,) = [case for case in cases(folder, quick=False) if case.photos and case.budget_s == budget_s]
    check(case)
