"""Items that the network which a training starts from has learned before: no result may be judged on them."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.items import NOWHERE, UNREADABLE, ItemList
from paddle_automl.data.samples import SPLITS

log = logging.getLogger(__name__)

_TEST = "the test split"


def kept_for_training(items: ItemList, learned: np.ndarray, units: np.ndarray, word: str) -> ItemList:
    """Return the list with every item whose content is in `learned`, uint64 ``[M]``, in the training split.

    `units`, int64 ``[N]``, has the same number for items that stay together. What moves is logged in one line;
    where nothing does, `items` is returned. Raises DataError if validation, or a fold, would have no items left.
    """
    known = np.isin(items.content, learned) & (items.content != UNREADABLE)
    moved = np.isin(units, units[known]) & (items.splits != NOWHERE)
    splits = np.where(moved, SPLITS.index("train"), items.splits).astype(items.splits.dtype)
    folds = None if items.folds is None else np.where(moved, NOWHERE, items.folds).astype(items.folds.dtype)
    found = replace(items, splits=splits, folds=folds)
    told = []
    for place, rows in _judging(items).items():
        if count := int(moved[rows].sum()):
            told.append(f"{count} of {len(rows)} {word}s of {place}")
            if count == len(rows) and place != _TEST:
                raise DataError(
                    f"model.pretrained: its network has learned all {count} {word}s of {place} already, so that "
                    "nothing could be judged on them; start from a network that was trained on the training split "
                    "alone, such as one in the folder 'trials' of that search, with the same seed, data.split and "
                    "data.folds: null, or from one of other data"
                )
    if not told:
        return items
    log.warning(
        "model.pretrained: its network has learned %s already; they are for training, since scores on them would "
        "be too good",
        ", ".join(told),
    )
    return found


def _judging(items: ItemList) -> dict[str, np.ndarray]:
    """Return the rows of each split that results are judged on, by its name in a message; of each fold too."""
    ordinary = items.indices()
    found = {"the validation split": ordinary["validation"], _TEST: ordinary["test"]}
    for fold in range(0 if items.folds is None else int(items.folds.max(initial=NOWHERE)) + 1):
        found[f"fold {fold}"] = items.indices(fold)["validation"]
    return found
