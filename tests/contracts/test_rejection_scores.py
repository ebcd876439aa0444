"""Every rejection score against its contract."""

import pytest

from paddle_automl.deployment.rejection.base import SCORES
from paddle_automl.testing.rejection_scores import RejectionScoreContract


@pytest.mark.parametrize("plugin", [SCORES[name] for name in SCORES.names()], ids=lambda plugin: plugin.name)
class TestRejectionScores(RejectionScoreContract):
    pass
