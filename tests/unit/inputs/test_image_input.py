"""The image input: options, fitting, normalization, and what a bundle carries."""

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.loading import validate
from paddle_automl.inputs.base import INPUTS, restore
from paddle_automl.inputs.image import ImageConfig, ImageFitted, ImageInput
from tests.unit.data import pictures


def fitted(**options):
    """Return an image input with these fitted options."""
    return ImageInput(ImageFitted(name="image", **options))


def test_normalize_by_hand():
    preprocess = fitted(size=(1, 2), channels=3, mean=(0.5, 0.0, 1.0), std=(0.5, 1.0, 0.25))
    images = np.array([[[[0, 255]], [[51, 102]], [[255, 204]]]], dtype=np.uint8)
    expected = np.array([[[[-1.0, 1.0]], [[0.2, 0.4]], [[0.0, -0.8]]]])
    result = preprocess.normalize(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_wrong_images_are_refused():
    preprocess = fitted(size=(4, 4), channels=1, mean=(0.5,), std=(0.5,))
    with pytest.raises(ValueError, match=r"must be uint8 \[N, 1, H, W\], got float32"):
        preprocess.normalize(np.zeros((1, 1, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"got uint8 \[1, 3, 4, 4\]"):
        preprocess.normalize(np.zeros((1, 3, 4, 4), np.uint8))


def test_round_trip_through_plain_data(tmp_path):
    preprocess = fitted(size=(6, 5), fit="pad", channels=3, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    again = restore(validate(ImageFitted, preprocess.fitted.model_dump(mode="json")))
    assert again.fitted == preprocess.fitted
    assert again.same_items(preprocess)
    assert again.shape == (3, 6, 5)
    path = pictures.save(pictures.plain(pictures.RED), tmp_path / "a.png")
    assert (again.read(path) == preprocess.decoder(path)).all()


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match="need 3 values, one per channel, got 1 and 3"):
        validate(ImageFitted, {"size": [4, 4], "channels": 3, "mean": [0.5], "std": [1.0, 1.0, 1.0]})
    with pytest.raises(ConfigError, match=r"std\.0: .*greater than 0"):
        validate(ImageFitted, {"size": [4, 4], "channels": 1, "mean": [0.5], "std": [0.0]})
    with pytest.raises(ConfigError, match="size"):
        validate(ImageFitted, {"size": ["4", 4], "channels": 1, "mean": [0.5], "std": [1.0]})


class TestFit:
    """From options and items to a fitted input."""

    def fit(self, config, sources=None, items=None):
        reader = ImageInput.reader(config, sources=sources, items=items)
        read = reader.convert(items) if items is not None else np.stack([reader(source) for source in sources])
        return ImageInput.fit(config, reader, ImageInput.measure(config, reader, [read]))

    def test_arrays(self):
        items = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 1), dtype=np.uint8)
        image = self.fit(ImageConfig(name="image"), items=items)
        assert image.shape == (1, 6, 4)
        assert image.fitted.mean == pytest.approx((items.mean() / 255,), abs=1e-6)
        (spec,) = image.specs
        assert (spec.name, spec.shape, spec.dtype) == ("image", (1, 6, 4), "float32")
        assert self.fit(ImageConfig(name="image", size=3, channels=3), items=items).shape == (3, 3, 3)

    def test_arrays_of_another_form_are_refused(self):
        for items in (np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4, 1), np.float32)):
            with pytest.raises(DataError, match=r"images must be uint8 \[N, H, W, C\], got"):
                ImageInput.reader(ImageConfig(name="image"), sources=None, items=items)

    def test_files(self, tmp_path):
        files = [pictures.save(pictures.plain(pictures.RED), tmp_path / f"{n}.png") for n in range(3)]
        image = self.fit(ImageConfig(name="image", size=[4, 6], fit="stretch"), sources=files)
        assert image.fitted.model_dump() == {
            "name": "image",
            "size": (4, 6),
            "fit": "stretch",
            "channels": 3,
            "mean": (1.0, 0.0, 0.0),
            "std": (0.003922,) * 3,
            "range": None,
            "interpolation": "bilinear",
            "grid": "whole",
        }
        assert image.stated().model_dump() == {
            "name": "image",
            "size": (4, 6),
            "fit": "stretch",
            "channels": 3,
            "range": None,
            "interpolation": "bilinear",
            "grid": "whole",
            "mean": "auto",
            "std": "auto",
        }
        assert INPUTS["image"] is ImageInput

    def test_given_statistics_win(self):
        items = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
        image = self.fit(ImageConfig(name="image", mean=[0.5, 0.4, 0.3], std=[0.1, 0.2, 0.3]), items=items)
        assert (image.fitted.mean, image.fitted.std) == ((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))
        with pytest.raises(
            ConfigError, match=r"data\.input\.mean: needs one number for each of the 3 channels, got 1"
        ):
            self.fit(ImageConfig(name="image", mean=[0.5]), items=items)

    def test_the_filter_is_part_of_the_input(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        path = pictures.save(Image.fromarray(noise), tmp_path / "noise.png")
        linear, cubic = (
            self.fit(ImageConfig(name="image", size=5, interpolation=name), sources=[path])
            for name in ("bilinear", "bicubic")
        )
        assert not np.array_equal(linear.read(path), cubic.read(path))
        assert restore(validate(ImageFitted, cubic.fitted.model_dump(mode="json"))).decoder == cubic.decoder
        assert repr(linear.decoder) != repr(cubic.decoder), "the cache's key"
        assert cubic.stated().interpolation == "bicubic"


class TestUse:
    image = fitted(size=(6, 5), channels=3, mean=(0.1, 0.2, 0.3), std=(1, 2, 3))

    def test_what_is_written_is_read_again(self, tmp_path):
        rng = np.random.default_rng(0)
        for channels in (1, 3):
            image = fitted(size=(6, 5), channels=channels, mean=(0.5,) * channels, std=(1,) * channels)
            item = rng.integers(0, 256, (channels, 6, 5), dtype=np.uint8)
            path = image.write(item, tmp_path / "样 1.2")
            assert path == tmp_path / "样 1.2.png"
            assert (image.read(path) == item).all()

    def test_examples_are_normal(self):
        arrays = self.image.example(50, np.random.default_rng(0))
        assert list(arrays) == ["image"]
        assert arrays["image"].shape == (50, 3, 6, 5)
        assert arrays["image"].dtype == np.float32
        assert arrays["image"].std() == pytest.approx(1, abs=0.05)

    def test_smaller_images(self):
        arrays = self.image.example(2, np.random.default_rng(0))
        assert self.image.shrink(arrays, 1)["image"] is arrays["image"]
        assert self.image.shrink(arrays, 0.5)["image"].shape == (2, 3, 3, 2)
        assert self.image.shrink(arrays, 0.01)["image"].shape == (2, 3, 1, 1)

    def test_facts(self):
        items = np.stack([np.zeros((3, 6, 5), np.uint8), np.full((3, 6, 5), 255, np.uint8)])
        items[0, :, :3] = 255
        facts = self.image.facts(items)
        np.testing.assert_allclose(facts["brightness"], [0.5, 1])
        np.testing.assert_allclose(facts["contrast"], [0.5, 0])

    def test_names_of_sources(self, tmp_path):
        assert self.image.describe(tmp_path / "猫.png") == str(tmp_path / "猫.png")
        assert self.image.describe(b"x") == "image"

    def test_other_arrays_of_the_same_items(self):
        assert self.image.same_items(fitted(size=(6, 5), channels=3, mean=(0.1, 0.2, 0.3), std=(1, 2, 3)))
        assert not self.image.same_items(fitted(size=(6, 5), channels=3, mean=(0.1, 0.2, 0.4), std=(1, 2, 3)))
