"""From the `data` section to splits that are ready for training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import absolute_path, located
from paddle_automl.core.schema import PluginConfig, paths_in, with_paths
from paddle_automl.data.cache import Cache
from paddle_automl.data.config import DataConfig
from paddle_automl.data.copies import report_copies
from paddle_automl.data.failures import skipped
from paddle_automl.data.groups import groups_of, numbered
from paddle_automl.data.growing import grown
from paddle_automl.data.items import NOWHERE, ItemList, names_of, targets_of
from paddle_automl.data.learned import kept_for_training
from paddle_automl.data.reading import Data, read_data
from paddle_automl.data.remembering import (
    Known,
    Remembered,
    known_splits,
    split_key,
    warn_of_trained,
    without_trained,
)
from paddle_automl.data.samples import SPLITS
from paddle_automl.data.splits import Batch, Everything, PreparedData, Split
from paddle_automl.data.splitting import Rows, fold_pieces, split_indices, with_fold
from paddle_automl.data.stores import ArrayStore, SourceStore
from paddle_automl.data.stratify import drawn_items
from paddle_automl.inputs.base import INPUTS, Input, Statistics, batched
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.tasks.base import TASKS, RawTargets, Strata, Task, check_readable, default_task

__all__ = ["Batch", "PreparedData", "Split", "prepare", "read_all"]

log = logging.getLogger(__name__)

STATISTICS_SAMPLE = 2000
"""Most items that are measured if they have to be read for it."""


def prepare(
    config: DataConfig,
    *,
    task: PluginConfig | None = None,
    seed: int,
    cache_dir: Path | None = None,
    remembered: Remembered | None = None,
    learned: np.ndarray | None = None,
    arrays: Sequence[str] | None = None,
    fitted_input: Input | None = None,
) -> PreparedData:
    """Load, check, read and split the data.

    `task` holds the options of the task; with None the kind of the data set's targets decides. The result depends
    only on the data, the configuration and `seed`. Items and their statistics are stored in `cache_dir`, if given,
    and shared by all processes. Items that are `remembered` stay in the split in which they were. Those whose
    content is `learned`, uint64 ``[M]``, are for training. Of the input's arrays the network takes `arrays`, by
    default all. With `fitted_input`, which reads items as the configuration says, nothing is measured. Raises
    DataError that names what is wrong, and ConfigError if the data contradict the task.
    """
    cache = Cache(cache_dir)
    if config.folds == "auto":
        config = config.model_copy(update={"folds": None})
    word = INPUTS[config.input.name].word
    data = read_data(config, cache)
    samples, targets = data.samples, data.samples.targets
    now = _listed(data, split_key(config, seed))
    known = None if remembered is None else _known(config, data, now, remembered, word, seed)
    if known is not None:
        targets = known.targets
    fitted = fit_task(task, targets)
    codes = fitted.encode(targets)
    if known is None:
        indices, items = _drawn(config, data, now, fitted.strata(codes), seed)
        if remembered is not None:
            indices = without_trained(now, indices, remembered, word)
    else:
        indices, items = known.indices, known.items
    if learned is not None:
        items = kept_for_training(items, learned, _rows(config, data, None).units(), word)
        indices = items.indices(config.fold)
    report_copies(samples, data.copies, indices, word)
    _warn_of_missing(fitted.strata(codes), indices, list(samples.splits), word)
    if task is None:
        _warn_of_one_hot(targets, word)
    if config.items is not None:
        strata = fitted.strata(codes)
        indices = {**indices, "train": drawn_items(strata, indices["train"], config.items, config.items_seed)}
    fitted = fitted.with_training(codes[indices["train"]])
    if fitted_input is None:
        given, key = _fit_input(config, data, indices["train"], cache)
    else:
        given, key = fitted_input, ""
    if arrays is not None:
        given = given.only(arrays)
    encoded = _encoded(given, data, key, cache)
    everything = Everything(data.store, targets, codes, given, fitted, samples.sources, items, data.hashes, encoded)
    return _prepared(everything, indices, skipped(given, samples, data.failures))


def _warn_of_missing(
    strata: Strata | None, indices: dict[str, np.ndarray], given: Sequence[str], word: str
) -> None:
    """Warn of classes without items in a split that the data set itself defines."""
    if strata is None or strata.values.ndim != 1:
        return
    for name in ("validation", "test"):
        counts = np.bincount(strata.values[indices[name]], minlength=len(strata.names))
        missing = [f"'{strata.names[number]}'" for number in np.flatnonzero(counts == 0)]
        if name in given and counts.any() and missing:
            listing = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
            log.warning(
                "data.dataset: the %s split has no %ss of the class%s %s: its scores say nothing about %s",
                name, word, *(("es", listing, "them") if len(missing) > 1 else ("", listing, "it")),
            )  # fmt: skip


def _warn_of_one_hot(targets: RawTargets, word: str) -> None:
    """Warn of classes that are given as columns of 0 and 1."""
    if targets.kind not in ("labels", "numbers") or len(targets.names) < 2:
        return
    if np.isin(targets.values, (0, 1)).all() and (targets.values.sum(axis=1) == 1).all():
        log.warning(
            "data.dataset: each %s has exactly one 1 among its %d targets (%s, ...): these are classes, but they "
            "are read as %s; give one class per %s instead, as y.argmax(axis=1) does",
            word, len(targets.names), targets.names[0], targets.kind, word,
        )  # fmt: skip


def _prepared(
    everything: Everything, indices: dict[str, np.ndarray], left_out: tuple[tuple[Any, str], ...]
) -> PreparedData:
    return PreparedData(
        train=Split(everything, indices["train"]),
        validation=Split(everything, indices["validation"]),
        test=Split(everything, indices["test"]),
        input=everything.input,
        task=everything.task,
        skipped=left_out,
    )


def _listed(data: Data, key: str) -> ItemList:
    """Return the items by content, without names, and in no split yet."""
    targets = data.samples.targets
    return ItemList(
        content=data.hashes,
        targets=targets_of(targets),
        splits=np.full(len(targets), NOWHERE, dtype=np.int8),
        folds=None,
        names=None,
        target_names=targets.names,
        key=key,
    )


def _known(
    config: DataConfig, data: Data, now: ItemList, remembered: Remembered, word: str, seed: int
) -> Known | None:
    samples = data.samples
    if remembered.role == "grown":
        return grown(data, now, remembered.items, config, seed=seed, word=word)
    return known_splits(
        now, lambda: names_of(samples.sources), samples.targets, remembered, config, word, data.content
    )


def _drawn(
    config: DataConfig, data: Data, now: ItemList, strata: Strata | None, seed: int
) -> tuple[dict[str, np.ndarray], ItemList]:
    """Return the splits, and the items with the ordinary split of each and its fold with cross validation."""
    rows = _rows(config, data, strata)
    given = {name: indices.astype(np.int64) for name, indices in data.samples.splits.items()}
    count = config.folds if isinstance(config.folds, int) else None
    ordinary = found = split_indices(rows, given, config.split, seed=seed, folds=count)
    splits, folds = np.full(len(data.samples), NOWHERE, dtype=np.int8), None
    for number, name in enumerate(SPLITS):
        splits[ordinary[name]] = number
    if count is not None:
        pieces = fold_pieces(rows, given, ordinary, folds=count, seed=seed)
        folds = np.full(len(data.samples), NOWHERE, dtype=np.int16)
        for fold, piece in enumerate(pieces):
            folds[piece] = fold
        if config.fold is not None:
            found = with_fold(ordinary, pieces, config.fold)
    return found, replace(now, names=names_of(data.samples.sources), splits=splits, folds=folds)


def read_all(
    config: DataConfig,
    *,
    input: Input,
    task: Task,
    cache_dir: Path | None = None,
    remembered: Remembered | None = None,
) -> Split:
    """Return all items of the data as one split, for an input and a task that were fitted to other data.

    Nothing is split, so a class may have one item. Of `remembered` items a warning says how many a network was
    trained on. Raises as `prepare` does, and DataError if the data have names that the task does not know, or items
    with a shape that the input does not have.
    """
    cache = Cache(cache_dir)
    data = read_data(config, cache)
    if remembered is not None:
        warn_of_trained(data.hashes, remembered, INPUTS[config.input.name].word)
    targets = data.samples.targets
    everything = Everything(data.store, targets, task.encode(targets), input, task, data.samples.sources)
    found = Split(everything, np.flatnonzero(data.usable))
    _check_shapes(input, found.raw([0]))
    return found


def _check_shapes(given: Input, items: np.ndarray) -> None:
    try:
        arrays = given.batch(items)
    except ValueError as error:
        raise DataError(f"data.input: the network cannot take these items: {error}") from None
    for spec in given.specs:
        shape = arrays[spec.name].shape[1:]
        if len(shape) != len(spec.shape) or any(
            need not in (None, size) for need, size in zip(spec.shape, shape, strict=True)
        ):
            raise DataError(
                f"data.input: the network takes '{spec.name}' of the shape {list(spec.shape)}, the data give "
                f"{list(shape)}; leave data.input out to read them as the training data were read"
            )


def fit_task(config: PluginConfig | None, targets: RawTargets) -> Task:
    """Return the task of these options, or the targets' default task; raises ConfigError if it does not fit."""
    name = default_task(targets.kind) if config is None else config.name
    cls = TASKS[name]
    if config is None:
        config = cls.Config(name=name)
    check_readable(cls, targets)
    return cls.fit(config, targets)


