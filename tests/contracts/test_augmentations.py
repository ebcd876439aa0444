"""What every augmentation must hold to; each file in the folder is tested by itself."""

import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from paddle_automl.core.describe import all_options
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmenter, build_augmenter
from paddle_automl.inputs.base import INPUTS
from paddle_automl.inputs.image import ImageFitted, ImageInput

NAMES = AUGMENTATIONS.names()
SHAPES = [(16, 1, 8, 8), (16, 3, 28, 20), (1, 3, 9, 9), (5, 1, 1, 1)]


def make(name):
    cls = AUGMENTATIONS[name]
    return cls(cls.Config(name=name))


def batch(stage, shape, seed=0):
    """Return random images of the stage's type, and one-hot targets."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    if stage == "batch":
        images = (images / 128 - 1).astype(np.float32)
    return images, np.eye(4, dtype=np.float32)[np.arange(shape[0]) % 4]


@pytest.mark.parametrize("name", NAMES)
class TestAugmentation:
    def test_options_are_documented_and_have_defaults(self, name):
        cls = AUGMENTATIONS[name]
        assert issubclass(cls.Config, PluginConfig)
        assert AUGMENTATIONS.summary(name)
        assert all(option.doc for option in all_options(cls.Config))
        assert cls.stage in ("item", "batch")
        assert all(taken in INPUTS for taken in cls.takes)
        # Without a list of inputs it is for every main array of float32, which there is in batches alone.
        assert cls.takes or cls.stage == "batch"
        with pytest.raises(ValidationError, match="unknown key"):
            cls.Config.model_validate({"name": name, "no_such_option": 1})

    @pytest.mark.parametrize("shape", SHAPES)
    def test_shape_type_and_range_are_kept(self, name, shape):
        augmentation = make(name)
        images, targets = batch(augmentation.stage, shape)
        for seed in range(5):
            changed, soft = augmentation(images, targets, np.random.default_rng(seed))
            assert changed.shape == images.shape
            assert changed.dtype == images.dtype
            assert soft.shape == targets.shape
            assert soft.dtype == np.float32
            np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
            assert soft.min() >= 0
            if augmentation.stage == "batch":
                assert np.abs(changed).max() <= np.abs(images).max() + 1e-5

    def test_inputs_are_not_modified(self, name):
        augmentation = make(name)
        images, targets = batch(augmentation.stage, (16, 3, 8, 8))
        images.setflags(write=False)
        targets.setflags(write=False)
        for seed in range(5):
            augmentation(images, targets, np.random.default_rng(seed))

    def test_the_generator_decides_alone(self, name):
        augmentation = make(name)
        images, targets = batch(augmentation.stage, (16, 3, 12, 12))

        def run(seed):
            np.random.seed(np.random.default_rng().integers(1 << 30))  # noqa: NPY002
            rng = np.random.default_rng(seed)
            return [augmentation(images, targets, rng)[0] for _ in range(6)]

        first, again, other = run(1), run(1), run(2)
        assert all((a == b).all() for a, b in zip(first, again, strict=True))
        assert any((a != b).any() for a, b in zip(first, other, strict=True))
        assert any((a != images).any() for a in first)

    def test_item_stage_leaves_targets_alone(self, name):
        augmentation = make(name)
        images, targets = batch(augmentation.stage, (16, 3, 8, 8))
        _, soft = augmentation(images, targets, np.random.default_rng(0))
        if augmentation.stage == "item":
            assert (soft == targets).all()

    def test_pickles(self, name):
        augmentation = pickle.loads(pickle.dumps(make(name)))  # noqa: S301
        images, targets = batch(augmentation.stage, (8, 1, 8, 8))
        expected = make(name)(images, targets, np.random.default_rng(3))[0]
        assert (augmentation(images, targets, np.random.default_rng(3))[0] == expected).all()


def test_all_together():
    configs = [AUGMENTATIONS[name].Config(name=name) for name in NAMES]
    fitted = ImageFitted(name="image", size=(16, 16), channels=3, mean=(0.5,) * 3, std=(0.2,) * 3)
    augmenter = build_augmenter(configs, ImageInput(fitted))
    assert isinstance(augmenter, Augmenter)
    images, targets = batch("item", (32, 3, 16, 16))
    rng = np.random.default_rng(0)
    images, targets = augmenter.items(images, targets, rng)
    assert images.dtype == np.uint8
    arrays, targets = augmenter.batch({"image": images.astype(np.float32)}, targets, rng)
    assert list(arrays) == ["image"]
    assert arrays["image"].shape == (32, 3, 16, 16)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
