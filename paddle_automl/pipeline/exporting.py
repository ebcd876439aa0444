"""Jobs around a trained network: the one test, the bundle with its proof, and evaluation on a part."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.data.parts import Part, PreparedData
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.models.classifier import Classifier
from paddle_automl.models.pretrained import load_checkpoint
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.evaluator import Report, enter_worker, load_data, make_model, model_costs
from paddle_automl.pipeline.jobs import returning_errors
from paddle_automl.pipeline.trials import WEIGHTS_FILE
from paddle_automl.training.evaluation import evaluate, predict_probabilities
from paddle_automl.training.metrics import confusion_matrix, per_class, scores, worst_mistakes

logger = logging.getLogger(__name__)


def load_trained(config: RunConfig, data: PreparedData, weights: Path) -> Classifier:
    """Return the network of a configuration with trained weights, in evaluation mode."""
    model = make_model(
        config.model_copy(update={"model": config.model.model_copy(update={"pretrained": None})}), data
    )
    load_checkpoint(model, weights)
    model.eval()
    return model


@returning_errors
def export_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Test a trained network once, export it as a bundle and prove the bundle.

    Payload: `config`, `run` (folder with the weights), `bundle` (folder to write), `note` on the metrics,
    `test` (whether to use the test part now), `cache`, `lock`, `device`, `threads`.
    """
    config = enter_worker(payload)
    run, target = Path(payload["run"]), Path(payload["bundle"])
    data = load_data(config, payload)
    model = load_trained(config, data, run / WEIGHTS_FILE)
    metrics: dict[str, Any] = {
        "validation": payload.get("validation") or _rounded(evaluate(model, data.validation)),
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


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """Return what a command shows of a bundle: metrics, parity, latency, size, verified."""
    facts = bundle.info.model_dump(mode="json")
    return {
        "bundle": str(bundle.folder),
        "metrics": facts["metrics"],
        "parity": facts["parity"],
        "parity_summary": bundle.info.parity.describe() if bundle.info.parity else "not compared",
        "latency": facts["latency"],
        "size_mb": round(bundle.size_mb, 4),
        "verified": bundle.verified,
    }


@returning_errors
def evaluate_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Evaluate a bundle or a run on one part of its data.

    Payload: `config`, `part` (train, validation or test), `bundle` or `run`, `mistakes` (how many worst
    ones to list). Returns metrics, per-class figures, the confusion matrix and the worst mistakes.
    """
    config = enter_worker(payload)
    data = load_data(config, payload)
    part: Part = getattr(data, payload["part"])
    if payload.get("bundle"):
        predictor = Predictor(payload["bundle"], threads=int(payload.get("threads", 1)))
        probabilities = predict_part(predictor, part)
        labels = part.labels
    else:
        model = load_trained(config, data, Path(payload["run"]) / WEIGHTS_FILE)
        probabilities, labels = predict_probabilities(model, part)
    return evaluation_tables(probabilities, labels, data.class_names, part, int(payload.get("mistakes", 10)))


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
