"""The data that a run, a bundle or a teacher was trained on, so that no training item is used as a test item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import BundleError, DataError
from paddle_automl.core.paths import located
from paddle_automl.data.growing import without_folds
from paddle_automl.data.items import FILE, ItemList
from paddle_automl.data.remembering import Remembered, split_key
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import TrainResult
from paddle_automl.pipeline.runs.starting import starts_of
from paddle_automl.pipeline.runs.trials import split_seed

LEARNED = {"train": ("train",), "train+validation": ("train", "validation")}
"""The splits that a network was trained on, by the value of `TrainResult.on`."""


def data_of_run(folder: RunFolder, record: TrainResult | None = None) -> Remembered | None:
    """Return the data of a trained run, or None if an earlier version made it, which records none.

    `record` says on which of them the network was trained; without it on the training split. Raises DataError for a
    list that is damaged.
    """
    file = folder.remembered
    if file is None:
        return None
    items = ItemList.read(file)
    if record is None:
        return Remembered(items)
    return Remembered(replace(items, learned=LEARNED[record.on]), fold=record.fold)


def data_to_grow(folder: RunFolder, record: TrainResult) -> Remembered:
    """Return the data of a trained run that a new training with more data starts from.

    Raises BundleError if an earlier version made the run, which records none.
    """
    known = data_of_run(folder, record)
    if known is None:
        raise BundleError(
            f"{folder.path}: does not say which items were in which split ({FILE} is missing), so its test items "
            "cannot be kept apart; train it again"
        )
    return Remembered(without_folds(known.items, known.fold), "grown")


def data_of_bundle(folder: Path, config: Mapping[str, Any] | None = None) -> Remembered | None:
    """Return the data of the network in a bundle, or None if an earlier version made it, which records none.

    `config` is the configuration that the bundle was made with, which names the fold that it was validated on.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    items = ItemList.read(file)
    fold = (config or {}).get("data", {}).get("fold")
    return Remembered(_named(items, folder.resolve().parent / FILE), fold=fold)


def _named(items: ItemList, beside: Path) -> ItemList:
    """Return the list of a bundle with the names in the list of the run around it, which a bundle does not carry.

    Names distinguish a changed file from an added one.
    """
    try:
        own = ItemList.read(beside)
    except DataError:
        return items
    same = np.array_equal(own.content, items.content) and np.array_equal(own.targets, items.targets)
    return replace(items, names=own.names) if same and items.names is None else items


def data_of_training(config: RunConfig, folder: RunFolder) -> Remembered | None:
    """Return the data whose splits a training in `folder` must reuse: those of its search, or of its teacher.

    None if there are none, or if the configuration of a trial splits the data in another way than its search.
    """
    found = data_of_run(folder) if folder.search is not None else data_of_teacher(config)
    if found is None or found.role == "student" or found.items.key == key_of(config):
        return found
    return None


def data_of_teacher(config: RunConfig) -> Remembered | None:
    """Return the data that a teacher was trained on; of several teachers, one with the same splits is preferred."""
    options = config.distillation
    if options is None or not options.active:
        return None
    found = []
    for name in options.teacher:
        place = RunFolder(located(name))
        bundle = place.find_bundle()
        known = data_of_run(place) or (data_of_bundle(bundle) if bundle is not None else None)
        if known is not None:
            found.append(Remembered(known.items, "student"))
    found.sort(key=lambda item: item.items.key != key_of(config))
    return found[0] if found else None


def learned_before(configs: Iterable[RunConfig]) -> np.ndarray | None:
    """Return the content of the items that the networks which trainings start from have learned, uint64 ``[M]``.

    So have those that they were themselves started from. Those of the training's own search have its splits. None
    if there are none, or only of earlier versions, which recorded no items.
    """
    found = [np.empty(0, dtype=np.uint64)]
    for config in {config.model.weights_path: config for config in configs}.values():
        own = RunFolder(config.folder.resolve()).search
        for run in starts_of(config.model):
            if own is not None and own == RunFolder(run.folder.path.resolve()).search:
                continue
            known = data_of_run(run.folder, run.record)
            if known is not None:
                found.append(known.trained)
    return np.unique(np.concatenate(found)) if len(found) > 1 else None


def key_of(config: RunConfig) -> str:
    """Return the key that identifies the splits of a configuration; see `data.remembering.split_key`."""
    return split_key(config.data, split_seed(config))