def _rows(config: DataConfig, data: Data, strata: Strata | None) -> Rows:
    texts = groups_of(data.samples, config.group)
    groups, names = numbered(texts) if texts is not None else (None, ())
    return Rows(
        strata=strata,
        usable=data.usable,
        copies=data.content,
        groups=groups,
        group_names=names,
        word=INPUTS[config.input.name].word,
    )


def _fit_input(config: DataConfig, data: Data, train: np.ndarray, cache: Cache) -> tuple[Input, str]:
    """Return the input fitted to the statistics of the training items, and its key in the cache, if it has one."""
    cls = INPUTS[config.input.name]
    if isinstance(data.store, SourceStore) and len(train) > STATISTICS_SAMPLE:
        train = train[np.linspace(0, len(train) - 1, STATISTICS_SAMPLE).astype(np.int64)]

    def measure() -> Statistics:
        return cls.measure(config.input, data.reader, batched(data.store.take, train))

    if not data.key:
        return cls.fit(config.input, data.reader, measure()), ""
    options = with_paths(config.input, absolute_path)
    files = [located(path) for path in paths_in(options)]
    key = cache.key((cls.name, cls.version, options.model_dump(mode="json"), data.key), files)
    found = cls.fit(config.input, data.reader, cache.statistics(key, train, measure))
    return found, cache.key((key, found.fitted.model_dump(mode="json")), ())


def _encoded(given: Input, data: Data, key: str, cache: Cache) -> dict[str, Ragged] | None:
    """Return the arrays of all items, for an input that encodes them at once."""
    if not isinstance(data.store, ArrayStore) or given.encode(data.store.take(np.arange(1))) is None:
        return None
    items, names = data.store.items, [spec.name for spec in given.specs]

    def make() -> dict[str, Ragged]:
        found = given.encode(items)
        assert found is not None
        return found

    return cache.encoded(key, make, names) if key else make()
