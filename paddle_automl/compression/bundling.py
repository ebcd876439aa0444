"""Bundles of compressed networks, with the proof that fits them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from paddle_automl.compression.base import Form
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.context import Context
from paddle_automl.compression.measuring import exporter_for, formats_for
from paddle_automl.compression.results import Link
from paddle_automl.core.folders import replacing_folder
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import Limits, add_formats, create_bundle, prove, time_formats
from paddle_automl.deployment.exporters.base import Session
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
    """Export a link of the chain to `folder`, proven and timed; `config` is what rebuilds the network before.

    A float network gets the certificate of every bundle. A quantized one is compared with the network as
    Paddle simulates its 8-bit arithmetic: its certificate asks for the same class on nearly all validation
    images (`compression.min_top1_agreement`), not for equal probabilities, and its samples hold what the
    export itself answers. Its further formats are made from, and compared with, the float network before the
    step. A format that could not be measured is left out. Raises OutputError, UnsupportedError.
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
            preprocess=data.preprocess,
            class_names=data.class_names,
            metrics=found,
            config=config,
        )
        session = bundle.session(threads=deployment.latency.threads)
        write_samples(bundle, _Answers(session), data.validation, data.preprocess, deployment.samples)
        limits = Limits(1.0, compression.min_top1_agreement)
        bundle = prove(bundle, link.model, data, chosen, limits)
        limits = Limits(1.0, compression.min_top1_agreement, compression.max_accuracy_drop)
        bundle = add_formats(bundle, link.source, formats, data, chosen, limits)
        time_formats(bundle, chosen, context.lock)
    return Bundle.open(folder)


class _Answers(nn.Layer):
    """A loaded network as a layer that gives logits."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        probabilities = self._session(images.numpy())
        return paddle.to_tensor(np.log(np.maximum(probabilities, 1e-12)))
