"""What the tests of data share."""

import pytest

from paddle_automl.data.config import DataConfig


@pytest.fixture
def configure():
    """Return the `data` section for a mapping; options of the input may stand beside the others."""

    def build(dataset, **options):
        given = {key: options.pop(key) for key in ("size", "fit", "channels", "range") if key in options}
        return DataConfig.model_validate({"dataset": dataset, "input": given, **options})

    return build
