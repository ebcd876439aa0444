"""Arrays of items and targets from files, checked and converted to `Samples`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.class_names import check_distinct, composed, in_order
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.tasks.base import RawTargets


def samples_of_arrays(
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: Mapping[str, tuple[str, str]],
    target_names: tuple[str, ...] | None,
) -> Samples:
    """Return the samples of ``{split: (images, targets)}``.

    `images`: ``[N, H, W]`` or ``[N, H, W, C]`` uint8. `targets`: one class per item, ``[N]`` or ``[N, 1]`` integers
    or texts; or labels, ``[N, K]`` integers or booleans of 0 and 1; or numbers, ``[N]`` or ``[N, D]`` floats.
    `names` are the places of the two arrays of each split, for messages. `target_names` are the names of the
    classes, labels or columns; without them the classes are the distinct values, sorted, and labels are numbered.
    Raises DataError that names the array.
    """
    splits = [split for split in SPLITS if split in arrays]
    images = [_images(arrays[split][0], names[split][0]) for split in splits]
    for split, image in zip(splits, images, strict=True):
        if image.shape[1:] != images[0].shape[1:]:
            raise DataError(
                f"{names[split][0]}: images of shape {list(image.shape[1:])}, but {names[splits[0]][0]} has "
                f"{list(images[0].shape[1:])}; all splits need one shape"
            )
    targets = targets_of_arrays(
        [arrays[split][1] for split in splits],
        [names[split][1] for split in splits],
        [len(image) for image in images],
        target_names,
        [names[split][0] for split in splits],
    )
    ends = np.cumsum([len(image) for image in images])
    starts = ends - [len(image) for image in images]
    return Samples(
        targets=targets,
        items=np.concatenate(images),
        splits={
            split: np.arange(start, end, dtype=np.int64)
            for split, start, end in zip(splits, starts, ends, strict=True)
        },
    )


def targets_of_arrays(
    arrays: Sequence[np.ndarray],
    names: Sequence[str],
    counts: Sequence[int],
    target_names: tuple[str, ...] | None,
    items: Sequence[str],
) -> RawTargets:
    """Return the targets of all splits, one array each; see `samples_of_arrays`.

    `names` and `items` are the places of the targets and the items, `counts` the numbers of items.
    """
    checked = [
        _one_axis(array, name, count, item)
        for array, name, count, item in zip(arrays, names, counts, items, strict=True)
    ]
    kinds = [_kind(array, name) for array, name in zip(checked, names, strict=True)]
    if len(set(kinds)) > 1:
        listing = ", ".join(f"{name}: {kind}" for name, kind in zip(names, kinds, strict=True))
        raise DataError(f"targets of different kinds ({listing}); all splits need the same")
    target_names = None if target_names is None else tuple(composed(name) for name in target_names)
    if target_names is not None and len(set(target_names)) != len(target_names):
        twice = sorted({name for name in target_names if target_names.count(name) > 1})
        raise DataError(f"names of targets must differ, given twice: {', '.join(twice)}")
    if kinds[0] in ("integers", "texts"):
        classes, indices = _classes(checked, names, target_names)
        return RawTargets("classes", np.concatenate(indices), classes)
    columns = [array if array.ndim == 2 else array[:, None] for array in checked]
    width = columns[0].shape[1]
    for array, name in zip(columns, names, strict=True):
        if array.shape[1] != width:
            raise DataError(f"{name}: {array.shape[1]} columns, but {names[0]} has {width}")
    if target_names is not None and len(target_names) != width:
        raise DataError(f"{names[0]}: {width} columns for {len(target_names)} names: {', '.join(target_names)}")
    if kinds[0] == "labels":
        named = target_names or tuple(str(number) for number in range(width))
        return RawTargets("labels", np.concatenate(columns).astype(np.uint8), named)
    for array, name in zip(columns, names, strict=True):
        _check_finite(array, name)
    named = target_names or (("value",) if width == 1 else tuple(f"value_{number}" for number in range(width)))
    return RawTargets("numbers", np.concatenate(columns).astype(np.float64), named)


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


def _one_axis(targets: np.ndarray, name: str, count: int, items: str) -> np.ndarray:
    if targets.ndim == 2 and targets.shape[1] == 1 and targets.dtype.kind != "f":
        targets = targets[:, 0]
    if targets.ndim not in (1, 2) or targets.dtype.kind not in "iuUfb" or 0 in targets.shape[1:]:
        raise DataError(
            f"{name}: targets must be [N] integers or texts (a class each), [N, K] of 0 and 1 (labels), or floats "
            f"(numbers), got {targets.dtype} {list(targets.shape)}"
        )
    if len(targets) != count:
        raise DataError(f"{name}: {len(targets)} targets for the {count} images of {items}")
    return targets


def _kind(targets: np.ndarray, name: str) -> str:
    """Return the kind of targets: integers, texts (classes), labels or numbers."""
    if targets.dtype.kind == "f":
        return "numbers"
    if targets.ndim == 1:
        return "texts" if targets.dtype.kind == "U" else "integers"
    if targets.dtype.kind == "U":
        raise DataError(f"{name}: texts must be [N], one class each, got {list(targets.shape)}")
    rows, columns = np.nonzero((targets != 0) & (targets != 1))
    if len(rows):
        raise DataError(
            f"{name}: {targets[rows[0], columns[0]]} at row {rows[0]}, column {columns[0]}: several integers per "
            "item are labels and must be 0 or 1; save numbers to predict as floats"
        )
    return "labels"


def _check_finite(numbers: np.ndarray, name: str) -> None:
    rows, columns = np.nonzero(~np.isfinite(numbers))
    if len(rows):
        raise DataError(
            f"{name}: {numbers[rows[0], columns[0]]} at row {rows[0]}, column {columns[0]}; "
            "every item needs a finite number: correct the row or remove it"
        )


def _classes(
    labels: Sequence[np.ndarray], names: Sequence[str], class_names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return the class names and, for each split, the class index of each label."""
    if labels[0].dtype.kind == "U":
        labels = [np.array([composed(str(label)) for label in array], dtype=np.str_) for array in labels]
        if class_names is None:
            distinct = {str(label) for array in labels for label in array}
            check_distinct(sorted(distinct), " and ".join(names))
            class_names = tuple(in_order(distinct))
    if class_names is None:
        values = np.unique(np.concatenate(labels))
        return (
            tuple(str(value) for value in values),
            [np.searchsorted(values, array).astype(np.int64) for array in labels],
        )
    if labels[0].dtype.kind == "U":
        order = {name: position for position, name in enumerate(class_names)}
        strangers = sorted({str(label) for array in labels for label in array} - set(order))
        if strangers:
            raise DataError(f"{' and '.join(names)}: labels that are not class names: {', '.join(strangers[:10])}")
        return class_names, [np.array([order[str(label)] for label in array], np.int64) for array in labels]
    for array, name in zip(labels, names, strict=True):
        wrong = np.flatnonzero((array < 0) | (array >= len(class_names)))
        if len(wrong):
            raise DataError(
                f"{name}: label {array[wrong[0]]} at position {wrong[0]}; "
                f"with {len(class_names)} class names, labels are from 0 to {len(class_names) - 1}"
            )
    return class_names, [array.astype(np.int64) for array in labels]
