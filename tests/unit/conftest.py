"""Data that several packages are tested with."""

import pytest

from tests.unit.data import pictures


@pytest.fixture
def flowers(tmp_path):
    """A folder with two classes of ten images, whose names hold Chinese characters and spaces."""
    return pictures.class_folder(tmp_path / "我的 照片", {"郁金香": 10, "sun flower": 10})
