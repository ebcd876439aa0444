"""Each augmentation against numbers made by hand, by another library or by the paper's formula."""

import re

import numpy as np
import pytest
from PIL import Image

from paddle_automl.data.augment.base import AUGMENTATIONS
from paddle_automl.data.warp import warp


def build(name, **options):
    cls = AUGMENTATIONS[name]
    return cls(cls.Config.model_validate({"name": name, **options}))


def smooth(count=4, channels=3, height=20, width=24):
    """Return smooth random images, so that methods of interpolation can be compared."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, channels, 4, 4), dtype=np.uint8)
    images = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC))
        for plane in coarse.reshape(-1, 4, 4)
    ]
    return np.stack(images).reshape(count, channels, height, width)


def targets(count, classes=3):
    return np.eye(classes, dtype=np.float32)[np.arange(count) % classes]


class TestWarp:
    def test_identity_and_quarter_turns_are_exact(self):
        images = np.random.default_rng(0).integers(0, 256, (3, 2, 9, 9), dtype=np.uint8)
        for fill in ("zero", "reflect"):
            assert (warp(images, np.tile(np.eye(2), (3, 1, 1)), fill) == images).all()
            turn = np.tile([[0.0, 1.0], [-1.0, 0.0]], (3, 1, 1))
            assert (warp(images, turn, fill) == np.rot90(images, axes=(2, 3))).all()

    def test_half_a_pixel_by_hand(self):
        images = np.array([[[[0, 100, 200, 40]]]], dtype=np.uint8)
        # Zoom by 2 about the centre (1.5): sources at 0.75, 1.25, 1.75, 2.25.
        zoomed = warp(images, np.array([[[0.5, 0.0], [0.0, 0.5]]]), "zero")
        assert zoomed[0, 0, 0].tolist() == [75, 125, 175, 160]

    def test_outside_is_black_or_mirrored(self):
        images = np.array([[[[10, 20, 30]]]], dtype=np.uint8)
        half = np.array([[[2.0, 0.0], [0.0, 2.0]]])  # sources at -1, 1, 3
        assert warp(images, half, "zero")[0, 0, 0].tolist() == [0, 20, 0]
        assert warp(images, half, "reflect")[0, 0, 0].tolist() == [20, 20, 20]
        third = np.array([[[3.0, 0.0], [0.0, 3.0]]])  # sources at -2, 1, 4
        assert warp(images, third, "reflect")[0, 0, 0].tolist() == [30, 20, 10]

    def test_agrees_with_pillow(self):
        images = smooth()
        angle = np.deg2rad(17)
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / 1.1
        turned = warp(images, np.tile(matrix, (len(images), 1, 1)), "zero")
        height, width = images.shape[2:]
        # Pillow maps (x, y) of pixel corners; ours maps (y, x) of pixel centres about the middle.
        (yy, yx), (xy, xx) = matrix
        shift_x = width / 2 - xx * width / 2 - xy * height / 2
        shift_y = height / 2 - yx * width / 2 - yy * height / 2
        for image, result in zip(images.reshape(-1, height, width), turned.reshape(-1, height, width), strict=True):
            expected = Image.fromarray(image).transform(
                (width, height),
                Image.Transform.AFFINE,
                (xx, xy, shift_x, yx, yy, shift_y),
                Image.Resampling.BILINEAR,
            )
            inner = (slice(6, -6), slice(6, -6))
            difference = np.abs(result[inner].astype(int) - np.asarray(expected)[inner].astype(int))
            assert difference.max() <= 2

    @pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 7), (300, 1, 28, 28), (2, 3, 300, 200)])
    @pytest.mark.parametrize("fill", ["zero", "reflect"])
    def test_any_shape(self, shape, fill):
        images = np.full(shape, 200, dtype=np.uint8)
        angles = np.random.default_rng(0).uniform(-3, 3, shape[0])
        matrices = np.stack([np.cos(angles), np.sin(angles), -np.sin(angles), np.cos(angles)], 1)
        result = warp(images, 1.7 * matrices.reshape(-1, 2, 2), fill)
        assert result.shape == shape
        assert result.max() <= 200
        if fill == "reflect" and min(shape[2:]) > 1:
            assert result.min() == 200


class TestRandomCrop:
    def test_every_shift_occurs_and_nothing_else(self):
        image = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
        shifts = set()
        result, _ = build("random_crop", padding=1)(
            image.repeat(500, axis=0), targets(500), np.random.default_rng(0)
        )
        padded = np.pad(image[0, 0], 1)
        windows = {padded[y : y + 3, x : x + 3].tobytes(): (y, x) for y in range(3) for x in range(3)}
        for item in result:
            shifts.add(windows[item[0].tobytes()])
        assert len(shifts) == 9

    def test_reflect(self):
        image = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
        crop = build("random_crop", padding=2, fill="reflect")
        result, _ = crop(image.repeat(200, axis=0), targets(200), np.random.default_rng(0))
        assert result.min() >= 1


class TestFlips:
    @pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 3), ("vertical_flip", 2)])
    def test_share_and_axis(self, name, axis):
        images = np.random.default_rng(1).integers(0, 256, (1000, 2, 4, 5), dtype=np.uint8)
        result, _ = build(name, probability=0.3)(images, targets(1000), np.random.default_rng(0))
        same = (result == images).all(axis=(1, 2, 3))
        mirrored = (result == np.flip(images, axis)).all(axis=(1, 2, 3))
        assert (same | mirrored).all()
        assert 250 < mirrored.sum() < 350
        always, _ = build(name, probability=1.0)(images, targets(1000), np.random.default_rng(0))
        assert (always == np.flip(images, axis)).all()


class TestRotationAndScale:
    def test_angles_are_within_the_limit_to_both_sides(self):
        column = np.zeros((1, 1, 41, 41), dtype=np.uint8)
        column[..., :20, 20] = 255
        result, _ = build("rotation", degrees=30.0)(
            column.repeat(400, axis=0), targets(400), np.random.default_rng(0)
        )
        y, x = np.mgrid[:41, :41] - 20.0
        weights = result[:, 0] / result[:, 0].sum(axis=(1, 2), keepdims=True)
        angles = np.rad2deg(np.arctan2((weights * x).sum(axis=(1, 2)), -(weights * y).sum(axis=(1, 2))))
        assert np.abs(angles).max() < 31
        assert angles.min() < -25
        assert angles.max() > 25

    def test_sizes_are_within_the_range(self):
        square = np.zeros((1, 1, 40, 40), dtype=np.uint8)
        square[..., 10:30, 10:30] = 255
        result, _ = build("scale", low=0.5, high=1.5)(
            square.repeat(400, axis=0), targets(400), np.random.default_rng(0)
        )
        factors = np.sqrt(result.sum(axis=(1, 2, 3)) / 255) / 20
        assert 0.45 < factors.min() < 0.6
        assert 1.4 < factors.max() < 1.55


class TestMixup:
    def test_formula(self):
        rng = np.random.default_rng(5)
        images = rng.normal(size=(6, 1, 2, 2)).astype(np.float32)
        mixed, soft = build("mixup", alpha=0.4)(images, targets(6), np.random.default_rng(0))
        draws = np.random.default_rng(0)
        draws.random()
        weight = draws.beta(0.4, 0.4)
        partners = draws.permutation(6)
        np.testing.assert_allclose(mixed, weight * images + (1 - weight) * images[partners], atol=1e-6)
        expected = weight * targets(6) + (1 - weight) * targets(6)[partners]
        np.testing.assert_allclose(soft, expected, atol=1e-6)

    def test_probability(self):
        images = np.random.default_rng(5).normal(size=(6, 1, 2, 2)).astype(np.float32)
        rng = np.random.default_rng(0)
        mixup = build("mixup", probability=0.25, alpha=1.0)
        changed = [not np.array_equal(mixup(images, targets(6), rng)[0], images) for _ in range(400)]
        assert 70 < sum(changed) < 130


class TestCutMix:
    def test_targets_are_the_area_of_the_rectangle(self):
        images = np.broadcast_to(np.arange(5, dtype=np.float32)[:, None, None, None], (5, 2, 12, 9)).copy()
        cutmix = build("cutmix", probability=1.0)
        rng = np.random.default_rng(0)
        shares = []
        for _ in range(300):
            mixed, soft = cutmix(images, targets(5, 5), rng)
            for row in range(5):
                own = (mixed[row] == row).mean()
                counts = np.bincount(mixed[row].astype(int).ravel(), minlength=5) / mixed[row].size
                np.testing.assert_allclose(soft[row], counts, atol=1e-6)
                foreign = np.argwhere(mixed[row, 0] != row)
                if len(foreign):
                    sides = foreign.max(axis=0) - foreign.min(axis=0) + 1
                    assert sides.prod() == len(foreign)
                    shares.append(1 - own)
        # Uniform areas before the cut at the border: the mean share lies well below one half.
        assert 0.15 < np.mean(shares) < 0.45
        assert max(shares) > 0.8


@pytest.mark.parametrize("name", ["text_insert", "text_replace", "text_delete", "text_swap"])
def test_korean_words_stay_whole(name):
    texts = np.array(["방이 정말 깨끗해요", "한국(韓國) 조식"] * 10, dtype=object)
    changed, _ = build(name, unit="words", fraction=0.3, probability=1.0)(
        texts, targets(len(texts)), np.random.default_rng(0)
    )
    found = {word for text in changed for word in re.findall("[가-힣]+", text)}
    assert found <= {"방이", "정말", "깨끗해요", "한국", "조식"}
    assert (changed != texts).any()
