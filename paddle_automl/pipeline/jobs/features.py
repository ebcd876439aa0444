"""Compute a part of the features of a frozen backbone, before the trials use them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from paddle_automl.core.schema import Section
from paddle_automl.data.items import ItemList
from paddle_automl.data.remembering import Remembered
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.feature_views import ViewStore, has_views
from paddle_automl.pipeline.frozen import FeatureStore
from paddle_automl.pipeline.jobs.base import enter, load_data
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.search.executors.base import Worker


@dataclass(frozen=True)
class FeaturesRequest:
    """Compute the part ``(index, number of parts)`` of the features for `config`; `items` is the file with the list
    of its data, `views_s` the time for views (`data.feature_views`) in seconds; None: no limit."""

    config: RunConfig
    part: tuple[int, int]
    items: Path | None = None
    views_s: float | None = None


class FeaturesResult(Section):
    """The end of a part."""

    items: int
    """Number of items of the data."""
    views: int = 0
    """Views that were computed."""


def run(request: FeaturesRequest, worker: Worker) -> FeaturesResult:
    """Compute and store the features; reports the number of items that are done, of all views too.

    Reports about views have ``most_s``, the seconds that are left for them if they are limited.
    """
    enter(worker)
    config = request.config
    remembered = None if request.items is None else Remembered(ItemList.read(request.items))
    data = load_data(config, worker, remembered=remembered)

    def progress(done: int, items: int) -> bool:
        return worker.report(done, {"items": float(items)})

    store, items, views = FeatureStore(worker.scratch), len(data.train.everything.codes), 0
    make = cache(lambda: make_model(config, data))
    store.compute(config.model, data, make, request.part, progress)
    if has_views(config):
        end = None if request.views_s is None else time.monotonic() + request.views_s

        def viewed(done: int, items: int) -> bool:
            left = {} if end is None else {"most_s": max(0.0, end - time.monotonic())}
            return worker.report(done, {"items": float(items), "views": 1.0, **left})

        views = ViewStore(worker.scratch, config, data).compute(make(), request.part, end, viewed)
    return FeaturesResult(items=items, views=views)
