"""Folders of small images for the tests of data."""

import pytest

from paddle_automl.data.config import DataConfig
from tests.unit.data import pictures


@pytest.fixture
def flowers(tmp_path):
    """A folder with two classes of ten images, whose names hold Chinese characters and spaces."""
    return pictures.class_folder(tmp_path / "我的 照片", {"郁金香": 10, "sun flower": 10})


@pytest.fixture
def configure():
    """Return the `data` section for a mapping."""

    def build(dataset, **options):
        return DataConfig.model_validate({"dataset": dataset, **options})

    return build
