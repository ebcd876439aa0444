"""The measured process of `benchmark startup`: what a trial does, up to its first step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import paddle

from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.pipeline.jobs.train import enter_worker, load_data, model_costs
from paddle_automl.training.learner import Learner


def begin_trial(payload: Mapping[str, Any], report: Callable[[int, Mapping[str, float]], bool]) -> dict[str, Any]:
    """Return clock and CPU time after each of `startup.PARTS`; the payload is that of a trial."""
    marks = [_now()]
    config = enter_worker(payload)
    marks.append(_now())
    data = load_data(config, payload)
    marks.append(_now())
    model = make_model(config, data)
    marks.append(_now())
    model_costs(model, data, config, {**payload, "objectives": ()})
    marks.append(_now())
    size = config.training.batch_size
    learner = Learner.on(model, data, config.training, device=payload["device"])
    augment = build_augmenter(config.data.augment)
    batch = next(data.train.batches(size, rng=generator(0, "batches"), augment=augment, drop_last=True))
    learner.begin(1)
    marks.append(_now())
    float(learner.step(paddle.to_tensor(batch.images), paddle.to_tensor(batch.targets)))
    marks.append(_now())
    return {"marks": marks}


def _now() -> tuple[float, float]:
    return time.time(), time.process_time()
