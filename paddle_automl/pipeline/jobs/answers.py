"""The exported network's answers on the test split, for the report."""

from __future__ import annotations

import base64
import io
import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from paddle_automl.core.display_text import shown
from paddle_automl.core.loading import validate
from paddle_automl.data.splits import Split
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.inputs.base import Input
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import load_data
from paddle_automl.pipeline.jobs.costs import rounded
from paddle_automl.pipeline.runs.remembered import data_of_bundle
from paddle_automl.reporting.answers import Answers, MistakeRecord, TableRecord
from paddle_automl.reporting.reliability import reliability
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import spread
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import epoch_metrics, measure

MISTAKES = 12
SIDE = 160
"""Longest side of a picture in pixels."""
LONGEST = 400
"""Most characters of a text."""
LARGEST_MATRIX = 100
"""Most classes whose matrix is recorded."""
MOST_POINTS = 2000
CHUNK = 256
TEXTS = frozenset({".txt", ".text"})


@dataclass(frozen=True)
class Asked:
    """What a network was asked, and its outputs [N, K] for the items of `split`, named `name`."""

    config: RunConfig
    train: Split
    split: Split
    name: str
    outputs: np.ndarray


def answers_of(
    bundle: Path, config: Mapping[str, Any], worker: Worker, within_s: float | None
) -> tuple[Answers, Asked]:
    """Return the answers of a bundle on the test split of the data of `config`, or on validation without one.

    With `within_s` only as many items are predicted as fit into that many seconds, evenly spread over the classes.
    Raises DataError if the data cannot be read, BundleError if the bundle cannot.
    """
    from paddle_automl.deployment.bundle import Bundle

    started = time.monotonic()
    opened = Bundle.open(bundle)
    # The format with which validation was measured, even if another one is faster here.
    predictor = Predictor(opened, threads=worker.threads, runtime=opened.info.exporter.name)
    run = validate(RunConfig, dict(config))
    remembered = data_of_bundle(bundle, opened.info.config)
    stated = predictor.input.stated()
    if stated is not None:
        run = run.model_copy(update={"data": run.data.model_copy(update={"input": stated})})
    data = load_data(run, worker, remembered=remembered, fitted_input=None if stated is None else predictor.input)
    name = "test" if len(data.test) else "validation"
    split: Split = getattr(data, name).with_input(predictor.input).with_task(predictor.task)
    left = None if within_s is None else within_s - (time.monotonic() - started)
    rows, outputs = _predicted(predictor, split, left)
    task, codes = split.task, split.codes[rows]
    keys = epoch_metrics(task, [run.metric] if run.metric else [])
    found = task.evaluation(outputs, codes)
    scores = rounded(measure(keys, Predictions(outputs, codes, task)))
    worst = task.worst(outputs, codes, MISTAKES)
    answers = Answers(
        bundle=_hash_of(bundle),
        split=name,
        items=len(split),
        evaluated=len(rows),
        word=split.input.word,
        task=task.name,
        metrics={key: value if math.isfinite(value) else None for key, value in scores.items()},
        tables=tuple(
            TableRecord(title=table.title, columns=table.columns, rows=tuple(tuple(row) for row in table.rows))
            for table in found.tables
        ),
        data=_smaller(dict(found.data)),
        points={key: np.asarray(points)[:MOST_POINTS].tolist() for key, points in found.points.items()},
        mistakes=tuple(_mistake(split, item, int(rows[item.index])) for item in worst),
        reliability=reliability(task, outputs, codes),
    )
    return answers, Asked(run, data.train, split.with_indices(split.indices[rows]), name, outputs)


def _predicted(predictor: Predictor, split: Split, within_s: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in the split, and the outputs [N, K] of the items there."""
    rows = np.arange(len(split))
    if within_s is not None and len(rows) > CHUNK:
        started = time.monotonic()
        predictor.predict_items(split.raw(rows[:CHUNK]))
        speed = CHUNK / max(time.monotonic() - started, 1e-6)
        most = max(CHUNK, int(speed * max(0.0, within_s - (time.monotonic() - started)) / 2))
        if most < len(rows):
            rows = spread(split.task.strata(split.codes), len(rows), most)
    parts = [
        predictor.predict_items(split.raw(rows[start : start + CHUNK])) for start in range(0, len(rows), CHUNK)
    ]
    return rows, np.concatenate(parts) if parts else np.zeros((0, split.task.outputs), np.float32)


def _smaller(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an evaluation without a matrix too large to draw: the tables name its largest entries."""
    matrix = data.get("confusion_matrix")
    if isinstance(matrix, list) and len(matrix) > LARGEST_MATRIX:
        data.pop("confusion_matrix")
    return data


def _mistake(split: Split, item: Any, row: int) -> MistakeRecord:
    sources = split.sources
    place = f"number {row}" if sources is None else _named(split.input.describe(sources[row]))
    picture, text = preview(split.input, split.raw([row])[0])
    return MistakeRecord(
        place=place,
        truth=item.truth,
        answer=item.answer,
        detail={key: float(value) for key, value in item.detail.items()},
        picture=picture,
        text=text,
    )


def _named(place: str) -> str:
    """Return a file by its folder and name, which hold the class in many data sets."""
    parts = place.replace("\\", "/").split("/")
    return "/".join(parts[-2:]) if len(parts) > 2 else place


def preview(taken: Input, item: np.ndarray) -> tuple[str | None, str | None]:
    """Return an item as a small picture (a data URI) or as a text, by the file that its input writes.

    Both are None for an input whose files are neither.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = taken.write(item, Path(scratch) / "item")
        if file.suffix.lower() in TEXTS:
            text = shown(file.read_text(encoding="utf-8", errors="replace"))
            return None, text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"
        try:
            with Image.open(file) as picture:
                return _as_uri(picture), None
        except (OSError, ValueError):
            return None, None


def _as_uri(picture: Image.Image) -> str:
    small = picture.convert("L" if picture.mode in ("1", "L", "I;16", "I") else "RGB")
    photo = max(small.size) > SIDE // 2
    small.thumbnail((SIDE, SIDE))
    stream = io.BytesIO()
    # Small pictures are kept exactly: compression would be seen in every enlarged pixel.
    kind = "JPEG" if photo else "PNG"
    small.save(stream, kind, **({"quality": 85} if photo else {}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _hash_of(bundle: Path) -> str:
    from paddle_automl.core.yaml_io import read_yaml
    from paddle_automl.pipeline.runs.folder import BUNDLE_FILE

    return str(read_yaml(bundle / BUNDLE_FILE)[0].get("sha256", ""))
