"""Training images as the network sees them: several random versions of each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import Augmenter, BatchPosition, build_augmenter
from paddle_automl.data.splits import Split
from paddle_automl.inputs.base import Input
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.feature_views import has_views
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.learning import split_augmentations
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import Task

SMALLEST = 0.005
"""Fraction of a label below which a mixed target does not mention it."""


@dataclass(frozen=True)
class Picture:
    """An image, uint8 ``[H, W, 3]``, and its target in words."""

    pixels: np.ndarray
    label: str


@dataclass(frozen=True)
class AugmentedItem:
    """An item of the training split as it was read, and as training batches may contain it."""

    original: Picture
    versions: tuple[Picture, ...]


def augmented_items(config: RunConfig, *, items: int, versions: int) -> tuple[AugmentedItem, ...]:
    """Return `items` random items of the training split with `versions` versions of each, without training.

    The seed of the configuration decides which. The items are the first of a whole batch, because augmentations
    such as mixup take parts of its other items; an augmentation that depends on the epoch sees the versions as
    epochs. Raises ConfigError for input that is not images, DataError for data that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = load_data(config, Worker("cpu", 1, Path(folder), lambda epoch, metrics: True))
        if data.input.name != "image":
            raise ConfigError(f"data.input: only images can be shown, but the data are {data.input.name} input")
        split = data.train
        size = max(items, config.training.batch_size)
        rows = generator(config.seed, "shown items").permutation(len(split))[:size]
        raw = split.raw(rows)
    originals = _pictures(data.input, data.input.batch(raw), [data.task.truth(split.codes[row]) for row in rows])
    made = list(_versions(config, split, rows, raw, versions))
    return tuple(
        AugmentedItem(originals[index], tuple(version[index] for version in made))
        for index in range(min(items, len(rows)))
    )


def augmented_batches(config: RunConfig, split: Split, count: int, versions: int) -> Iterator[list[Picture]]:
    """Yield `count` random images of a training split as batches of `versions` epochs may contain them."""
    size = max(count, config.training.batch_size)
    rows = generator(config.seed, "shown items").permutation(len(split))[:size]
    for version in _versions(config, split, rows, split.raw(rows), versions):
        yield version[:count]


def _versions(
    config: RunConfig, split: Split, rows: np.ndarray, raw: np.ndarray, count: int
) -> Iterator[list[Picture]]:
    """Yield versions of the items `raw` ``[B, ...]`` at `rows` of the split, each as an epoch may see them.

    With a frozen backbone they are views (`data.feature_views`), which know no epochs. What mixes their features in
    a training mixes images here.
    """
    frozen = config.model.freeze is not None
    chosen = (*_views(config), *split_augmentations(config.data.augment)[0]) if frozen else config.data.augment
    augment = build_augmenter(chosen, split.input)
    # One for all versions, as for all epochs of a training: its seed decides which items alternate how.
    rng = generator(config.seed, "shown versions")
    for epoch in range(1, count + 1):
        place = None if frozen else BatchPosition(split.indices[rows], epoch)
        yield _version(augment, split, rows, raw, rng, place)


def augmentation_told(config: RunConfig) -> str:
    """Return which augmentations change what is drawn, in words."""
    if config.model.freeze is None:
        return _names(config.data.augment) or "no augmentation (data.augment)"
    views, (mixing, left_out) = _views(config), split_augmentations(config.data.augment)
    told = []
    if views:
        told.append(f"{_names(views)} (data.feature_views, {config.data.feature_views.count} views of each)")
    if mixing:
        told.append(f"{_names(mixing)} (data.augment, mixes features, here images)")
    ignored = f"; model.freeze leaves out {', '.join(left_out)} (data.augment)" if left_out else ""
    return (", ".join(told) or "no augmentation (data.feature_views)") + ignored


def _views(config: RunConfig) -> tuple[PluginConfig, ...]:
    """Return the augmentations of the items whose features a head on a frozen backbone sees."""
    return config.data.feature_views.augment if has_views(config) else ()


def _names(configs: Sequence[PluginConfig]) -> str:
    return ", ".join(item.name for item in configs)


def _version(
    augment: Augmenter | None,
    split: Split,
    rows: np.ndarray,
    raw: np.ndarray,
    rng: np.random.Generator,
    place: BatchPosition | None,
) -> list[Picture]:
    """Return the items `raw` ``[B, ...]`` at `rows` of the split as a batch contains them."""
    dense = split.task.dense(split.codes[rows])
    targets = dense
    if augment is not None:
        raw, targets = augment.items(raw, targets, rng, place)
    arrays = split.input.batch(raw)
    if augment is not None:
        arrays, targets = augment.batch(arrays, targets, rng, place)
    labels = [
        split.task.truth(split.codes[row]) if np.array_equal(before, after) else _mixed(split.task, after)
        for row, before, after in zip(rows, dense, targets, strict=True)
    ]
    return _pictures(split.input, arrays, labels)


def _mixed(task: Task, target: np.ndarray) -> str:
    """Return a mixed target ``[K]`` in words: the fraction of each class or label; numbers are only called
    mixed."""
    if task.final.activation == "identity" or len(task.names) != len(target):
        return "mixed"
    parts = sorted(zip(target.tolist(), task.names, strict=True), key=lambda part: -part[0])
    return ", ".join(f"{name} {fraction:.2f}" for fraction, name in parts if fraction >= SMALLEST)


def _pictures(given: Input, arrays: dict[str, np.ndarray], labels: list[str]) -> list[Picture]:
    """Return the network's main array ``[B, C, H, W]`` as pictures, its normalization undone."""
    fitted, values = given.fitted, arrays[given.specs[0].name]
    mean, std = (np.asarray(item, dtype=np.float32)[:, None, None] for item in (fitted.mean, fitted.std))
    pixels = np.clip(np.rint((values * std + mean) * 255), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    whole = pixels if pixels.shape[3] == 3 else np.repeat(pixels[..., :1], 3, axis=3)
    return [Picture(image, label) for image, label in zip(whole, labels, strict=True)]
