"""Every head against its contract."""

import pytest

from paddle_automl.models.heads.base import HEADS
from paddle_automl.testing.heads import HeadContract


@pytest.mark.parametrize("plugin", [HEADS[name] for name in HEADS.names()], ids=lambda cls: cls.name)
class TestHeads(HeadContract):
    pass
