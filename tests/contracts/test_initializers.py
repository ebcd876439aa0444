"""Every initializer against its contract, and the spread of our own ones' weights."""

import numpy as np
import pytest

from paddle_automl.models.initializers import INITIALIZERS
from paddle_automl.testing.layers import InitializerContract

FAN_IN, FAN_OUT = 32 * 9, 64 * 9
VARIANCES = {
    "kaiming_normal": 2 / FAN_IN,
    "kaiming_uniform": 2 / FAN_IN,
    "xavier_normal": 2 / (FAN_IN + FAN_OUT),
    "xavier_uniform": 2 / (FAN_IN + FAN_OUT),
    "truncated_normal": 1 / FAN_IN,
    # 64 orthogonal rows of 288 numbers and length sqrt(2).
    "orthogonal": 2 / FAN_IN,
}


@pytest.mark.parametrize(
    "plugin", [INITIALIZERS[name] for name in INITIALIZERS.names()], ids=lambda cls: cls.__name__
)
class TestInitializers(InitializerContract):
    pass


def weights(name):
    return InitializerContract().weights(INITIALIZERS[name])


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_and_variance(name):
    values = weights(name)
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.var() == pytest.approx(VARIANCES[name], rel=0.05)


def test_limits_of_the_bounded_ones():
    assert np.abs(weights("kaiming_uniform")).max() <= np.sqrt(6 / FAN_IN) * 1.0001
    assert np.abs(weights("xavier_uniform")).max() <= np.sqrt(6 / (FAN_IN + FAN_OUT)) * 1.0001
    assert np.abs(weights("truncated_normal")).max() <= 2 * np.sqrt(1 / FAN_IN) / 0.87962566 * 1.0001
    rows = weights("orthogonal").reshape(64, -1)
    np.testing.assert_allclose(rows @ rows.T, 2 * np.eye(64), atol=1e-4)
