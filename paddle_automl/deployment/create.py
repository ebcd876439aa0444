"""From a trained network to a bundle with its parity check, its times and its samples."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.folders import replacing_folder
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.running import run_split
from paddle_automl.data.splits import PreparedData
from paddle_automl.deployment.acceptance import acceptance
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.config import DeploymentConfig, ParityConfig
from paddle_automl.deployment.coverage import intervals_record
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.formats import require_formats
from paddle_automl.deployment.integrity import subject_of
from paddle_automl.deployment.latency import measure_sessions
from paddle_automl.deployment.network import as_trained
from paddle_automl.deployment.only_answer import with_only_answer
from paddle_automl.deployment.paddlex import add_files
from paddle_automl.deployment.parity import Compared, ParityLimits, compare
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.provenance import data_record, held_out
from paddle_automl.deployment.records import FormatRecord, Latency
from paddle_automl.deployment.refusal import Refusal, calibration_record, prepare, with_threshold
from paddle_automl.deployment.rejection_records import Choice
from paddle_automl.deployment.repair import BeyondRepairError, Repaired
from paddle_automl.deployment.samples import with_own_outputs, write_samples
from paddle_automl.inputs.base import Arrays
from paddle_automl.tasks.base import spread

logger = logging.getLogger(__name__)

CALIBRATION_ITEMS = 256
"""Number of training items with which an 8-bit format is calibrated."""


def limits_of(parity: ParityConfig, *, exact: bool) -> ParityLimits:
    """Return the limits for a format that equals its network up to rounding (`exact`), or for one in 8 bits."""
    if exact:
        return ParityLimits(parity.max_difference, parity.min_agreement)
    return ParityLimits(None, parity.min_agreement_int8, parity.max_drop_int8)


def create_bundle(
    model: Any,
    *,
    folder: str | Path,
    data: PreparedData,
    deployment: DeploymentConfig,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    lock: Path | None = None,
    choice: Choice | None = None,
) -> Bundle:
    """Export `model` (arrays of `data.input` to raw outputs of `data.task`) to `folder`.

    Every format of the bundle is compared with the network on the whole validation split and on files, and is
    timed; samples are added. A bundle that fails the comparison is kept and marked: see `Bundle.verified`. The
    finished bundle replaces an earlier one in one step. The bundle's task is `data.task`, which has to be the one
    tuned by the training. `config` is the configuration that rebuilds the network; `lock` is the file that is
    locked while times are measured. `choice` is the rejection score that was found to be the best. Raises
    OutputError, UnsupportedError, ConfigError.
    """
    formats = check_needs(deployment)
    refusal = prepare(model, data.train, deployment.rejection, choice)

    def first_format(scratch: Path, refusal: Refusal | None) -> Bundle:
        exported = model if refusal is None else refusal.in_network(model)
        bundle = Bundle.write(
            scratch,
            model=exported,
            exporter=deployment.exporter,
            input=data.input,
            task=data.task,
            metrics=metrics,
            config=config,
            facts={"data": data_record(data), "rejection": None if refusal is None else refusal.record()},
        )
        write_samples(bundle, as_trained(model, data.task.final), data.validation, deployment.samples)
        add_files(scratch, deployment.exporter.name, bundle.session(), data.validation, folder, deployment.paddlex)
        exact = EXPORTERS[deployment.exporter.name].exact
        return add_parity(bundle, exported, data, deployment, limits_of(deployment.parity, exact=exact))

    with replacing_folder(folder, marker=INFO) as scratch:
        bundle = first_format(scratch, refusal)
        parity = bundle.info.parity
        if refusal is not None and parity is not None and refusal.at_fault(parity):
            # A fault of the runtime in the second output must not cost the bundle.
            name, refusal = refusal.score.name, refusal.by_outputs(deployment.rejection)
            instead = "no item is refused" if refusal is None else f"{refusal.score.name} is used"
            logger.warning("rejection: the exported network computes another %s; %s", name, instead)
            empty(scratch)
            bundle = first_format(scratch, refusal)
        exported = model if refusal is None else refusal.in_network(model)
        bundle = add_formats(bundle, exported, formats, data, deployment)
        time_formats(bundle, deployment, lock)
    return Bundle.open(folder)


def empty(folder: Path) -> None:
    """Remove everything in a folder."""
    for item in folder.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
        else:
            item.unlink()


def check_needs(deployment: DeploymentConfig) -> tuple[PluginConfig, ...]:
    """Return the further formats.

    Raises ConfigError if one equals the first, or the first is in 8 bits, UnsupportedError without a package.
    """
    first = deployment.exporter.name
    if EXPORTERS[first].calibrated:
        # Predictions fall back to the first format, and it is never repaired.
        raise ConfigError(
            f"deployment.exporter: {first} computes in 8 bits, and the first format of a bundle must be one in "
            f"float, such as paddle_inference or onnx; add {first} to deployment.formats"
        )
    require_formats([deployment.exporter, *deployment.formats])
    if deployment.exporter.name in [item.name for item in deployment.formats]:
        raise ConfigError(
            f"deployment.formats: {deployment.exporter.name} is already deployment.exporter; name other formats"
        )
    return tuple(deployment.formats)


def add_parity(
    bundle: Bundle, model: Any, data: PreparedData, deployment: DeploymentConfig, limits: ParityLimits
) -> Bundle:
    """Compare the bundle's first format with the network; return the bundle with the result.

    The threshold of its rejection score is set, and the calibration of its answers is measured.
    """
    name = bundle.info.exporter.name
    found = _compared(bundle, name, model, data, deployment, limits)
    seen = held_out(data)
    bundle = bundle.updated(
        parity=found.record,
        metrics=with_only_answer(bundle.info.metrics, data.task, found.outputs, data.validation.codes),
        calibration=calibration_record(data.task, found.outputs, data.validation.codes, seen),
        intervals=intervals_record(data.task, found.outputs, data.validation.codes, seen),
        rejection=with_threshold(bundle.info.rejection, name, found.scores, seen),
    )
    return with_own_outputs(bundle, name)


def add_formats(
    bundle: Bundle,
    model: Any,
    formats: Sequence[PluginConfig],
    data: PreparedData,
    deployment: DeploymentConfig,
    int8: ParityLimits | None = None,
) -> Bundle:
    """Export `model` to further formats of the bundle and compare each; `int8`: limits of those in 8 bits.

    A format in 8 bits that exceeds its limits leaves the layers that do most damage in float.
    Each format has its own threshold of the rejection score, so that 8 bits refuse no more of the known items.
    """
    calibration, outputs = calibration_arrays(data, formats), as_trained(model, data.task.final)
    for config in formats:
        plugin = EXPORTERS[config.name]
        folder = bundle.folder / config.name
        folder.mkdir()
        limits = limits_of(deployment.parity, exact=plugin.exact) if plugin.exact or int8 is None else int8
        exporter = plugin(config)
        arguments: dict[str, Any] = {
            "specs": data.input.specs,
            "final": data.task.final,
            "calibration": calibration,
        }
        accept = acceptance(partial(run_split, data.validation, outputs), data.validation, limits)
        try:
            repaired = exporter.export_accepted(model, folder, **arguments, accept=accept)
        except BeyondRepairError as error:
            # Its parity check then says by how much it is beyond the limits.
            logger.warning("%s", error)
            exporter.export(model, folder, **arguments)
            repaired = Repaired()
        record = FormatRecord(exporter=config, float_layers=repaired.layers, layers=repaired.of)
        others = list(bundle.info.formats)
        bundle = bundle.updated(formats=[*others, record])
        found = _compared(bundle, config.name, model, data, deployment, limits)
        bundle = bundle.updated(
            formats=[*others, record.model_copy(update={"parity": found.record})],
            rejection=with_threshold(bundle.info.rejection, config.name, found.scores, held_out(data)),
        )
        bundle = with_own_outputs(bundle, config.name)
    return bundle


def time_formats(bundle: Bundle, deployment: DeploymentConfig, lock: Path | None) -> Bundle:
    """Time all formats in turn and find the fastest verified one, or the first; return the updated bundle."""
    first, latency = bundle.info.exporter.name, deployment.latency
    times: dict[str, list[Latency]] = {name: [] for name in bundle.formats}
    for threads in dict.fromkeys((latency.threads, *latency.further_threads)):
        sessions = {name: bundle.session(threads=threads, name=name) for name in bundle.formats}
        changed = latency.model_copy(update={"threads": threads})
        for name, found in measure_sessions(sessions, bundle.input, changed, lock=lock).items():
            times[name] += found
    records = [
        record.model_copy(update={"latency": tuple(times[record.exporter.name])}) for record in bundle.info.formats
    ]
    candidates = {name: found for name, found in times.items() if bundle.record_of(name).verified}
    fastest = _fastest(candidates or {first: times[first]})
    return bundle.updated(latency=times[first], formats=records, fastest=fastest)


def _fastest(times: Mapping[str, Sequence[Latency]]) -> str | None:
    medians = {name: found[0].p50_ms for name, found in times.items() if found}
    return min(medians, key=lambda name: medians[name]) if medians else None


def calibration_arrays(data: PreparedData, formats: Sequence[PluginConfig]) -> Arrays | None:
    """Return some training items of all classes as the network's arrays, if one of the formats needs them."""
    if not any(EXPORTERS[item.name].calibrated for item in formats):
        return None
    strata = data.task.strata(data.train.codes)
    return data.input.batch(data.train.raw(spread(strata, len(data.train), CALIBRATION_ITEMS)))


def _compared(
    bundle: Bundle, name: str, model: Any, data: PreparedData, deployment: DeploymentConfig, limits: ParityLimits
) -> Compared:
    found = compare(
        model,
        Predictor(bundle, runtime=name, reject=False),
        data.validation,
        limits=limits,
        raw_files=deployment.parity.raw_files,
    )
    return replace(found, record=found.record.model_copy(update={"subject": subject_of(bundle.info, name)}))
