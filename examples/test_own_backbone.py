"""The tests that every backbone passes, on one's own: shapes, gradients, weights, options, export."""

import pytest
from own_backbone import ConvMixer

from paddle_automl.testing.backbones import BackboneContract


@pytest.mark.parametrize("plugin", [ConvMixer])
class TestConvMixer(BackboneContract):
    """Nothing to add: the contract brings the tests."""
