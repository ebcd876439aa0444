"""What a bundle says of the data that its network was made from."""

from __future__ import annotations

import hashlib

import numpy as np

from paddle_automl.data.samples import SPLITS
from paddle_automl.data.splits import PreparedData
from paddle_automl.deployment.rejection_records import DataRecord


def data_record(data: PreparedData) -> DataRecord | None:
    """Return the data by content, or None for data that know nothing of their items."""
    items = data.items
    if items is None:
        return None
    # Independent of the order: the same files in another folder are the same data.
    order = np.lexsort((items.splits, items.targets, items.content))
    digest = hashlib.sha256()
    for array, kind in ((items.content, "<u8"), (items.targets, "<u4"), (items.splits, "i1")):
        digest.update(np.ascontiguousarray(array[order], dtype=kind).tobytes())
    digest.update("\n".join(items.target_names).encode("utf-8"))
    counts = {name: int((items.splits == number).sum()) for number, name in enumerate(SPLITS)}
    return DataRecord(items=len(items), splits=counts, fingerprint=digest.hexdigest())


def held_out(data: PreparedData) -> bool:
    """Return whether the network was not trained on the validation split."""
    return data.items is None or "validation" not in data.items.learned
