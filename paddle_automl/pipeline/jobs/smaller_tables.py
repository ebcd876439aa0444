"""Tables of n-grams and tokens in less space in the exported network, where its answers stay as good."""

from __future__ import annotations

import logging
import math

import numpy as np

from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.models.network import Network
from paddle_automl.models.tables import RowTable
from paddle_automl.models.text.compact_table import CompactTable, largest_rows
from paddle_automl.paddle_compat.layers import replace_layer
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import measure
from paddle_automl.training.evaluation import predict
from paddle_automl.training.goal import Goal

LEAST_MB = 1.0
"""Tables that are smaller together stay as they are."""
MOST_MB = 8.0
"""Most space of one table: with a vocabulary and what else is in it a bundle of one table has less than 12 MB."""
CHOICES = ((0.25, MOST_MB), (0.5, MOST_MB), (1.0, MOST_MB), (1.0, math.inf))
"""Fractions of the rows that are not zero, and the most space of a table: the first that costs nothing is taken.

The last leaves out no row. A network that has learned from the validation items may need its rarest n-grams to know
them again.
"""
JUDGED = 4000
"""Most validation items by which that is judged."""
NOISE, LEAST_DROP = 0.25, 5e-4
"""Accepted loss of a score between 0 and 1, in its standard errors, and in any case."""
MORE_LOSS = 1.02
"""Accepted factor of the loss."""
NUMBERS = 0.01
"""Accepted change of each predicted number, in its deviation."""
FORMATS = ("paddle_inference", "paddle_program")
"""Formats that can hold such tables."""
logger = logging.getLogger(__name__)


def with_smaller_tables(model: Network, data: PreparedData, deployment: DeploymentConfig, goal: Goal) -> Network:
    """Return `model` with compact tables of which it cannot be told on validation; it is changed in place.

    Where each choice costs something, or the exported formats cannot hold them, its tables stay as they are. A
    network that has learned from the validation items is judged on them too strictly, which does no harm.
    """
    tables = {name: layer for name, layer in model.named_sublayers() if isinstance(layer, RowTable)}
    size_mb = sum(math.prod(table.weight.shape) * 4 for table in tables.values()) / 1e6
    formats = {deployment.exporter.name, *(item.name for item in deployment.formats)}
    if deployment.tables == "plain" or size_mb < LEAST_MB or not len(data.validation):
        return model
    others = sorted(formats - set(FORMATS))
    if others:
        listing = ", ".join(others)
        logger.info(
            "tables of %.1f MB stay in float32 in all formats: %s cannot hold smaller ones", size_mb, listing
        )
        return model
    rows = data.validation.indices
    split = data.validation.with_indices(rows[:: -(-len(rows) // JUDGED)])
    model.eval()
    before = predict(model, split)
    for fraction, most_mb in CHOICES:
        kept = {name: _kept(table, fraction, most_mb) for name, table in tables.items()}
        for name, table in tables.items():
            replace_layer(model, name, CompactTable(table, kept[name], eight_bits=True))
        if _as_good(before, predict(model, split), split, goal):
            made = [layer for layer in model.sublayers() if isinstance(layer, CompactTable)]
            small_mb = (
                sum(buffer.size * buffer.element_size() for layer in made for buffer in layer.buffers()) / 1e6
            )
            share = (
                100 * sum(map(len, kept.values())) / sum(int(table.weight.shape[0]) for table in tables.values())
            )
            logger.info("tables in 8 bits with %.0f%% of their rows: %.1f MB -> %.1f MB", share, size_mb, small_mb)
            return model
    for name, table in tables.items():
        replace_layer(model, name, table)
    logger.warning(
        "tables of %.0f MB are exported in float32: 8 bits cost too much accuracy on validation", size_mb
    )
    return model


def _kept(table: RowTable, fraction: float, most_mb: float) -> np.ndarray:
    """Return the numbers of the rows to keep."""
    values = table.weight.numpy()
    count = max(int(fraction * np.any(values != 0, axis=1).sum()), 1)
    # A row has its codes and a scale; the place of every row, kept or not, takes four bytes.
    fitting = max((most_mb * 1e6 - 4 * len(values)) / (values.shape[1] + 4), 1)
    return largest_rows(values, int(min(count, fitting)))


def _as_good(before: np.ndarray, after: np.ndarray, split: Split, goal: Goal) -> bool:
    """Return whether outputs are as good as those before, but for less than noise."""
    if split.task.final.activation == "identity":
        # Each in its own unit: a column of large numbers would hide all others.
        return bool((np.abs(after - before).mean(axis=0) <= NUMBERS * before.std(axis=0)).all())
    old, new = (
        measure((goal.metric, "loss"), Predictions(outputs, split.codes, split.task)) for outputs in (before, after)
    )
    if new["loss"] > MORE_LOSS * old["loss"] + LEAST_DROP:
        return False
    score = min(max(old[goal.metric], 0.0), 1.0)
    allowed = max(NOISE * math.sqrt(score * (1 - score) / len(split)), LEAST_DROP)
    drop = old[goal.metric] - new[goal.metric]
    return (drop if goal.maximize else -drop) <= allowed
