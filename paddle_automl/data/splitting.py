"""Stratified splits that depend on the labels and the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.seeds import generator
from paddle_automl.data.config import Split


def split_indices(
    labels: np.ndarray,
    class_names: Sequence[str],
    given: Mapping[str, np.ndarray],
    split: Split,
    *,
    seed: int,
) -> dict[str, np.ndarray]:
    """Return sorted indices of the parts train, validation and test.

    A part in `given` is kept; the other fractions are drawn class by class from the images that `given` does
    not assign to validation or test. An image of label -1 is left out. Raises DataError naming each
    class that has fewer images than needed.
    """
    fractions = {
        part: fraction
        for part, fraction in (("validation", split.validation), ("test", split.test))
        if part not in given and fraction > 0
    }
    pool = given["train"] if "train" in given else _rest(len(labels), given)
    pool = pool[labels[pool] >= 0]
    _check_counts(labels[pool], class_names, tuple(fractions))
    chosen: dict[str, list[np.ndarray]] = {part: [] for part in ("train", *fractions)}
    rng = generator(seed, "split")
    for label in range(len(class_names)):
        members = rng.permutation(pool[labels[pool] == label])
        start = 0
        for position, (part, fraction) in enumerate(fractions.items()):
            # Rounded half up, at least one image, and one left for each part that is still to come.
            still_needed = len(fractions) - position
            count = min(max(1, int(len(members) * fraction + 0.5)), len(members) - start - still_needed)
            chosen[part].append(members[start : start + count])
            start += count
        chosen["train"].append(members[start:])
    parts = {part: np.sort(np.concatenate(pieces)) for part, pieces in chosen.items()}
    for part in ("validation", "test"):
        parts.setdefault(part, np.sort(given[part]) if part in given else np.empty(0, dtype=np.int64))
    return parts


def _rest(count: int, given: Mapping[str, np.ndarray]) -> np.ndarray:
    free = np.ones(count, dtype=bool)
    for indices in given.values():
        free[indices] = False
    return np.flatnonzero(free)


def _check_counts(labels: np.ndarray, class_names: Sequence[str], drawn: tuple[str, ...]) -> None:
    if len(class_names) < 2:
        only = f" ('{class_names[0]}')" if class_names else ""
        raise DataError(
            f"data.dataset: classification needs at least 2 classes, found {len(class_names)}{only}; "
            "give images of another class"
        )
    needed = 1 + len(drawn)
    counts = np.bincount(labels, minlength=len(class_names))
    short = [f"'{name}' has {count}" for name, count in zip(class_names, counts, strict=True) if count < needed]
    if short:
        purpose = "for training" if not drawn else f"one each for training, {' and '.join(drawn)}"
        listing = ", ".join(short[:10]) + (f" and {len(short) - 10} more" if len(short) > 10 else "")
        raise DataError(
            f"data.split: each class needs at least {needed} readable image{'s' if needed > 1 else ''} "
            f"({purpose}), but class {listing}; add images or remove the class"
        )
