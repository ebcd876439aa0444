"""From a trained network to a bundle with its proof, its speed and its samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.folders import replacing_folder
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.parts import PreparedData
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.config import DeploymentConfig, ParityConfig
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.formats import require_formats
from paddle_automl.deployment.latency import measure_sessions
from paddle_automl.deployment.parity import check_parity
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.records import FormatRecord, Latency, ParityCertificate
from paddle_automl.deployment.samples import spread, write_samples

CALIBRATION_IMAGES = 256
"""Training images that a format in 8 bits looks at."""


@dataclass(frozen=True)
class Limits:
    """When an export counts as predicting what its network predicts; see `ParityConfig`."""

    max_difference: float
    min_top1_agreement: float
    max_accuracy_drop: float | None = None


def limits_of(parity: ParityConfig, *, exact: bool) -> Limits:
    """Return the limits for a format that answers as its network does, or for one in 8 bits."""
    if exact:
        return Limits(parity.max_difference, parity.min_top1_agreement)
    return Limits(1.0, parity.min_top1_agreement_int8, parity.max_accuracy_drop_int8)


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

    Every format of the bundle is compared with the network on the whole validation part and on files, and is
    timed; the bundle gets samples. One that fails the comparison is kept and marked: see `Bundle.verified`. It
    takes its place in one step, over an earlier bundle if there is one. `config` is what rebuilds the network;
    `lock` is the file under which times are measured. Raises OutputError, UnsupportedError, ConfigError.
    """
    formats = check_needs(deployment)
    with replacing_folder(folder, marker=INFO) as scratch:
        bundle = Bundle.write(
            scratch,
            model=model,
            exporter=deployment.exporter,
            preprocess=data.preprocess,
            class_names=data.class_names,
            metrics=metrics,
            config=config,
            images=calibration_images(data, [deployment.exporter]),
        )
        write_samples(bundle, model, data.validation, data.preprocess, deployment.samples)
        exact = EXPORTERS[deployment.exporter.name].exact
        bundle = prove(bundle, model, data, deployment, limits_of(deployment.parity, exact=exact))
        bundle = add_formats(bundle, model, formats, data, deployment)
        time_formats(bundle, deployment, lock)
    return Bundle.open(folder)


def check_needs(deployment: DeploymentConfig) -> tuple[PluginConfig, ...]:
    """Return the further formats; raises where one is the first once more, or needs what is not installed."""
    require_formats([deployment.exporter, *deployment.formats])
    if deployment.exporter.name in [item.name for item in deployment.formats]:
        raise ConfigError(
            f"deployment.formats: {deployment.exporter.name} is deployment.exporter already; name other formats"
        )
    return tuple(deployment.formats)


def prove(bundle: Bundle, model: Any, data: PreparedData, deployment: DeploymentConfig, limits: Limits) -> Bundle:
    """Compare the bundle's first format with the network; return the bundle with the certificate."""
    return bundle.updated(parity=_certificate(bundle, bundle.info.exporter.name, model, data, deployment, limits))


def add_formats(
    bundle: Bundle,
    model: Any,
    formats: Sequence[PluginConfig],
    data: PreparedData,
    deployment: DeploymentConfig,
    int8: Limits | None = None,
) -> Bundle:
    """Export `model` in further formats into the bundle, each proven; `int8` are the limits of those in 8 bits."""
    images = calibration_images(data, formats)
    for config in formats:
        plugin = EXPORTERS[config.name]
        folder = bundle.folder / config.name
        folder.mkdir()
        plugin(config).export(model, folder, input_shape=data.preprocess.input_shape, images=images)
        others = list(bundle.info.formats)
        bundle = bundle.updated(formats=[*others, FormatRecord(exporter=config)])
        limits = limits_of(deployment.parity, exact=plugin.exact) if plugin.exact or int8 is None else int8
        parity = _certificate(bundle, config.name, model, data, deployment, limits)
        bundle = bundle.updated(formats=[*others, FormatRecord(exporter=config, parity=parity)])
    return bundle


def time_formats(bundle: Bundle, deployment: DeploymentConfig, lock: Path | None) -> Bundle:
    """Time all formats in turn and say which verified one is the fastest; return the bundle with that."""
    threads, first = deployment.latency.threads, bundle.info.exporter.name
    sessions = {name: bundle.session(threads=threads, name=name) for name in bundle.formats}
    times = measure_sessions(sessions, tuple(bundle.info.input_shape), deployment.latency, lock=lock)
    records = [
        record.model_copy(update={"latency": tuple(times[record.exporter.name])}) for record in bundle.info.formats
    ]
    candidates = {first: times[first]} | {
        record.exporter.name: times[record.exporter.name] for record in records if record.verified
    }
    return bundle.updated(latency=times[first], formats=records, fastest=_fastest(candidates))


def _fastest(times: Mapping[str, Sequence[Latency]]) -> str | None:
    medians = {name: found[0].p50_ms for name, found in times.items() if found}
    return min(medians, key=lambda name: medians[name]) if medians else None


def calibration_images(data: PreparedData, formats: Sequence[PluginConfig]) -> np.ndarray | None:
    """Return some training images of all classes, normalized, float32 [M, C, H, W], if a format looks at them."""
    if all(EXPORTERS[item.name].exact for item in formats):
        return None
    return data.preprocess.normalize(data.train.raw(spread(data.train.labels, CALIBRATION_IMAGES)))


def _certificate(
    bundle: Bundle, name: str, model: Any, data: PreparedData, deployment: DeploymentConfig, limits: Limits
) -> ParityCertificate:
    return check_parity(
        model,
        Predictor(bundle, runtime=name),
        data.validation,
        data.preprocess,
        class_names=data.class_names,
        max_difference=limits.max_difference,
        min_top1_agreement=limits.min_top1_agreement,
        max_accuracy_drop=limits.max_accuracy_drop,
        raw_files=deployment.parity.raw_files,
    )
