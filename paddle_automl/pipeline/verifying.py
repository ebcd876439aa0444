"""The data on which the formats of a bundle are compared with each other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import AutoMLError, DataError
from paddle_automl.core.loading import load_config
from paddle_automl.core.paths import located, readable
from paddle_automl.data.prepare import read_all
from paddle_automl.data.splits import Split
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.inputs.base import Source
from paddle_automl.pipeline.config import RunConfig

logger = logging.getLogger(__name__)

BATCH_SIZE = 32
CONFIGURATIONS = (".yaml", ".yml")


def batches_for(bundle: Bundle, data: str | Path) -> Iterator[np.ndarray]:
    """Return the raw items of `data` in batches, ``[n, ...]``, as the bundle reads them.

    `data` is a configuration, whose whole data set is meant, or a folder, list or file as prediction takes them;
    no labels are needed. Raises ConfigError for a wrong configuration and DataError for a place that does not exist
    or names no items; the batches raise DataError if none of the items can be read.
    """
    place = located(data)
    if not place.exists():
        raise DataError(f"{readable(place)}: no such file or folder; name items, or a configuration of a data set")
    if place.suffix.lower() in CONFIGURATIONS:
        return _of_split(_split(bundle, place))
    return _of_files(bundle, bundle.input.find([place]), place)


def _split(bundle: Bundle, place: Path) -> Split:
    config, stated = load_config(RunConfig, place), bundle.input.stated()
    options = config.data if stated is None else config.data.model_copy(update={"input": stated})
    return read_all(options, input=bundle.input, task=bundle.task)


def _of_split(split: Split) -> Iterator[np.ndarray]:
    for start in range(0, len(split), BATCH_SIZE):
        yield split.raw(np.arange(start, min(start + BATCH_SIZE, len(split))))


def _of_files(bundle: Bundle, sources: Iterable[Source], place: Path) -> Iterator[np.ndarray]:
    items: list[np.ndarray] = []
    read = 0
    for source in sources:
        try:
            items.append(bundle.input.read(source))
        except (AutoMLError, OSError) as error:
            logger.warning("left out: %s", error)
            continue
        read += 1
        if len(items) == BATCH_SIZE:
            yield np.stack(items)
            items = []
    if items:
        yield np.stack(items)
    if not read:
        raise DataError(f"{readable(place)}: has no {bundle.input.word} that can be read")
