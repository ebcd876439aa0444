"""Predictions as text: a table to read, JSON and CSV to go on with."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from typing import Any

from paddle_automl.core.paths import readable
from paddle_automl.deployment.predictor import Prediction

BOM = "\ufeff"
COLUMNS = ("path", "label", "probability", "error")
_DIGITS = 6


def as_table(predictions: Sequence[Prediction], *, top: int = 3) -> str:
    """Return a table: path, likeliest class, its probability, and the next ones up to `top` in all."""
    rows = [("image", "label", "probability", "next" if top > 1 else "")]
    for item in predictions:
        if item.label is None or item.probability is None:
            rows.append((readable(item.path), "-", "-", _without_path(item)))
            continue
        rest = ", ".join(f"{name} {value:.4f}" for name, value in item.top(top)[1:])
        rows.append((readable(item.path), item.label, f"{item.probability:.4f}", rest))
    widths = [max(_width(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
    return "\n".join(lines)


def as_json(predictions: Sequence[Prediction]) -> str:
    """Return a JSON list with one object per file; one that failed has ``path`` and ``error`` alone."""
    return json.dumps([_record(item) for item in predictions], indent=2, ensure_ascii=False)


def as_csv(predictions: Sequence[Prediction], class_names: Sequence[str]) -> str:
    """Return CSV that starts with the UTF-8 byte order mark, by which spreadsheets know the encoding.

    Columns: path, label, probability, error, then one per class; a class called like one of the first four
    has ``class:`` put before it. A file that could not be predicted is a row with its reason.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(f"class:{name}" if name in COLUMNS else name for name in class_names)])
    for item in predictions:
        values = item.probabilities or {}
        probability = "" if item.probability is None else f"{item.probability:.{_DIGITS}f}"
        cells = [f"{values[name]:.{_DIGITS}f}" if name in values else "" for name in class_names]
        writer.writerow([readable(item.path), item.label or "", probability, item.error or "", *cells])
    return BOM + text.getvalue()


def _record(item: Prediction) -> dict[str, Any]:
    if item.error is not None:
        return {"path": readable(item.path), "error": item.error}
    probabilities = {name: round(value, _DIGITS) for name, value in (item.probabilities or {}).items()}
    return {
        "path": readable(item.path),
        "label": item.label,
        "probability": round(item.probability or 0.0, _DIGITS),
        "probabilities": probabilities,
    }


def _without_path(item: Prediction) -> str:
    return (item.error or "").removeprefix(f"{readable(item.path)}: ")


def _width(text: str) -> int:
    """Return the columns a terminal needs: two for a Chinese character, none for a combining mark."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
