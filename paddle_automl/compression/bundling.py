"""Bundles of compressed networks, with the parity check that fits them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.compression.base import Form
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.measuring import exporter_for, formats_for
from paddle_automl.compression.results import Link
from paddle_automl.core.folders import replacing_folder
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import add_formats, add_parity, create_bundle, time_formats
from paddle_automl.deployment.integrity import INFO
from paddle_automl.deployment.parity import Limits
from paddle_automl.deployment.samples import write_samples


def create_link_bundle(
    link: Link,
    *,
    folder: str | Path,
    context: Context,
    compression: CompressionConfig,
    deployment: DeploymentConfig,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Bundle:
    """Export a link of the chain to `folder`, compared and timed; `config` is what rebuilds the network before.

    A float network gets the parity check of every bundle. A quantized one is compared with the network as
    Paddle simulates its 8-bit arithmetic: it must give the same answer to nearly all validation items
    (`compression.min_agreement`), not equal outputs, and its samples hold what the export itself answers. Its
    further formats are made from, and compared with, the float network before the step. A format that could not
    be measured is left out. Raises OutputError, UnsupportedError.
    """
    assert link.model is not None
    found = {**metrics, "compression": link.as_dict()}
    formats = tuple(item for item in formats_for(link.form, compression.formats or ()) if item.name in link.formats)
    chosen = deployment.model_copy(update={"exporter": exporter_for(link.form), "formats": formats})
    if link.form is not Form.QUANTIZED:
        return create_bundle(
            link.model,
            folder=folder,
            data=context.data,
            deployment=chosen,
            config=config,
            metrics=found,
            lock=context.lock,
        )
    data = context.data
    with replacing_folder(folder, marker=INFO) as scratch:
        bundle = Bundle.write(
            scratch,
            model=link.model,
            exporter=chosen.exporter,
            input=data.input,
            task=data.task,
            metrics=found,
            config=config,
        )
        session = bundle.session(threads=deployment.latency.threads)
        write_samples(bundle, session, data.validation, deployment.samples)
        bundle = add_parity(bundle, link.model, data, chosen, Limits(None, compression.min_agreement))
        limits = Limits(None, compression.min_agreement, compression.max_drop)
        bundle = add_formats(bundle, link.source, formats, data, chosen, limits)
        time_formats(bundle, chosen, context.lock)
    return Bundle.open(folder)
