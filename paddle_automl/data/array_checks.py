"""Arrays of images and labels, as files bring them, checked and brought into the form of `Samples`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.samples import PARTS, Samples


def samples_of_arrays(
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: Mapping[str, tuple[str, str]],
    class_names: tuple[str, ...] | None,
) -> Samples:
    """Return the samples of ``{part: (images, labels)}``.

    `images`: ``[N, H, W]`` or ``[N, H, W, C]`` uint8; `labels`: ``[N]`` or ``[N, 1]``, integers or texts.
    `names` says for messages where the two arrays of a part come from. Without `class_names` the classes are
    the distinct labels, sorted. Raises DataError naming the array.
    """
    parts = [part for part in PARTS if part in arrays]
    images = [_images(arrays[part][0], names[part][0]) for part in parts]
    labels = [_labels(arrays[part][1], len(arrays[part][0]), names[part]) for part in parts]
    for part, image in zip(parts, images, strict=True):
        if image.shape[1:] != images[0].shape[1:]:
            raise DataError(
                f"{names[part][0]}: images of shape {list(image.shape[1:])}, but {names[parts[0]][0]} has "
                f"{list(images[0].shape[1:])}; all parts need one shape"
            )
    classes, indices = _classes(labels, [names[part][1] for part in parts], class_names)
    ends = np.cumsum([len(label) for label in labels])
    starts = ends - [len(label) for label in labels]
    return Samples(
        labels=np.concatenate(indices),
        class_names=classes,
        images=np.concatenate(images),
        parts={
            part: np.arange(start, end, dtype=np.int64)
            for part, start, end in zip(parts, starts, ends, strict=True)
        },
    )


def _images(images: np.ndarray, name: str) -> np.ndarray:
    if images.dtype != np.uint8:
        raise DataError(
            f"{name}: images must be uint8 from 0 to 255, got {images.dtype}; convert them before saving"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or 0 in images.shape[1:]:
        raise DataError(
            f"{name}: images must be [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels (grey, RGB, RGBA), "
            f"got {list(images.shape)}"
        )
    return images


def _labels(labels: np.ndarray, count: int, names: tuple[str, str]) -> np.ndarray:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise DataError(
            f"{names[1]}: labels must be [N] integers or texts, got {labels.dtype} {list(labels.shape)}"
        )
    if len(labels) != count:
        raise DataError(f"{names[1]}: {len(labels)} labels for the {count} images of {names[0]}")
    return labels


def _classes(
    labels: list[np.ndarray], names: list[str], class_names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return the class names and, for each part, the class index of each label."""
    texts = {part.dtype.kind == "U" for part in labels}
    if len(texts) > 1:
        raise DataError(f"{' and '.join(names)}: some labels are integers and some are texts")
    if class_names is None:
        values = np.unique(np.concatenate(labels))
        return (
            tuple(str(value) for value in values),
            [np.searchsorted(values, part).astype(np.int64) for part in labels],
        )
    if len(set(class_names)) != len(class_names):
        twice = sorted({name for name in class_names if class_names.count(name) > 1})
        raise DataError(f"class names must differ, these stand twice: {', '.join(twice)}")
    if texts == {True}:
        order = {name: position for position, name in enumerate(class_names)}
        strangers = sorted({str(label) for part in labels for label in part} - set(order))
        if strangers:
            raise DataError(f"{' and '.join(names)}: labels that are no class name: {', '.join(strangers[:10])}")
        return class_names, [np.array([order[str(label)] for label in part], np.int64) for part in labels]
    for part, name in zip(labels, names, strict=True):
        wrong = np.flatnonzero((part < 0) | (part >= len(class_names)))
        if len(wrong):
            raise DataError(
                f"{name}: label {part[wrong[0]]} at position {wrong[0]}; "
                f"with {len(class_names)} class names, labels are from 0 to {len(class_names) - 1}"
            )
    return class_names, [part.astype(np.int64) for part in labels]
