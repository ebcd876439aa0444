"""What is known about a data set before its items are read: the task, sizes, and the shape of an item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.config import DataConfig, SplitConfig
from paddle_automl.data.datasets.base import DATASETS
from paddle_automl.data.groups import groups_of, numbered
from paddle_automl.data.prepare import fit_task
from paddle_automl.data.reading import loaded
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.splitting import Rows, fold_pieces, split_indices
from paddle_automl.inputs.base import INPUTS
from paddle_automl.tasks.base import Strata, Task

FOLDS, FEW = 5, 3000
"""Folds of `data.folds: auto`, and the size of a validation split from which they are not needed."""


@dataclass(frozen=True)
class Facts:
    """What is known about the data before all items are read."""

    task: Task
    folds: int | None
    """Folds that `data.folds: auto` stands for."""
    training_items: int
    """About the number of items of the training split."""
    samples: Samples

    def shape(self, config: DataConfig) -> tuple[int, ...] | None:
        """Return the shape of an item as it will be read, such as (channels, height, width); None if unknown.

        Of items in files a sample is looked at.
        """
        cls = INPUTS[config.input.name]
        reader = cls.reader(config.input, sources=self.samples.sources, items=self.samples.items)
        found = getattr(reader, "shape", None)
        return None if found is None else tuple(found)


def find_facts(config: DataConfig, task: PluginConfig | None = None, *, seed: int = 0) -> Facts:
    """Return what is known about the data without reading all items; the task is the one that `prepare` fits.

    `seed` is that of the splits. Raises DataError for a data set that is missing or wrong, ConfigError if it
    contradicts the task.
    """
    samples = loaded(DATASETS[config.dataset.name](config.dataset), INPUTS[config.input.name].word)
    fitted = fit_task(task, samples.targets)
    folds = _folds_for(samples, config.split)
    if folds is not None:
        strata = fitted.strata(fitted.encode(samples.targets))
        folds = folds if _groups_fill(folds, samples, config, strata, seed) else None
    return Facts(fitted, folds, _training_items(samples, config), samples)


def _training_items(samples: Samples, config: DataConfig) -> int:
    """Return about how many items the training split will have."""
    given = {name: len(samples.splits[name]) for name in SPLITS if name in samples.splits}
    left = given.get("train", len(samples) - sum(given.values()))
    fraction = 1.0 - sum(getattr(config.split, name) for name in SPLITS[1:] if name not in given)
    return max(1, min(round(left * fraction), config.items or left))


def _folds_for(samples: Samples, split: SplitConfig) -> int | None:
    """Return FOLDS for a data set whose validation split would be too small to choose by, else None."""
    test = len(samples.splits["test"]) if "test" in samples.splits else int(split.test * len(samples))
    left = len(samples) - test
    if "validation" in samples.splits or split.validation * left >= FEW:
        return None
    if samples.targets.kind == "classes":
        counts = np.bincount(samples.targets.values)
        if counts[counts > 0].min() * left < (FOLDS + 1) * len(samples):
            return None
    return FOLDS if left >= 2 * FOLDS else None


def _groups_fill(folds: int, samples: Samples, config: DataConfig, strata: Strata | None, seed: int) -> bool:
    """Return whether groups of items, if there are any, can be divided into so many folds and the test split."""
    texts = groups_of(samples, config.group)
    if texts is None:
        return True
    every = np.arange(len(samples))
    rows = Rows(strata, np.ones(len(samples), dtype=bool), every, *numbered(texts))
    given = {name: indices.astype(np.int64) for name, indices in samples.splits.items()}
    try:
        drawn = split_indices(rows, given, config.split, seed=seed, folds=folds)
        fold_pieces(rows, given, drawn, folds=folds, seed=seed)
    except DataError:
        return False
    return True
