"""Normalization, and the section that a bundle carries."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.preprocess import Preprocess
from tests.unit.data import pictures


def test_normalize_by_hand():
    preprocess = Preprocess(image_size=(1, 2), channels=3, mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 0.25))
    images = np.array([[[[0, 255]], [[51, 102]], [[255, 204]]]], dtype=np.uint8)
    expected = np.array([[[[-1.0, 1.0]], [[0.2, 0.4]], [[0.0, -0.8]]]])
    result = preprocess.normalize(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_wrong_images_are_refused():
    preprocess = Preprocess(image_size=(4, 4), channels=1, mean=(0.5,), std=(0.5,))
    with pytest.raises(ValueError, match=r"must be uint8 \[N, 1, H, W\], got float32"):
        preprocess.normalize(np.zeros((1, 1, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"got uint8 \[1, 3, 4, 4\]"):
        preprocess.normalize(np.zeros((1, 3, 4, 4), np.uint8))


def test_round_trip_through_plain_data(tmp_path):
    preprocess = Preprocess(image_size=(6, 5), fit="pad", channels=3, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    again = validate(Preprocess, preprocess.model_dump(mode="json"))
    assert again == preprocess
    assert again.input_shape == (3, 6, 5)
    path = pictures.save(pictures.plain(pictures.RED), tmp_path / "a.png")
    assert (again.decode(path) == preprocess.decoder(path)).all()


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="need 3 values, one per channel, got 1 and 3"):
        validate(Preprocess, {"image_size": [4, 4], "channels": 3, "mean": [0.5], "std": [1.0, 1.0, 1.0]})
    with pytest.raises(ConfigError, match=r"std\.0: .*greater than 0"):
        validate(Preprocess, {"image_size": [4, 4], "channels": 1, "mean": [0.5], "std": [0.0]})
    with pytest.raises(ConfigError, match="image_size"):
        validate(Preprocess, {"image_size": ["4", 4], "channels": 1, "mean": [0.5], "std": [1.0]})
