"""The evaluator: one training of one configuration, as a job that runs in a process of its own.

This is where search and training meet: a job is called as ``function(payload, report)`` and returns a
mapping. Everything that touches Paddle in a command goes through the jobs of this package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.files import write_json
from paddle_automl.core.loading import validate
from paddle_automl.core.log import configure_logging
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.parts import PreparedData
from paddle_automl.data.prepare import prepare
from paddle_automl.deployment.latency import measure_model_latency
from paddle_automl.models import kernels
from paddle_automl.models.classifier import Classifier
from paddle_automl.models.profile import profile
from paddle_automl.paddle_compat.device import disable_signal_handler, set_device, set_threads
from paddle_automl.pipeline.config import GOALS, RunConfig
from paddle_automl.pipeline.jobs.networks import context_of, guides_of, make_model
from paddle_automl.pipeline.runs.sources import BUNDLE_FOLDER
from paddle_automl.pipeline.runs.trials import RESULT_FILE, split_seed
from paddle_automl.training.loop import train

logger = logging.getLogger(__name__)

Report = Callable[[int, Mapping[str, float]], bool]


def enter_worker(payload: Mapping[str, Any]) -> RunConfig:
    """Set up a worker process: log, device, threads; return the job's configuration."""
    configure_logging()
    logging.getLogger("paddle_automl").addHandler(_Notes())
    disable_signal_handler()
    set_threads(int(payload["threads"]))
    # The fast layers' threads spin while they wait: with two on a busy machine a step took eight times as long.
    kernels.set_threads(1)
    set_device(payload["device"])
    logger.info("device %s, threads %s", payload["device"], payload["threads"])
    return validate(RunConfig, payload["config"])


class _Notes(logging.Handler):
    """Keeps the warnings of this worker, each once: they are for the person, not only for the log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: dict[str, None] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.texts[record.getMessage()] = None


def notes() -> list[str]:
    """Return the warnings of this worker so far."""
    found = [handler for handler in logging.getLogger("paddle_automl").handlers if isinstance(handler, _Notes)]
    return [text for handler in found for text in handler.texts]


def load_data(config: RunConfig, payload: Mapping[str, Any]) -> PreparedData:
    """Return the prepared data of a configuration, using the cache folder named in the payload."""
    cache = payload.get("cache")
    return prepare(config.data, seed=split_seed(config), cache_dir=Path(cache) if cache else None)


def train_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Train one configuration and return its metrics.

    Payload: `config`; `folder` for weights, metrics and the result; `objectives`, the metrics to measure;
    `on`, the part to train on; `cache`, `lock`, `device`, `threads`. The result's `metrics` are those of the
    best epoch on validation, with parameters, FLOPs, size and, where asked for, latency; with
    `compression.in_trials` those of the compressed network.
    """
    config = enter_worker(payload)
    folder = Path(payload["folder"])
    data = load_data(config, payload)
    model = make_model(config, data)
    # What a compressed network costs is known at the end alone.
    costs = {} if config.compression.in_trials else model_costs(model, data, config, payload)
    metric = config.epoch_metric()
    result = train(
        model,
        data,
        config.training,
        metric=metric,
        goal=GOALS[metric],
        seed=config.seed,
        folder=folder,
        augment=build_augmenter(config.data.augment),
        # What a network costs is known from the start: with several objectives schedulers compare it too.
        report=lambda epoch, metrics: report(epoch, {**costs, **metrics}),
        on=payload.get("on", "train"),
        frozen_epochs=config.model.frozen_epochs,
        backbone_rate=config.model.pretrained_rate,
        device=payload["device"],
        guides=guides_of(config, data, model, payload),
    )
    logger.info("precision: %s", result.amp)
    outcome = {
        "metrics": {**result.metrics, **costs},
        **_compressed(config, data, model, payload),
        "best_epoch": result.best_epoch,
        "epochs_run": result.epochs_run,
        "stopped": result.stopped,
        "seconds": round(result.seconds, 3),
        "skipped_files": [[str(file), reason] for file, reason in data.skipped],
        "on": payload.get("on", "train"),
        "classes": list(data.class_names),
        "preprocess": data.preprocess.model_dump(mode="json"),
        "notes": notes(),
    }
    write_json(folder / RESULT_FILE, outcome)
    return outcome


def _compressed(
    config: RunConfig, data: PreparedData, model: Classifier, payload: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metrics of the compressed network and what the steps told; nothing where none is asked for.

    The network before is kept in the folder's weights, the compressed one in the folder's bundle.
    """
    if not config.compression.in_trials:
        return {}
    from paddle_automl.compression.candidate import make_candidate

    candidate = make_candidate(
        model,
        config.compression,
        context_of(config, data, model, payload),
        folder=Path(payload["folder"]) / BUNDLE_FOLDER,
        deployment=config.deployment,
        rebuilt_by=payload["config"],
        latency="latency_ms" in payload.get("objectives", ()),
    )
    logger.info("compressed: %s", candidate.metrics)
    return {"metrics": candidate.metrics, "compression": candidate.facts}


def model_costs(
    model: Classifier, data: PreparedData, config: RunConfig, payload: Mapping[str, Any]
) -> dict[str, float]:
    """Return parameters, flops and size_mb of a network, and latency_ms where it is an objective."""
    facts = profile(model, data.input_shape)
    costs = {"parameters": float(facts.parameters), "flops": float(facts.flops), "size_mb": facts.size_mb}
    if "latency_ms" in payload.get("objectives", ()):
        costs["latency_ms"] = measure_model_latency(
            model, data.input_shape, config.deployment.latency, lock=Path(payload["lock"])
        )
    return costs
