"""The measured process of `benchmark startup`: a trial up to its first step."""

from __future__ import annotations

import time

import paddle

from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import Shared, enter, load_data
from paddle_automl.pipeline.jobs.costs import network_costs
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.learner import Learner


def run(config: RunConfig, worker: Worker) -> dict[str, list[tuple[float, float]]]:
    """Return clock and CPU time after each of `startup.PARTS`, for a trial of this configuration."""
    marks = [_now()]
    enter(worker)
    marks.append(_now())
    data = load_data(config, worker)
    marks.append(_now())
    model = make_model(config, data)
    marks.append(_now())
    network_costs(model, data, config, Shared(), worker)
    marks.append(_now())
    size = config.training.batch_size
    learner = Learner.on(model, data, config.training, device=worker.device)
    augment = build_augmenter(config.data.augment, data.input)
    batch = next(data.train.batches(size, rng=generator(0, "batches"), augment=augment, drop_last=True))
    learner.begin(1)
    marks.append(_now())
    inputs = [paddle.to_tensor(array) for array in batch.inputs.values()]
    float(learner.step(inputs, paddle.to_tensor(batch.targets)))
    marks.append(_now())
    return {"marks": marks}


def _now() -> tuple[float, float]:
    return time.time(), time.process_time()
