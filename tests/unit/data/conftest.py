"""What the tests of data share."""

import pytest

from paddle_automl.data.config import DataConfig
from paddle_automl.inputs.base import INPUTS


@pytest.fixture
def configure():
    """Return the `data` section for a mapping; options of the input may stand beside the others."""

    def build(dataset, **options):
        given = {key: options.pop(key) for key in [*options] if key in INPUTS["image"].Config.model_fields}
        return DataConfig.model_validate({"dataset": dataset, "input": given, **options})

    return build
