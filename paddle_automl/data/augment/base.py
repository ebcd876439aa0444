"""The augmentation plugin, and the chain that applies a list of them to whole batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.inputs.base import Arrays, Input

Fill = Literal["zero", "reflect"]


@dataclass(frozen=True)
class BatchPosition:
    """The items of a batch, and the number of the pass over the data."""

    items: np.ndarray
    """``[B]`` int64, the items' positions in the data set: the same in every pass."""

    epoch: int
    """Number of the pass, from 1."""


class Augmentation(ABC):
    """A random change of a whole batch; its arguments are never modified.

    `stage` says when it runs: ``item`` on items as they were read (images: uint8 ``[B, C, H, W]``), before the
    input makes arrays of them; ``batch`` on the main array of the network's inputs, float32 ``[B, ...]``, after it.
    """

    name: ClassVar[str]
    stage: ClassVar[Literal["item", "batch"]] = "item"
    takes: ClassVar[frozenset[str]] = frozenset({"image"})
    """Names of the inputs that it can change; empty: all with a float32 main array."""
    Config: ClassVar[type[PluginConfig]] = PluginConfig

    @abstractmethod
    def __init__(self, config: PluginConfig) -> None: ...

    @abstractmethod
    def __call__(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return values of the same shape and type, and targets ``[B, K]`` float32.

        A target may become a weighted mean of the batch's targets.
        """


class PlacedAugmentation(Augmentation):
    """An augmentation that depends on the item and the epoch; without a place it does the nearest thing."""

    @abstractmethod
    def placed(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator, place: BatchPosition
    ) -> tuple[np.ndarray, np.ndarray]:
        """Do the same as a call, for known items and a known epoch."""


AUGMENTATIONS: Registry[Augmentation] = Registry("augmentation", "paddle_automl.data.augment", "data.augment")


class Augmenter:
    """A list of augmentations, applied in order: first those of items, then those of batches.

    `main` is the name of the network's input that the batch stage changes.
    """

    def __init__(self, augmentations: Sequence[Augmentation], main: str) -> None:
        self.augmentations = tuple(augmentations)
        self.main = main

    @property
    def changes_items(self) -> bool:
        """Whether one of them changes items before the input makes arrays of them."""
        return any(augmentation.stage == "item" for augmentation in self.augmentations)

    def items(
        self, items: np.ndarray, targets: np.ndarray, rng: np.random.Generator, place: BatchPosition | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Apply the item stage to items ``[B, ...]`` as returned by the reader, and to targets ``[B, K]``.

        `place` gives the items and the epoch, if known.
        """
        return self._apply("item", items, targets, rng, place)

    def batch(
        self, arrays: Arrays, targets: np.ndarray, rng: np.random.Generator, place: BatchPosition | None = None
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Apply the batch stage to the main array of the network's inputs, and to targets ``[B, K]``."""
        values, targets = self._apply("batch", arrays[self.main], targets, rng, place)
        return {**arrays, self.main: values}, targets

    def _apply(
        self,
        stage: str,
        values: np.ndarray,
        targets: np.ndarray,
        rng: np.random.Generator,
        place: BatchPosition | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        for augmentation in self.augmentations:
            if augmentation.stage != stage:
                continue
            if place is not None and isinstance(augmentation, PlacedAugmentation):
                values, targets = augmentation.placed(values, targets, rng, place)
            else:
                values, targets = augmentation(values, targets, rng)
        return values, targets


def build_augmenter(configs: Sequence[PluginConfig], given: Input) -> Augmenter | None:
    """Return the chain for `data.augment`, or None for an empty list.

    Raises ConfigError that names each augmentation that does not take the input `given`.
    """
    main = given.specs[0]
    issues = []
    for position, config in enumerate(configs):
        cls = AUGMENTATIONS[config.name]
        if cls.takes and given.name not in cls.takes:
            issues.append(
                f"data.augment.{position}: '{config.name}' changes {' and '.join(sorted(cls.takes))} input, "
                f"but the data set has {given.name} input; valid: {_fitting(given.name, main.dtype)}"
            )
        elif not cls.takes and main.dtype != "float32":
            issues.append(
                f"data.augment.{position}: '{config.name}' mixes arrays of float32, but the main array of "
                f"{given.name} input is {main.dtype}; valid: {_fitting(given.name, main.dtype)}"
            )
    if issues:
        raise ConfigError(issues)
    if not configs:
        return None
    return Augmenter([AUGMENTATIONS[config.name](config) for config in configs], main.name)


def _fitting(name: str, dtype: str) -> str:
    kinds = {item: AUGMENTATIONS[item].takes for item in AUGMENTATIONS.names()}
    valid = [item for item, takes in kinds.items() if name in takes or (not takes and dtype == "float32")]
    return ", ".join(valid) or "none"
