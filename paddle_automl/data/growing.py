"""Remembered data that have grown: every old item keeps its split, new ones are split by the configuration."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.data.config import DataConfig, SplitConfig
from paddle_automl.data.groups import groups_of, numbered
from paddle_automl.data.items import NOWHERE, ItemList, Match, match, names_of
from paddle_automl.data.reading import Data
from paddle_automl.data.remembering import SAME_DATA, Known, counted, of_other_splits, with_names
from paddle_automl.data.samples import SPLITS
from paddle_automl.data.splitting import Rows, split_indices
from paddle_automl.tasks.base import RawTargets, Strata

log = logging.getLogger(__name__)

TRAIN = SPLITS.index("train")


def grown(data: Data, now: ItemList, old: ItemList, config: DataConfig, *, seed: int, word: str) -> Known:
    """Return the splits of data that hold those of `old` and new items.

    `now` are all items as they are, in no split yet. Old items keep their split, whatever their file is called now.
    New items are split in the fractions of `config`, or as the data set itself defines; one that is a copy of an
    old item, by the bytes of its file or by what is read of it, is in no split. The classes keep their numbers, and
    new ones are appended. What is new is logged. Raises DataError if the old items or a class of them are gone, or
    if a new class has too few items.
    """
    if data.samples.targets.kind != "classes":
        raise DataError(f"data.dataset: only data with one class per {word} can grow")
    if now.key != old.key:
        raise ConfigError(
            "data: the old splits can only be kept with the data set, the fractions of data.split, data.group and "
            "the seed of the split of the earlier training; leave these options as they were"
        )
    now = replace(now, names=names_of(data.samples.sources))
    found = match(now, old)
    _check_old(now, old, found, data.samples.targets, word)
    names = (*old.target_names, *(name for name in now.target_names if name not in set(old.target_names)))
    targets, _ = with_names(data.samples.targets, names)
    known = np.flatnonzero(found.rows != NOWHERE)
    again = np.isin(now.content[found.added], old.content)
    again |= np.isin(data.content[found.added], data.content[known])
    new = found.added[~again]
    if not len(new):
        raise DataError(f"data.dataset: holds no new {word}s: all of them are in the earlier training already")
    splits = found.splits_of(old)
    splits[of_other_splits(now, old, found)] = NOWHERE
    splits[new] = _splits_of_new(new, splits, targets, len(old.target_names), data, config, seed=seed, word=word)
    learned = set(targets.values[splits == TRAIN].tolist())
    unlearned = [name for number, name in enumerate(names) if number not in learned]
    if unlearned:
        listing = ", ".join(f"'{shown(name)}'" for name in unlearned)
        raise DataError(f"data.split: no {word} of the classes {listing} is for training; add {word}s of them")
    listed = replace(now, splits=splits, folds=None, target_names=names)
    classes = dict(zip(data.content[known].tolist(), old.targets[found.rows[known]].tolist(), strict=True))
    repeated = found.added[again]
    before = np.array(
        [classes.get(content, NOWHERE) for content in data.content[repeated].tolist()], dtype=np.int64
    )
    _tell(listed, old, new, repeated, int((before != now.targets[repeated]).sum()), found, word)
    return Known(listed.indices(), targets, listed)


def without_folds(items: ItemList, fold: int | None) -> ItemList:
    """Return a list whose validation split is that of the fold that a network was validated on."""
    splits = np.full(len(items), NOWHERE, dtype=np.int8)
    for name, rows in items.indices(fold).items():
        splits[rows] = SPLITS.index(name)
    return replace(items, splits=splits, folds=None)


def _check_old(now: ItemList, old: ItemList, found: Match, targets: RawTargets, word: str) -> None:
    """Raise DataError where the old items, or all of a class, are not among the data."""
    in_common = int(np.isin(old.content, now.content).sum())
    if in_common < SAME_DATA * len(old):
        raise DataError(
            f"data.dataset: only {in_common} of the {len(old)} {word}s of the earlier training are found; say "
            "where its data are with -o data.dataset.root=PATH"
        )
    held = {targets.names[number] for number in np.unique(targets.values[found.rows != NOWHERE])}
    gone = [name for name in old.target_names if name not in held]
    if gone:
        listed = ", ".join(f"'{shown(name)}'" for name in gone)
        raise DataError(
            f"data.dataset: of the classes {listed} no {word} of the earlier training is left; without them the "
            "network would forget these classes: restore them, or train anew"
        )


def _splits_of_new(
    new: np.ndarray,
    splits: np.ndarray,
    targets: RawTargets,
    old_classes: int,
    data: Data,
    config: DataConfig,
    *,
    seed: int,
    word: str,
) -> np.ndarray:
    """Return the split of each of the `new` rows, int8; `splits` are those of all rows so far.

    An item of a group that is in a split already goes there too. An old class with too few new items to divide has
    them for training.
    """
    result = splits.copy()
    texts = groups_of(data.samples, config.group)
    groups, group_names = numbered(texts) if texts is not None else (None, ())
    rest = new
    if groups is not None:
        known = np.flatnonzero(splits != NOWHERE)
        places = dict(zip(groups[known].tolist(), splits[known].tolist(), strict=True))
        result[new] = [places.get(group, NOWHERE) for group in groups[new].tolist()]
        rest = new[result[new] == NOWHERE]
    counts = np.bincount(targets.values[rest], minlength=len(targets.names))
    few = (counts < _needed(config.split)) & (np.arange(len(counts)) < old_classes)
    scarce = few[targets.values[rest]]
    result[rest[scarce]] = TRAIN
    rest = rest[~scarce]
    if len(rest):
        usable = np.zeros(len(splits), dtype=bool)
        usable[rest] = True
        rows = Rows(_strata(targets, rest, every=groups is None), usable, data.content, groups, group_names, word)
        given = {name: indices[usable[indices]] for name, indices in data.samples.splits.items()}
        given = {name: indices for name, indices in given.items() if len(indices)}
        drawn = split_indices(rows, given, config.split, seed=seed)
        for number, name in enumerate(SPLITS):
            result[drawn[name]] = number
    return result[new]


def _needed(split: SplitConfig) -> int:
    """Return how many items of a class it takes to have one in each split."""
    return 2 + (split.test > 0)


def _strata(targets: RawTargets, rows: np.ndarray, *, every: bool) -> Strata:
    """Return the classes of all items, renumbered to those that occur in `rows`."""
    present = np.unique(targets.values[rows])
    values = np.clip(np.searchsorted(present, targets.values), 0, len(present) - 1).astype(np.int64)
    return Strata(values, tuple(targets.names[number] for number in present), every=every)


def _tell(
    listed: ItemList, old: ItemList, new: np.ndarray, again: np.ndarray, others: int, found: Match, word: str
) -> None:
    """Log what is new, and what is left out: copies `again` of old items, `others` of them in another class."""
    counts = ", ".join(
        f"{int((listed.splits[new] == number).sum())} for {'training' if name == 'train' else name}"
        for number, name in enumerate(SPLITS)
    )
    log.warning("%d new %s%s: %s", len(new), word, "" if len(new) == 1 else "s", counts)
    if len(again):
        text = counted(listed, again, word, "is in the old data already", "are in the old data already")
        log.warning(
            "%s and counted once%s", text,
            f", {others} of them in another class, which stays" if others else "",
        )  # fmt: skip
    gone = counted(old, found.missing, word, "was removed", "were removed")
    if gone:
        log.warning("%s since the earlier training", gone)
