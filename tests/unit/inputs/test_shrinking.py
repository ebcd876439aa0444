"""Shrinking of batches by the mean of areas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paddle_automl.inputs.image.shrinking import shrink


def pictures(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_halves_are_means_of_four_pixels():
    images = pictures(3, 2, 6, 8)
    expected = images.reshape(3, 2, 3, 2, 4, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(shrink(images, (3, 4)), expected, atol=1e-6)


def test_a_pixel_between_two_is_shared():
    row = np.array([0, 3, 6], dtype=np.float32).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(shrink(row, (1, 2)).ravel(), [1, 5], atol=1e-6)


def test_the_same_size_is_the_same_array():
    images = pictures(2, 1, 5, 4)
    assert shrink(images, (5, 4)) is images


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_means_stay(height, width, data):
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    images = pictures(2, 3, height, width)
    small = shrink(images, size)
    assert small.shape == (2, 3, *size)
    assert small.dtype == np.float32
    np.testing.assert_allclose(small.mean(axis=(2, 3)), images.mean(axis=(2, 3)), atol=1e-5)


def test_larger_is_refused():
    with pytest.raises(ValueError, match="at most 4 x 4, got 8 x 2"):
        shrink(pictures(1, 1, 4, 4), (8, 2))
