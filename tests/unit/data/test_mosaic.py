"""Mosaics by hand; what holds for all augmentations is in tests/contracts."""

import numpy as np
import pytest

from paddle_automl.data.augment.mosaic import Mosaic, four_together, partners, permuted


def numbered(count, height, width, channels=1):
    """Images whose pixels all have the number of the image."""
    return np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, channels, height, width)
    ).copy()


@pytest.mark.parametrize(("size", "tiles"), [((6, 6), 3), ((8, 4), 2), ((7, 9), 2)])
def test_tiles_change_places_and_none_is_lost(size, tiles):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 3, *size), dtype=np.uint8)
    made = permuted(images, tiles, rng)
    high, wide = size[0] // tiles, size[1] // tiles

    def cut(image):
        return sorted(
            image[:, row * high : (row + 1) * high, column * wide : (column + 1) * wide].tobytes()
            for row in range(tiles)
            for column in range(tiles)
        )

    for before, after in zip(images, made, strict=True):
        assert cut(before) == cut(after)
        assert np.array_equal(before[:, tiles * high :], after[:, tiles * high :])
        assert np.array_equal(before[:, :, tiles * wide :], after[:, :, tiles * wide :])
    assert not np.array_equal(images, made)


def test_images_smaller_than_the_tiles_stay():
    images = numbered(3, 1, 5)
    assert np.array_equal(permuted(images, 2, np.random.default_rng(0)), images)


def test_partners_have_the_same_target_and_include_the_item():
    targets = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [0.5, 0.5]], np.float32)
    seen = set()
    for seed in range(50):
        four = partners(targets, np.random.default_rng(seed))
        for item, row in enumerate(four):
            assert item in row
            assert (targets[row] == targets[item]).all()
        assert four[2].tolist() == [2] * 4
        assert four[5].tolist() == [5] * 4
        # An item with others of its class is there once.
        assert (four[0] == 0).sum() == 1
        seen |= {tuple(sorted(four[0]))}
    assert len(seen) == 10


def test_four_images_stand_in_four_quarters():
    made = four_together(numbered(4, 5, 4), np.array([[3, 1, 0, 2]] * 4))
    expected = np.array([[3, 3, 1, 1]] * 2 + [[0, 0, 2, 2]] * 3)
    assert np.array_equal(made[0, 0], expected)


def test_a_quarter_is_the_mean_of_pixels():
    image = np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4) * 4
    made = four_together(image, np.zeros((1, 4), dtype=np.int64))
    # 4 x (0 + 1 + 4 + 5) / 4 = 10, and so on.
    assert made[0, 0].tolist() == [[10, 18, 10, 18], [42, 50, 42, 50]] * 2


def test_a_fraction_of_the_images_changes():
    images = np.random.default_rng(0).integers(0, 256, (400, 1, 8, 8), dtype=np.uint8)
    targets = np.eye(2, dtype=np.float32)[np.arange(400) % 2]
    for kind in ("same_class", "permuted"):
        augmentation = Mosaic(Mosaic.Config(name="mosaic", kind=kind, probability=0.25))
        changed, soft = augmentation(images, targets, np.random.default_rng(0))
        assert 0.15 < (changed != images).any(axis=(1, 2, 3)).mean() < 0.35
        assert soft is targets
