"""Splits of a data set that a run has seen before: every item stays in the split where it was then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from paddle_automl.core.files import digest
from paddle_automl.data.config import DataConfig
from paddle_automl.data.datasets.base import DatasetConfig
from paddle_automl.data.items import NOWHERE, ItemList, Match, match
from paddle_automl.data.samples import SPLITS
from paddle_automl.tasks.base import RawTargets

log = logging.getLogger(__name__)

SAME_DATA = 0.5
"""Fraction of the remembered items that must be there; with fewer it is another data set."""
Splits = dict[str, np.ndarray]


@dataclass(frozen=True)
class Remembered:
    """The items that a network has seen, and what they are remembered for.

    Of its ``own`` data each item keeps its split, and items that were added since are left out. For the network of
    a ``student`` the items that its teacher has seen keep their split, and added ones are for training.
    """

    items: ItemList
    role: Literal["own", "student"] = "own"


@dataclass(frozen=True)
class Known:
    """Data as they are remembered: the splits, and the targets with the remembered names."""

    indices: Splits
    targets: RawTargets
    items: ItemList


def split_key(config: DataConfig, seed: int) -> str:
    """Return a hash of what a split is drawn by, but for the items: the same in whichever folder they are."""
    options = config.dataset
    paths = set(options.path_options) if isinstance(options, DatasetConfig) else set()
    split = config.split.model_dump(mode="json", exclude={"seed"})
    return digest([options.model_dump(mode="json", exclude=paths), split, config.group, seed])


def known_splits(
    now: ItemList,
    name_items: Callable[[], tuple[str, ...] | None],
    targets: RawTargets,
    remembered: Remembered,
    config: DataConfig,
    word: str,
) -> Known | None:
    """Return the data as they are remembered, or None where they are others, or to be split otherwise.

    `now` are the items as they are, without splits and names; `name_items` gives their names, which are needed
    where something has changed alone. What has changed is logged in one line.
    """
    old = remembered.items
    if old.key != now.key or not _has_fold(old, config):
        return None
    if not np.array_equal(now.content, old.content) or not np.array_equal(now.targets, old.targets):
        now = replace(now, names=name_items())
    found = match(now, old)
    in_common = np.isin(old.content, now.content).sum()
    if in_common < SAME_DATA * len(old):
        return None
    splits, folds = found.splits_of(old), found.folds_of(old)
    if remembered.role == "student":
        splits[found.added] = SPLITS.index("train")
    targets, usable = with_names(targets, old.target_names)
    splits[~usable] = NOWHERE
    _tell(found, now, old, remembered.role, word)
    listed = replace(now, splits=splits, folds=folds, target_names=old.target_names)
    # The list that was read stays the run's, whatever is missing today.
    items = listed if remembered.role == "student" else old
    return Known(listed.indices(config.fold), targets, items)


def _has_fold(items: ItemList, config: DataConfig) -> bool:
    if config.fold is None:
        return True
    return items.folds is not None and int(items.folds.max(initial=NOWHERE)) + 1 == config.folds


def with_names(targets: RawTargets, names: tuple[str, ...]) -> tuple[RawTargets, np.ndarray]:
    """Return targets in terms of remembered names, and which of them can be put so, bool ``[N]``.

    The others get the target of some other item: they are in no split.
    """
    usable = np.ones(len(targets), dtype=bool)
    if targets.names == names:
        return targets, usable
    place = {name: number for number, name in enumerate(names)}
    if targets.kind == "classes":
        numbers = np.array([place.get(name, NOWHERE) for name in targets.names], dtype=np.int64)
        values = numbers[targets.values]
        usable = values != NOWHERE
        values[~usable] = 0
        return RawTargets(targets.kind, values, names), usable
    if targets.kind in ("labels", "numbers") and set(names) <= set(targets.names):
        columns = [targets.names.index(name) for name in names]
        return RawTargets(targets.kind, targets.values[:, columns], names), usable
    return targets, usable


def without_trained(now: ItemList, indices: Mapping[str, np.ndarray], remembered: Remembered, word: str) -> Splits:
    """Return splits of other data, or drawn otherwise, without the items that the network was trained on.

    They are left out of the network's own validation and test; a student is only warned of those that its teacher
    has seen.
    """
    seen = np.isin(now.content, remembered.items.trained_content)
    result = dict(indices)
    for name in ("validation", "test"):
        rows = indices[name]
        trained = rows[seen[rows]]
        if not len(trained):
            continue
        count = f"{len(trained)} of {len(rows)} {word}s of the {name} split"
        if remembered.role == "own":
            result[name] = rows[~seen[rows]]
            log.warning("%s were in the training split of this network, and are left out", count)
        else:
            log.warning("%s were in the training split of the teacher: scores on them are too good", count)
    return result


def warn_of_trained(content: np.ndarray, remembered: Remembered, word: str) -> None:
    """Warn of items with these hashes that a network was trained on."""
    count = int(np.isin(content, remembered.items.trained_content).sum())
    if count:
        text = "%d of %d %ss were in the training split of this network: scores on them are too good"
        log.warning(text, count, len(content), word)


def _tell(found: Match, now: ItemList, old: ItemList, role: str, word: str) -> None:
    text = found.describe(now, old, word)
    if text:
        added = "are left out" if role == "own" else "are for training"
        log.warning(
            "the data changed since the training: %s; every %s keeps its split, and added ones %s",
            text,
            word,
            added,
        )
