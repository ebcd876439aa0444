"""The data that a run, a bundle or a teacher has seen: so that no item it was trained on counts as its test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from paddle_automl.core.paths import located
from paddle_automl.data.items import FILE, ItemList
from paddle_automl.data.remembering import Remembered, split_key
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.trials import split_seed

LEARNED = {"train": ("train",), "train+validation": ("train", "validation")}
"""The splits that a network was trained on, by what its record says (`TrainResult.on`)."""


def data_of_run(folder: RunFolder, on: str = "train") -> Remembered | None:
    """Return the data of a trained run, or None for one of an earlier version.

    Raises DataError for a list that is damaged.
    """
    file = folder.remembered
    if file is None:
        return None
    return Remembered(replace(ItemList.read(file), learned=LEARNED[on]))


def data_of_bundle(folder: Path) -> Remembered | None:
    """Return the data of the network in a bundle, or None for one of an earlier version."""
    file = folder / FILE
    return Remembered(ItemList.read(file)) if file.is_file() else None


def data_of_training(config: RunConfig, folder: RunFolder) -> Remembered | None:
    """Return the data that a training in `folder` is to keep to: those of its search, or of its teacher.

    A trial that splits its data in its own way remembers them itself.
    """
    found = data_of_run(folder) if folder.search is not None else data_of_teacher(config)
    if found is None or found.role == "student" or found.items.key == key_of(config):
        return found
    return None


def data_of_teacher(config: RunConfig) -> Remembered | None:
    """Return the data that a teacher of the configuration has seen: of one with the same splits before others."""
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


def key_of(config: RunConfig) -> str:
    """Return what the splits of a configuration are drawn by; see `data.remembering.split_key`."""
    return split_key(config.data, split_seed(config))
