"""A candidate of a search that is compressed before it is measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_automl.compression.base import STEPS, Form, Step, check_steps
from paddle_automl.compression.bundling import create_step_bundle
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.measuring import (
    export_network,
    exporter_for,
    format_used,
    formats_asked,
    formats_for,
    main_score,
    outputs_of,
    weights_mb,
)
from paddle_automl.compression.results import BEFORE, StepResult
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.latency import measure_session
from paddle_automl.models.network import Network
from paddle_automl.tasks.answers import recorded
from paddle_automl.tasks.base import Task
from paddle_automl.tasks.metrics.base import BundleFacts, NetworkFacts, Predictions
from paddle_automl.tasks.metrics.spelling import epoch_metrics, measure, measure_bundle, measure_network
from paddle_automl.training.evaluation import predict

AS_ASKED = "compressed according to its configuration; the search judges the result"


@dataclass(frozen=True)
class CompressedCandidate:
    """A compressed candidate in the form in which it would be used."""

    bundle: Bundle
    metrics: dict[str, float]
    """Metrics of the exported network on the validation split: those of each epoch; of the network: parameters,
    flops, and size_mb of its exported weights; of the bundle: those that are objectives."""
    facts: dict[str, Any]
    """Facts reported by each step, by its name."""


def check_candidate(model: Network, config: CompressionConfig, context: Context) -> None:
    """Raise ConfigError for options that do not fit this network; nothing is changed or run."""
    check_steps(_steps(config), model, context)


def make_candidate(
    model: Network,
    config: CompressionConfig,
    context: Context,
    *,
    folder: Path,
    deployment: DeploymentConfig,
    rebuilt_by: Mapping[str, Any],
    objectives: Sequence[str] = (),
) -> CompressedCandidate:
    """Run the chain on a copy of `model`, without gates, and measure the resulting bundle in `folder`.

    `rebuilt_by` is the configuration stored in the bundle, `objectives` are keys of metrics to measure besides the
    usual ones. Raises ConfigError, UnsupportedError or TrialError if a step fails.
    """
    check_candidate(model, config, context)
    result = _compressed(model, _steps(config), context)
    assert result.model is not None
    if config.chain():
        result.task = _tuned(result.model, result.form, context)
    split = context.data.validation.with_task(result.task)
    formats = formats_asked(config, deployment)
    result.formats = {item.name: {} for item in formats_for(result.form, formats)}
    bundle = create_step_bundle(
        result,
        folder=folder,
        context=context,
        compression=config.model_copy(update={"formats": formats}),
        deployment=deployment,
        config=rebuilt_by,
        metrics={},
    )
    session = bundle.session(threads=deployment.latency.threads)
    outputs = outputs_of(session, split)
    result.score = main_score(outputs, split)
    result.agreement = float(split.task.agree(predict(result.model, split), outputs).mean())
    result.weights_mb = weights_mb(bundle.folder)

    def latency_ms() -> float:
        first = deployment.latency.model_copy(update={"batch_sizes": deployment.latency.batch_sizes[:1] or (1,)})
        name = format_used(bundle, deployment.exporter)
        first_format = name == bundle.info.exporter.name
        timed = session if first_format else bundle.session(threads=deployment.latency.threads, name=name)
        return measure_session(timed, context.data.input, first, lock=context.lock)[0].p50_ms

    costs = {
        **measure_network(NetworkFacts(result.parameters, result.flops, result.weights_mb), objectives),
        **measure_bundle(BundleFacts(latency_ms), objectives),
    }
    keys = epoch_metrics(split.task, objectives)
    seen = measure(keys, Predictions(outputs, split.codes, split.task), known=costs)
    measured = {"validation": _rounded(seen), "costs": _rounded(costs), "compression": result.as_dict()}
    # With what the export has noted.
    metrics = {**bundle.info.metrics, **measured}
    return CompressedCandidate(bundle.updated(metrics=metrics), {**seen, **costs}, result.facts)


def _steps(config: CompressionConfig) -> list[Step]:
    return [STEPS[item.name](item) for item in config.chain()]


def _compressed(model: Network, steps: list[Step], context: Context) -> StepResult:
    """Return the last network of the chain, with the facts reported by the steps."""
    started = time.perf_counter()
    result = StepResult(BEFORE, True, AS_ASKED, Form.DENSE, model, context.task)
    result.count(model, context.specs)
    for step in steps:
        last = result
        assert last.model is not None
        outcome = step.apply(last.model, context)
        facts = {**last.facts, step.name: outcome.facts}
        result = StepResult(
            step.name, True, AS_ASKED, step.leaves, outcome.model, context.task, last.model, facts=facts
        )
        result.count(outcome.model, context.specs, last)
    result.name = " + ".join(step.name for step in steps) or BEFORE
    result.seconds = time.perf_counter() - started
    return result


def _tuned(model: Network, form: Form, context: Context) -> Task:
    """Return the task tuned on the validation outputs of the network's export (see `Task.tuned`)."""
    data = context.data
    outputs = predict(model, data.validation)
    task = context.tuned(outputs)
    chosen = data.task.tuned(outputs, data.validation.codes) is not data.task
    if not chosen or not context.tune_task or form is not Form.QUANTIZED:
        return task
    # Outputs in 8 bits differ from those of the network, so thresholds have to be chosen for them.
    with tempfile.TemporaryDirectory(prefix="paddle_automl-candidate-") as scratch:
        export = export_network(model, exporter_for(form), Path(scratch) / "model", data, threads=1)
        return context.tuned(export.outputs)


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: recorded(value) for key, value in metrics.items()}
