"""Splits of a data set that a run has seen before: every item stays in the split where it was then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.files import digest
from paddle_automl.data.config import DataConfig
from paddle_automl.data.datasets.base import DatasetConfig
from paddle_automl.data.items import NOWHERE, ItemList, Match, match
from paddle_automl.data.samples import SPLITS
from paddle_automl.tasks.base import RawTargets

log = logging.getLogger(__name__)

SAME_DATA = 0.5
"""Fraction that the remembered items and those of today must share, of the fewer of the two; with less it is
another data set."""
_SHOWN_NAMES = 3
Splits = dict[str, np.ndarray]


@dataclass(frozen=True)
class Remembered:
    """The items that a network has seen, and what they are remembered for.

    Of its ``own`` data each item keeps its split, and items that were added since are left out. For the network of
    a ``student`` the items that its teacher has seen keep their split, and added ones are for training. Data that
    have ``grown`` keep the old splits, and added items are split like a data set of their own (`data.growing`).
    `fold` is the one that the network was validated on, with cross validation.
    """

    items: ItemList
    role: Literal["own", "student", "grown"] = "own"
    fold: int | None = None

    @property
    def trained(self) -> np.ndarray:
        """The content of the items that the network was trained on."""
        indices = self.items.indices(self.fold)
        return self.items.content[np.concatenate([indices[name] for name in self.items.learned])]


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
    read: np.ndarray,
) -> Known | None:
    """Return the data as they are remembered, or None where they are others, or to be split otherwise.

    `now` are the items as they are, without splits and names; `name_items` gives their names, which are needed
    where something has changed alone. `read`, int64 ``[N]``, has the same number for items of which the same was
    read. What has changed is logged in one line.
    """
    old = remembered.items
    if old.key != now.key or not _has_fold(old, config):
        return None
    if not np.array_equal(now.content, old.content) or not np.array_equal(now.targets, old.targets):
        now = replace(now, names=name_items())
    found = match(now, old)
    in_common = np.isin(old.content, now.content).sum()
    if in_common < SAME_DATA * min(len(old), len(now)):
        return None
    splits, folds = found.splits_of(old), found.folds_of(old)
    if remembered.role == "student":
        copied = _rows_of_copies(now, old, found, read)
        splits[found.added] = np.where(copied == NOWHERE, SPLITS.index("train"), old.splits[copied])
        if folds is not None and old.folds is not None:
            folds[found.added] = np.where(copied == NOWHERE, NOWHERE, old.folds[copied])
    readable_targets, usable = with_names(targets, old.target_names)
    out = _Out(of_other_splits(now, old, found), np.flatnonzero(~usable & (splits != NOWHERE)))
    for values in (splits, folds):
        if values is not None:
            values[out.mixed] = NOWHERE
            values[~usable] = NOWHERE
    # Targets can be unknown only where they are classes, one for each item.
    unknown = (
        [targets.names[number] for number in np.unique(targets.values[out.unknown])] if len(out.unknown) else []
    )
    _tell(found, now, remembered, out, unknown, word)
    listed = replace(now, splits=splits, folds=folds, target_names=old.target_names)
    # The list that was read stays the run's, whatever is missing today.
    items = listed if remembered.role == "student" else old
    return Known(listed.indices(config.fold), readable_targets, items)


@dataclass(frozen=True)
class _Out:
    """Rows of remembered items that can be in no split any more: int64 each.

    `mixed` have become the content of an item of another split, `unknown` have a class that the network lacks.
    """

    mixed: np.ndarray
    unknown: np.ndarray


def _rows_of_copies(now: ItemList, old: ItemList, found: Match, read: np.ndarray) -> np.ndarray:
    """Return for each added item the row of an old one of which it is a copy, int64; `NOWHERE` for others.

    Copies have the same bytes, or the same is read of them.
    """
    known = np.flatnonzero(found.rows != NOWHERE)
    by_bytes = dict(zip(old.content.tolist(), range(len(old)), strict=True))
    by_reading = dict(zip(read[known].tolist(), found.rows[known].tolist(), strict=True))
    pairs = zip(now.content[found.added].tolist(), read[found.added].tolist(), strict=True)
    return np.array(
        [by_bytes.get(content, by_reading.get(number, NOWHERE)) for content, number in pairs], dtype=np.int64
    )


def of_other_splits(now: ItemList, old: ItemList, found: Match) -> np.ndarray:
    """Return the changed items that are now copies of an item remembered in another split.

    A photo of the test that was overwritten by one of the training would be tested on what was trained on.
    """
    own = (
        old.splits.tolist()
        if old.folds is None
        else list(zip(old.splits.tolist(), old.folds.tolist(), strict=True))
    )
    places: dict[int, set[Any]] = {}
    for content, place in zip(old.content.tolist(), own, strict=True):
        places.setdefault(content, set()).add(place)
    content = now.content.tolist()
    mixed = [
        row
        for row, known in zip(found.changed.tolist(), found.rows[found.changed].tolist(), strict=True)
        if old.content[known] != now.content[row] and not places.get(content[row], set()) <= {own[known]}
    ]
    return np.array(mixed, dtype=np.int64)


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
    seen = np.isin(now.content, remembered.trained)
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
    count = int(np.isin(content, remembered.trained).sum())
    if count:
        text = "%d of %d %ss were in the training split of this network: scores on them are too good"
        log.warning(text, count, len(content), word)


def _tell(found: Match, now: ItemList, remembered: Remembered, out: _Out, unknown: list[str], word: str) -> None:
    """Log in one line what differs, and what becomes of it."""
    text = describe(found, now, remembered.items, word)
    if not text:
        return
    added = "left out" if remembered.role == "own" else "for training"
    every = "every other" if len(out.mixed) or len(out.unknown) else "every"
    parts = [f"{every} {word} keeps its split" + (f", and added ones are {added}" if len(found.added) else "")]
    if len(out.mixed):
        count = counted(now, out.mixed, word, "is left out", "are left out")
        parts.append(f"{count}: the content is now that of one in another split")
    if len(out.unknown):
        names = ", ".join(repr(shown(name)) for name in unknown[:_SHOWN_NAMES])
        names += ", ..." if len(unknown) > _SHOWN_NAMES else ""
        whose = "the network" if remembered.role == "own" else "the teacher"
        count = counted(now, out.unknown, word, "is left out", "are left out")
        parts.append(f"{count}: {whose} does not know {names}")
    log.warning("the data changed since the training: %s; %s", text, "; ".join(parts))


def describe(found: Match, now: ItemList, old: ItemList, word: str) -> str:
    """Return what differs, such as ``30 images were added (for example a/1.png)``; empty for nothing."""
    same = old.content[found.rows[found.changed]] == now.content[found.changed]
    parts = [
        counted(now, found.added, word, "was added", "were added"),
        counted(now, found.changed[~same], word, "was changed", "were changed"),
        counted(now, found.changed[same], word, "has another target", "have another target"),
        counted(old, found.missing, word, "was removed", "were removed"),
    ]
    return ", ".join(part for part in parts if part)


def counted(items: ItemList, rows: np.ndarray, word: str, one: str, many: str) -> str:
    """Return such as ``2 images were added (for example a/1.png)``, with the first of the items; empty for none."""
    if not len(rows):
        return ""
    example = "" if items.names is None else f" (for example {shown(items.names[rows[0]])})"
    return f"{len(rows)} {word}{'s' if len(rows) > 1 else ''} {many if len(rows) > 1 else one}{example}"
