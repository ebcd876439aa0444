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
from paddle_automl.compression.measuring import exporter_for
from paddle_automl.compression.results import Link
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters.base import Session
from paddle_automl.deployment.latency import measure_session
from paddle_automl.deployment.parity import check_parity
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.replacing import replacing_folder
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
    export itself answers. Raises OutputError, UnsupportedError.
    """
    assert link.model is not None
    found = {**metrics, "compression": link.as_dict()}
    if link.form is not Form.QUANTIZED:
        chosen = deployment.model_copy(update={"exporter": exporter_for(link.form)})
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
            exporter=exporter_for(link.form),
            preprocess=data.preprocess,
            class_names=data.class_names,
            metrics=found,
            config=config,
        )
        session = bundle.session(threads=deployment.latency.threads)
        write_samples(bundle, _Answers(session), data.validation, data.preprocess, deployment.samples)
        parity = check_parity(
            link.model,
            Predictor(bundle),
            data.validation,
            data.preprocess,
            class_names=data.class_names,
            max_difference=1.0,
            min_top1_agreement=compression.min_top1_agreement,
            raw_files=deployment.parity.raw_files,
        )
        latency = measure_session(session, context.input_shape, deployment.latency, lock=context.lock)
        bundle.updated(parity=parity, latency=latency)
    return Bundle.open(folder)


class _Answers(nn.Layer):
    """A loaded network as a layer that gives logits."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        probabilities = self._session(images.numpy())
        return paddle.to_tensor(np.log(np.maximum(probabilities, 1e-12)))
