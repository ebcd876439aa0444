"""Bundles of compressed networks, with a suitable parity check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.compression.base import Form
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.measuring import exporter_for, formats_for
from paddle_automl.compression.results import StepResult
from paddle_automl.core.folders import replacing_folder
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import add_formats, add_parity, create_bundle, time_formats
from paddle_automl.deployment.integrity import INFO
from paddle_automl.deployment.paddlex import add_files
from paddle_automl.deployment.parity import ParityLimits
from paddle_automl.deployment.provenance import data_record
from paddle_automl.deployment.refusal import prepare
from paddle_automl.deployment.runtime import lasting
from paddle_automl.deployment.samples import write_samples
from paddle_automl.models import kernels


def create_step_bundle(
    result: StepResult,
    *,
    folder: str | Path,
    context: Context,
    compression: CompressionConfig,
    deployment: DeploymentConfig,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Bundle:
    """Export a network of the chain to `folder`, with parity checks, times and samples.

    A float network gets the usual parity check. A quantized one is compared with Paddle's simulation of its 8-bit
    arithmetic: it must give the same answers for nearly all validation items (`compression.min_agreement`), not
    equal outputs, and its samples hold the outputs of the export itself. Its further formats are made from, and
    compared with, the float network before the step. Formats that could not be measured are left out. `config` is
    the configuration that rebuilds the network before the chain. Raises OutputError, UnsupportedError.
    """
    assert result.model is not None
    data = context.data.with_task(result.task)
    found = {**metrics, "compression": result.as_dict()}
    formats = tuple(
        item for item in formats_for(result.form, compression.formats or ()) if item.name in result.formats
    )
    chosen = deployment.model_copy(update={"exporter": exporter_for(result.form), "formats": formats})
    if result.form is not Form.QUANTIZED:
        return create_bundle(
            result.model,
            folder=folder,
            data=data,
            deployment=chosen,
            config=config,
            metrics=found,
            lock=context.lock,
            choice=context.score,
        )
    refusal = prepare(result.model, data.train, chosen.rejection, context.score)
    model, source = (
        item if refusal is None else refusal.in_network(item) for item in (result.model, result.source)
    )
    # The simulation takes a third of its time with the fast layers.
    with kernels.use("float32"), replacing_folder(folder, marker=INFO) as scratch:
        bundle = Bundle.write(
            scratch,
            model=model,
            exporter=chosen.exporter,
            input=data.input,
            task=data.task,
            metrics=found,
            config=config,
            facts={"data": data_record(data), "rejection": None if refusal is None else refusal.record()},
        )
        session = bundle.session(threads=deployment.latency.threads)
        write_samples(bundle, lasting(session), data.validation, deployment.samples)
        add_files(scratch, chosen.exporter.name, session, data.validation, folder, chosen.paddlex)
        bundle = add_parity(bundle, model, data, chosen, ParityLimits(None, compression.min_agreement))
        limits = ParityLimits(None, compression.min_agreement, compression.max_drop)
        bundle = add_formats(bundle, source, formats, data, chosen, limits)
        time_formats(bundle, chosen, context.lock)
    return Bundle.open(folder)
