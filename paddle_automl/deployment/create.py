"""From a trained network to a bundle with its proof, its speed and its samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.data.parts import PreparedData
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.latency import measure_session
from paddle_automl.deployment.parity import check_parity
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.replacing import replacing_folder
from paddle_automl.deployment.samples import write_samples


def create_bundle(
    model: Any,
    *,
    folder: str | Path,
    data: PreparedData,
    deployment: DeploymentConfig,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    lock: Path | None = None,
) -> Bundle:
    """Export `model` (normalized images, float32 [N, C, H, W], to logits, float32 [N, K]) to `folder`.

    The bundle is compared with the network on the whole validation part and on files, is timed, and gets
    samples; one that fails the comparison is kept and marked: see `Bundle.verified`. It takes its place in
    one step, over an earlier bundle if there is one. `config` is what rebuilds the network; `lock` is the
    file under which times are measured. Raises OutputError, UnsupportedError.
    """
    with replacing_folder(folder, marker=INFO) as scratch:
        bundle = Bundle.write(
            scratch,
            model=model,
            exporter=deployment.exporter,
            preprocess=data.preprocess,
            class_names=data.class_names,
            metrics=metrics,
            config=config,
        )
        write_samples(bundle, model, data.validation, data.preprocess, deployment.samples)
        parity = check_parity(
            model,
            Predictor(bundle),
            data.validation,
            data.preprocess,
            class_names=data.class_names,
            max_difference=deployment.parity.max_difference,
            min_top1_agreement=deployment.parity.min_top1_agreement,
            raw_files=deployment.parity.raw_files,
        )
        shape = tuple(bundle.info.input_shape)
        session = bundle.session(threads=deployment.latency.threads)
        latency = measure_session(session, shape, deployment.latency, lock=lock)
        bundle.updated(parity=parity, latency=latency)
    return Bundle.open(folder)
