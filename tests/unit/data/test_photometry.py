"""Augmentations of color, sharpness and parts of images, against formulas, Pillow and SciPy."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment._operations import ALL, STANDARD, WIDE, apply
from paddle_automl.data.augment.base import BatchPosition, build_augmenter
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.data.warp import warp
from tests.unit.data.test_augment import build, smooth, targets


def call(name, images, seed=0, **options):
    result, _ = build(name, **options)(images, targets(len(images)), np.random.default_rng(seed))
    return result


class TestGeometry:
    def test_translate_mirrors_the_border(self):
        image = np.arange(9, dtype=np.uint8).reshape(1, 1, 3, 3).repeat(300, axis=0)
        padded = np.pad(image[0, 0], 1, mode="reflect")
        windows = {padded[y : y + 3, x : x + 3].tobytes() for y in range(3) for x in range(3)}
        assert {item[0].tobytes() for item in call("translate", image, pixels=1)} == windows
        assert (call("translate", image + 1, pixels=1, fill="zero") == 0).any()

    def test_shifted_by_hand(self):
        image = np.arange(1, 10, dtype=np.uint8).reshape(1, 1, 3, 3)
        moved = warp(image, np.eye(2)[None], "zero", np.array([[1.0, 0.5]]))
        assert moved[0, 0].tolist() == [[5, 6, 3], [8, 9, 5], [0, 0, 0]]

    @pytest.mark.parametrize("axes", ["horizontal", "vertical"])
    def test_shear_slides_by_the_distance_from_the_centre(self, axes):
        line = np.zeros((50, 1, 21, 21), dtype=np.uint8)
        line[..., 10] = 200
        if axes == "vertical":
            line = line.swapaxes(2, 3)
        result = call("shear", line, degrees=30.0, axes=axes)
        result = result.swapaxes(2, 3) if axes == "vertical" else result
        places = (result[:, 0] * np.arange(21.0)).sum(axis=2) / result[:, 0].sum(axis=2)
        slopes = (places[:, 15] - places[:, 5]) / 10
        np.testing.assert_allclose(places[:, 10], 10, atol=0.05)
        np.testing.assert_allclose(places[:, 12] - places[:, 10], 2 * slopes, atol=0.06)
        assert np.abs(slopes).max() < np.tan(np.deg2rad(30)) + 0.02
        assert slopes.min() < -0.45
        assert slopes.max() > 0.45
        # What slides along one axis has nothing to do with the other one.
        assert (call("shear", line, axes="both") != call("shear", line, axes=axes)).any()

    def test_windows_are_inside_and_have_the_areas_asked_for(self):
        ramp = np.broadcast_to(np.arange(40, dtype=np.uint8) * 6, (400, 40, 40))
        images = np.stack([ramp.swapaxes(1, 2), ramp], axis=1)
        result = call("random_resized_crop", images, area=0.25, ratio=2.0).astype(float)
        # On a ramp, the slope is the window's side as a fraction of the image's.
        sides = np.stack(
            [result[:, 0, 30, 20] - result[:, 0, 10, 20], result[:, 1, 20, 30] - result[:, 1, 20, 10]]
        ) / (20 * 6)
        assert sides.max() < 1.02
        areas = sides.prod(axis=0)
        assert 0.23 < areas.min() < 0.3
        assert 0.9 < areas.max() < 1.03
        assert 1.3 < (sides[1] / sides[0]).max() < 2.1
        centres = result[:, :, 20, 20] / 6 - 20
        assert (np.abs(centres.T) <= (1 - sides) / 2 * 40 + 0.6).all()
        assert np.abs(centres).max() > 5
        assert (call("random_resized_crop", images, area=1.0, ratio=1.0) == images).all()


class TestColors:
    def test_brightness_and_contrast_follow_the_formula(self):
        images = smooth()
        result = call("brightness_contrast", images, brightness=0.5, contrast=0.4)
        bright, contrast = 1 + np.random.default_rng(0).uniform(-1, 1, (2, 4)) * [[0.5], [0.4]]
        for image, got, b, c in zip(images.astype(float), result, bright, contrast, strict=True):
            mean = (0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2]).mean()
            expected = np.clip(c * b * image + (1 - c) * b * mean, 0, 255)
            assert np.abs(got - expected).max() <= 0.51

    def test_jitter_without_color_is_brightness_and_contrast(self):
        images = smooth()
        options = {"brightness": 0.3, "contrast": 0.3}
        both = call("color_jitter", images, saturation=0.0, hue=0.0, **options).astype(int)
        bright, contrast, *_ = 1 + np.random.default_rng(0).uniform(-1, 1, (4, 4)) * 0.3
        grey = images[:, 0] * 0.299 + images[:, 1] * 0.587 + images[:, 2] * 0.114
        offsets = (1 - contrast) * bright * grey.mean(axis=(1, 2))
        expected = images * (contrast * bright)[:, None, None, None] + offsets[:, None, None, None]
        assert np.abs(both - np.clip(expected, 0, 255)).max() <= 0.52
        # The same for images of one channel, which have no color.
        one = call("color_jitter", images[:, :1], **options)
        assert np.abs(one - call("color_jitter", images[:, :1], hue=0.5, **options).astype(int)).max() == 0

    def test_saturation_by_hand(self):
        images = np.broadcast_to(np.array([60, 120, 90], dtype=np.uint8)[None, :, None, None], (5, 3, 2, 2))
        result = call("color_jitter", images, brightness=0.0, contrast=0.0, saturation=1.0, hue=0.0)
        grey = 0.299 * 60 + 0.587 * 120 + 0.114 * 90
        factors = 1 + np.random.default_rng(0).uniform(-1, 1, (4, 5))[2]
        expected = grey + factors[:, None] * (np.array([60, 120, 90]) - grey)
        assert np.abs(result[:, :, 0, 0] - expected).max() <= 0.51

    def test_hue_keeps_the_grey_value_and_turns_the_color(self):
        images = np.broadcast_to(np.array([140, 120, 100], dtype=np.uint8)[None, :, None, None], (60, 3, 1, 1))
        result = call("color_jitter", images, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5)[..., 0, 0]
        grey = result @ [0.299, 0.587, 0.114]
        assert np.abs(grey - (0.299 * 140 + 0.587 * 120 + 0.114 * 100)).max() < 0.6
        yiq = (result - grey[:, None]) @ np.array([[0.596, -0.274, -0.322], [0.211, -0.523, 0.312]]).T
        lengths = np.hypot(*yiq.T)
        assert lengths.max() - lengths.min() < 1.5
        assert {tuple(np.argsort(color)) for color in result.astype(int)} > {(2, 1, 0), (0, 1, 2)}

    def test_noise_has_the_strength_drawn(self):
        images = np.full((6, 1, 100, 100), 128, dtype=np.uint8)
        result = call("noise", images, std=0.1)
        strengths = np.random.default_rng(0).uniform(0, 25.5, 6)
        np.testing.assert_allclose(result.std(axis=(1, 2, 3)), np.hypot(strengths, 12**-0.5), rtol=0.08)
        np.testing.assert_allclose(result.mean(axis=(1, 2, 3)), 128, atol=0.5)

    def test_blur_agrees_with_scipy(self):
        images = np.random.default_rng(4).integers(0, 256, (6, 2, 12, 15), dtype=np.uint8)
        result = call("blur", images, low=0.3, high=1.5, probability=0.7)
        draws = np.random.default_rng(0)
        chosen, widths = draws.random(6) < 0.7, draws.uniform(0.3, 1.5, 6)
        assert 0 < chosen.sum() < 6
        for image, got, blurred, width in zip(images, result, chosen, widths, strict=True):
            expected = image.astype(float)
            if blurred:
                expected = ndimage.gaussian_filter(expected, (0, width, width), mode="mirror", radius=(0, 5, 5))
            assert np.abs(got - expected).max() <= 0.51


class TestHoles:
    def test_cutout_is_a_square_around_any_pixel(self):
        images = np.ones((400, 2, 9, 7), dtype=np.float32)
        result = call("cutout", images, size=3)
        holes = {tuple(map(tuple, np.argwhere(item[0] == 0))) for item in result}
        squares = set()
        for y in range(9):
            for x in range(7):
                block = np.argwhere(np.ones((3, 3))) + np.array([y - 1, x - 1])
                squares.add(tuple(tuple(p) for p in block if 0 <= p[0] < 9 and 0 <= p[1] < 7))
        assert holes == squares
        assert (result[:, 0] == result[:, 1]).all()
        some = call("cutout", images, probability=0.3)
        assert 80 < (some == 0).any(axis=(1, 2, 3)).sum() < 160

    def test_erased_rectangles_have_area_and_shape_asked_for(self):
        images = np.full((300, 1, 60, 60), 100, dtype=np.uint8)
        result = call("erasing", images, probability=0.8, low=0.05, high=0.3, ratio=0.5, fill="black")
        erased = result[:, 0] == 0
        some = erased.any(axis=(1, 2))
        assert 210 < some.sum() < 270
        sides = np.array([np.ptp(np.argwhere(item), axis=0) + 1 for item in erased[some]])
        assert (sides.prod(axis=1) == erased[some].sum(axis=(1, 2))).all()
        areas, ratios = sides.prod(axis=1) / 3600, sides[:, 0] / sides[:, 1]
        assert 0.04 < areas.min() < 0.08
        assert 0.27 < areas.max() < 0.32
        assert 0.45 < ratios.min() < 0.6
        assert 1.6 < ratios.max() < 2.2

    def test_what_is_put_there(self):
        images = np.full((20, 1, 20, 20), 100, dtype=np.uint8)
        options = {"probability": 1.0, "low": 0.3, "high": 0.3, "ratio": 1.0}
        assert (call("erasing", images, fill="mean", **options) == images).all()
        noise = call("erasing", images, **options)
        assert 20 * 100 < (noise != images).sum() <= 20 * 121
        assert np.unique(noise).size > 200


class TestAlternatingFlip:
    def test_every_item_alternates_and_the_seed_decides_where_it_begins(self):
        data = prepare(validate(DataConfig, {"augment": ["alternating_flip"]}), seed=0)
        augmenter = build_augmenter(validate(DataConfig, {"augment": ["alternating_flip"]}).augment, data.input)

        def sides(seed):
            rng, seen = generator(seed, "batches"), []
            for epoch in (1, 2, 3):
                mirrored = np.zeros(len(data.train), dtype=int)
                for batch in data.train.batches(100, rng=rng, augment=augmenter, epoch=epoch):
                    images = data.input.batch(data.train.raw(batch.rows))["image"]
                    same = (batch.inputs["image"] == images).all(axis=(1, 2, 3))
                    assert (same | (batch.inputs["image"] == images[..., ::-1]).all(axis=(1, 2, 3))).all()
                    mirrored[batch.rows] = ~same
                seen.append(mirrored)
            return seen

        first, second, third = sides(0)
        assert (first + second == 1).all()
        assert (first == third).all()
        assert abs(first.mean() - 0.5) < 0.06
        assert (sides(0)[0] == first).all()
        assert 0.4 < (sides(1)[0] == first).mean() < 0.6

    def test_without_an_epoch_it_is_random(self):
        images = np.arange(2 * 500, dtype=np.uint16).reshape(500, 1, 1, 2).astype(np.uint8)
        assert 200 < (call("alternating_flip", images) != images).any(axis=(1, 2, 3)).sum() < 300

    def test_no_random_number_is_drawn(self):
        images = np.zeros((4, 1, 2, 2), dtype=np.uint8)
        rng = np.random.default_rng(3)
        build("alternating_flip").placed(images, targets(4), rng, BatchPosition(np.arange(4), 1))
        assert rng.random() == np.random.default_rng(3).random()


def one(images, name, strength, ranges=STANDARD):
    return apply(images, [name] * len(images), np.full(len(images), strength), ranges=ranges, fill="zero")


def pillow(images, change):
    """Return what Pillow makes of each image."""
    return np.stack(
        [np.asarray(change(Image.fromarray(item.transpose(1, 2, 0)))).transpose(2, 0, 1) for item in images]
    )


class TestOperations:
    @pytest.mark.parametrize(
        ("name", "strength", "change"),
        [
            ("autocontrast", 0.3, ImageOps.autocontrast),
            ("equalize", 0.3, ImageOps.equalize),
            ("posterize", -0.5, lambda image: ImageOps.posterize(image, 6)),
            ("solarize", 0.4, lambda image: ImageOps.solarize(image, 153)),
            ("brightness", 0.5, lambda image: ImageEnhance.Brightness(image).enhance(1.45)),
            ("brightness", -1.0, lambda image: ImageEnhance.Brightness(image).enhance(0.1)),
            ("contrast", -0.5, lambda image: ImageEnhance.Contrast(image).enhance(0.55)),
            ("contrast", 0.5, lambda image: ImageEnhance.Contrast(image).enhance(1.45)),
            ("color", -0.5, lambda image: ImageEnhance.Color(image).enhance(0.55)),
            ("color", 0.5, lambda image: ImageEnhance.Color(image).enhance(1.45)),
            ("sharpness", -1.0, lambda image: ImageEnhance.Sharpness(image).enhance(0.1)),
            ("sharpness", 0.5, lambda image: ImageEnhance.Sharpness(image).enhance(1.45)),
        ],
    )
    def test_agrees_with_pillow(self, name, strength, change):
        images = np.concatenate(
            [smooth() // 2 + 40, np.random.default_rng(0).integers(0, 256, (2, 3, 20, 24), "uint8")]
        )
        got, expected = one(images, name, strength).astype(int), pillow(images, change).astype(int)
        assert np.abs(got - expected).max() <= 1
        assert (got == expected).mean() > 0.85
        assert (expected != images).mean() > 0.15

    def test_strength_zero_changes_nothing(self):
        strokes = np.where(smooth() > 128, 255, 0).astype(np.uint8)
        for name in set(ALL) - {"autocontrast", "equalize"}:
            assert (one(strokes, name, 0.0) == strokes).all(), name

    def test_geometry_is_a_warp(self):
        images = smooth()
        turned = one(images, "rotate", 0.5)
        angle = np.deg2rad(15)
        matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        assert (turned == warp(images, np.tile(matrix, (4, 1, 1)), "zero")).all()
        slid = one(images, "shear_x", -1.0)
        assert (slid == warp(images, np.tile([[1.0, 0.0], [-0.3, 1.0]], (4, 1, 1)), "zero")).all()
        assert (one(images.swapaxes(2, 3), "shear_y", -1.0) == slid.swapaxes(2, 3)).all()
        moved = one(images, "translate_x", 0.5, WIDE)
        assert (moved[..., :12] == images[..., 12:]).all()
        assert (moved[..., 12:] == 0).all()
        assert (one(images, "translate_y", -0.5, WIDE)[:, :, 10:] == images[:, :, :10]).all()

    def test_each_image_has_its_own(self):
        images = smooth(14, 3)
        names = list(np.random.default_rng(1).permutation(ALL))
        strengths = np.random.default_rng(2).uniform(-1, 1, 14)
        together = apply(images, names, strengths, ranges=STANDARD, fill="reflect")
        for row, name in enumerate(names):
            alone = apply(images[row : row + 1], [name], strengths[row : row + 1], ranges=STANDARD, fill="reflect")
            assert (together[row] == alone[0]).all(), name
        assert (together[names.index("identity")] == images[names.index("identity")]).all()

    def test_flat_and_tiny_images_stay(self):
        flat = np.full((1, 1, 2, 2), 7, dtype=np.uint8)
        for name in ("autocontrast", "equalize", "color", "sharpness", "identity"):
            assert (one(flat, name, 1.0) == flat).all(), name


class TestPolicies:
    def test_rand_augment_applies_each_operation_alike(self):
        images = smooth(280)
        draws = np.random.default_rng(0)
        chosen = np.array(ALL)[draws.integers(14, size=280)]
        strengths = draws.choice((-0.1, 0.1), 280) * 7.0
        expected = apply(images, chosen, strengths, ranges=STANDARD, fill="zero")
        assert (call("rand_augment", images, operations=1, magnitude=7.0) == expected).all()
        assert set(chosen) == set(ALL)
        twice = call("rand_augment", images, operations=2, magnitude=7.0)
        assert (twice != expected).any(axis=(1, 2, 3)).mean() > 0.7

    def test_trivial_augment_draws_levels(self):
        images = smooth(60)
        draws = np.random.default_rng(0)
        chosen = np.array(ALL)[draws.integers(14, size=60)]
        strengths = draws.choice((-1.0, 1.0), 60) * draws.integers(31, size=60) / 30
        expected = apply(images, chosen, strengths, ranges=WIDE, fill="zero")
        assert (call("trivial_augment", images) == expected).all()
        assert (call("trivial_augment", images, ranges="standard") != expected).any()

    def test_augmix_lies_between_the_image_and_its_chains(self):
        images = smooth(8)
        near = call("augmix", images, severity=0.1, alpha=1.0).astype(int)
        far = call("augmix", images, severity=10.0, alpha=1.0).astype(int)
        assert 0 < np.abs(near - images).mean() < np.abs(far - images).mean()
        # Of one constant image nothing but shifts and corners changes; mirrored corners leave it alone.
        flat = np.full((8, 3, 9, 9), 96, dtype=np.uint8)
        assert np.abs(call("augmix", flat, severity=0.1, fill="reflect").astype(int) - flat).max() <= 1

    @pytest.mark.parametrize("name", ["blur", "erasing"])
    def test_wrong_order_is_named(self, name):
        with pytest.raises(ConfigError, match=r"low must not be above high, got low 0\.5 and high 0\.4"):
            validate(DataConfig, {"augment": [{"name": name, "low": 0.5, "high": 0.4}]})
