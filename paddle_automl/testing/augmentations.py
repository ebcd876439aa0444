"""The contract of augmentations."""

from __future__ import annotations

import copy
import random
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.data.augment.base import Augmentation
from paddle_automl.inputs.base import INPUTS
from paddle_automl.testing.arrays import same
from paddle_automl.testing.options import check_options, config_of
from paddle_automl.testing.sending import sent

IMAGES = ((16, 3, 12, 12), (16, 1, 8, 8), (16, 3, 28, 20), (1, 3, 9, 9), (5, 1, 1, 1))
"""Batches of images, ``[B, C, H, W]``; the first one is checked for changes."""
VECTORS = ((16, 5), (4, 7, 3))
"""Further float32 main arrays, for an augmentation that takes any."""
CLASSES = 4


class AugmentationContract:
    """Tests of an augmentation: parametrize `plugin` with its class; `options` are its required options, if any.

    One that does not take images overrides `values`.
    """

    options: ClassVar[dict[str, Any]] = {}

    def values(self, plugin: type[Augmentation]) -> list[np.ndarray]:
        """Return batches ``[B, ...]`` to change, the first of at least eight different items.

        In the item stage they are items as the input reads them, in the batch stage the network's main array.
        """
        if plugin.takes and "image" not in plugin.takes:
            pytest.fail(
                f"override values(): {plugin.__name__} takes {', '.join(sorted(plugin.takes))} input, "
                "return batches of that"
            )
        rng = np.random.default_rng(0)
        shapes = IMAGES if plugin.takes else (*IMAGES, *VECTORS)
        items = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
        return items if plugin.stage == "item" else [(item / 128 - 1).astype(np.float32) for item in items]

    def make(self, plugin: type[Augmentation]) -> Augmentation:
        """Return the augmentation with its options."""
        return plugin(config_of(plugin, self.options))

    def test_options_are_described(self, plugin: type[Augmentation]) -> None:
        """Class and options have a docstring; its stage and inputs are declared."""
        check_options(plugin)
        assert plugin.stage in ("item", "batch")
        assert all(taken in INPUTS for taken in plugin.takes), (
            f"takes: not all of {sorted(plugin.takes)} are inputs"
        )
        # Without a list of inputs it applies to every float32 main array, which exists only in batches.
        assert plugin.takes or plugin.stage == "batch", (
            "an augmentation of items must name the inputs that it takes"
        )

    def test_shapes_and_types_stay_and_targets_are_weighted_means(self, plugin: type[Augmentation]) -> None:
        """For any size of the batch."""
        augmentation = self.make(plugin)
        for values in self.values(plugin):
            targets = one_hot(len(values))
            for seed in range(5):
                changed, soft = augmentation(values, targets, np.random.default_rng(seed))
                assert (changed.shape, changed.dtype) == (values.shape, values.dtype)
                if changed.dtype.kind == "f":
                    assert np.isfinite(changed).all()
                assert (soft.shape, soft.dtype) == (targets.shape, targets.dtype)
                np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
                assert soft.min() >= 0

    def test_what_it_is_given_is_not_changed(self, plugin: type[Augmentation]) -> None:
        """Items in memory are used again in every epoch."""
        augmentation, values = self.make(plugin), self.values(plugin)[0]
        targets = one_hot(len(values))
        kept = copy.deepcopy(values), targets.copy()
        for seed in range(5):
            augmentation(values, targets, np.random.default_rng(seed))
            assert same(values, kept[0]), "the values given are changed"
            assert same(targets, kept[1]), "the targets given are changed"

    def test_the_generator_decides_alone(self, plugin: type[Augmentation]) -> None:
        """The same seed gives the same changes, another seed gives other changes."""
        augmentation, values = self.make(plugin), self.values(plugin)[0]
        targets = one_hot(len(values))

        def run(seed: int) -> list[np.ndarray]:
            random.seed()
            np.random.seed(np.random.default_rng().integers(1 << 30))  # noqa: NPY002
            rng = np.random.default_rng(seed)
            return [augmentation(values, targets, rng)[0] for _ in range(6)]

        first, again, other = run(1), run(1), run(2)
        assert all(map(same, first, again)), "the same generator gives other changes"
        assert not all(map(same, first, other)), "another generator gives the same changes"
        assert not all(same(changed, values) for changed in first), "nothing is changed"

    def test_it_can_be_sent_to_another_process(self, plugin: type[Augmentation]) -> None:
        """Pickled and unpickled it does the same."""
        augmentation = sent(self.make(plugin))
        for values in self.values(plugin):
            targets = one_hot(len(values))
            expected = self.make(plugin)(values, targets, np.random.default_rng(3))[0]
            assert same(augmentation(values, targets, np.random.default_rng(3))[0], expected)


def one_hot(count: int) -> np.ndarray:
    """Return targets of `count` items, the classes in turn, float32 ``[count, CLASSES]``."""
    targets: np.ndarray = np.eye(CLASSES, dtype=np.float32)[np.arange(count) % CLASSES]
    return targets
