"""Jobs around a trained network: the one test, the bundle with its proof, and evaluation on a part."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.folders import replacing_folder
from paddle_automl.data.parts import Part, PreparedData
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.deployment.bundle import INFO, Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.pipeline.jobs.base import returning_errors
from paddle_automl.pipeline.jobs.networks import load_trained, recorded_facts
from paddle_automl.pipeline.jobs.train import Report, enter_worker, load_data, model_costs
from paddle_automl.pipeline.runs.sources import BUNDLE_FOLDER
from paddle_automl.pipeline.runs.trials import WEIGHTS_FILE
from paddle_automl.training.evaluation import evaluate, predict_probabilities
from paddle_automl.training.metrics import confusion_matrix, per_class, scores, worst_mistakes

logger = logging.getLogger(__name__)


@returning_errors
def export_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Test a trained network once, export it as a bundle and prove the bundle.

    Payload: `config`, `run` (folder with the weights), `bundle` (folder to write), `note` on the metrics,
    `test` (whether to use the test part now), `cache`, `lock`, `device`, `threads`.
    """
    config = enter_worker(payload)
    run, target = Path(payload["run"]), Path(payload["bundle"])
    data = load_data(config, payload)
    if config.compression.in_trials:
        return _ship_compressed(run / BUNDLE_FOLDER, target, data, payload)
    model = load_trained(config, data, run / WEIGHTS_FILE)
    metrics: dict[str, Any] = {
        "validation": payload["validation"]
        if "validation" in payload
        else _rounded(evaluate(model, data.validation)),
        "costs": _rounded(model_costs(model, data, config, payload)),
    }
    if payload.get("note"):
        metrics["note"] = payload["note"]
    if payload.get("test", True) and len(data.test):
        metrics["test"] = _rounded(evaluate(model, data.test))
    report(1, {})
    bundle = create_bundle(
        model,
        folder=target,
        data=data,
        deployment=config.deployment,
        config=payload["config"],
        metrics=metrics,
        lock=Path(payload["lock"]),
    )
    return describe_bundle(bundle)


def _ship_compressed(source: Path, target: Path, data: PreparedData, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Copy the bundle that a run's compression made, with its proof, and test it once."""
    bundle = Bundle.open(source)
    if target.resolve() != source.resolve():
        with replacing_folder(target, marker=INFO) as scratch:
            shutil.copytree(source, scratch, dirs_exist_ok=True)
        bundle = Bundle.open(target)
    if payload.get("test", True) and len(data.test):
        # The format that validation was measured with, whichever is the fastest here.
        runtime = bundle.info.exporter.name
        predictor = Predictor(bundle, threads=int(payload["threads"]), runtime=runtime)
        found = predict_part(predictor, data.test)
        metrics = {**bundle.info.metrics, "test": _rounded(scores(found, data.test.labels))}
        bundle = bundle.updated(metrics=metrics)
    return describe_bundle(bundle)


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return what a command shows of a bundle: metrics, parity, latency, size, formats, verified."""
    facts = bundle.info.model_dump(mode="json")
    return {
        "bundle": str(bundle.folder),
        "metrics": facts["metrics"],
        "parity": facts["parity"],
        "parity_summary": bundle.info.parity.describe() if bundle.info.parity else "not compared",
        "latency": facts["latency"],
        "formats": [
            {
                "name": item.exporter.name,
                "parity_summary": item.parity.describe() if item.parity else "not compared",
                "latency": [record.model_dump(mode="json") for record in item.latency],
                "verified": item.verified,
            }
            for item in bundle.info.formats
        ],
        "fastest": bundle.info.fastest,
        "size_mb": round(bundle.size_mb, 4),
        "verified": bundle.verified,
    }


@returning_errors
def evaluate_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Evaluate a bundle or a run on one part of its data.

    Payload: `config`, `part` (train, validation or test), `bundle` or `run`, `mistakes` (how many worst
    ones to list), `runtime` of a bundle (see `Predictor`). Returns metrics, per-class figures, the confusion
    matrix and the worst mistakes.
    """
    config = enter_worker(payload)
    data = load_data(config, payload)
    part: Part = getattr(data, payload["part"])
    if not len(part):
        raise DataError(f"data: has no {payload['part']} part; choose another one with --part")
    if payload.get("bundle"):
        runtime = payload.get("runtime", "auto")
        predictor = Predictor(payload["bundle"], threads=int(payload["threads"]), runtime=runtime)
        names = predictor.class_names
        probabilities = predict_part(predictor, part)
    else:
        names, own = trained_facts(Path(payload["run"]), data)
        # The network expects pixels normalized as in its training, whatever data it is evaluated on.
        part.preprocess = own
        known = replace(data, class_names=names, preprocess=own)
        probabilities, _ = predict_probabilities(
            load_trained(config, known, Path(payload["run"]) / WEIGHTS_FILE), part
        )
    labels = labels_of(part, data.class_names, names)
    return evaluation_tables(probabilities, labels, names, part, int(payload["mistakes"]))


def trained_facts(run: Path, data: PreparedData) -> tuple[tuple[str, ...], Preprocess]:
    """Return the classes and the preprocessing that a run was trained with; raises DataError for other images."""
    class_names, own = recorded_facts(run)
    if own.input_shape != data.input_shape:
        raise DataError(
            f"data: images are {data.input_shape} (channels, height, width), the network needs {own.input_shape}; "
            "set data.image_size and data.channels"
        )
    return class_names, own


def labels_of(part: Part, given: tuple[str, ...], known: tuple[str, ...]) -> np.ndarray:
    """Return the labels of a part, int64 [N], as positions among the classes that the model knows."""
    if given == known:
        return part.labels
    unknown = [name for name in given if name not in known]
    if unknown:
        raise DataError(
            f"data: has the classes {', '.join(given)}; the model knows {', '.join(known)}. "
            f"Unknown to it: {', '.join(unknown)}"
        )
    return np.array([known.index(name) for name in given], dtype=np.int64)[part.labels]


def predict_part(predictor: Predictor, part: Part, batch_size: int = 256) -> np.ndarray:
    """Return a bundle's probabilities [N, K] for a whole part, decoded as in training."""
    chunks = [
        predictor.predict_arrays(part.raw(np.arange(start, min(start + batch_size, len(part)))))
        for start in range(0, len(part), batch_size)
    ]
    return np.concatenate(chunks)


def evaluation_tables(
    probabilities: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...], part: Part, mistakes: int
) -> dict[str, Any]:
    """Return all figures of an evaluation as JSON-like data, for [N, K] probabilities and [N] labels."""
    matrix = confusion_matrix(probabilities.argmax(axis=1), labels, probabilities.shape[1])
    figures = per_class(matrix)
    worst = [
        {
            "index": item.index,
            "file": str(part.files[item.index]) if part.files else None,
            "label": class_names[item.label],
            "predicted": class_names[item.predicted],
            "probability": round(item.probability, 6),
            "label_probability": round(item.label_probability, 6),
        }
        for item in worst_mistakes(probabilities, labels, mistakes)
    ]
    return {
        "images": len(labels),
        "metrics": _rounded(scores(probabilities, labels)),
        "per_class": [
            {
                "class": name,
                "precision": round(float(figures.precision[index]), 6),
                "recall": round(float(figures.recall[index]), 6),
                "f1": round(float(figures.f1[index]), 6),
                "support": int(figures.support[index]),
            }
            for index, name in enumerate(class_names)
        ],
        "confusion_matrix": matrix.tolist(),
        "class_names": list(class_names),
        "worst_mistakes": worst,
    }


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: round(float(value), 6) for key, value in metrics.items()}
