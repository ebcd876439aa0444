"""Predictions as text: a table for people, JSON and CSV for programs.

The task's last step decides how answers are written: one class with its probability (softmax), the labels that
apply (sigmoid), or numbers.
"""

from __future__ import annotations

import json
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paddle_automl.core.display_text import csv_text, shown
from paddle_automl.core.paths import readable
from paddle_automl.deployment.predictor import Prediction
from paddle_automl.tasks.base import Answer, Task

BOM = "\ufeff"
NONE = "-"
"""Content of an empty cell."""
_DIGITS = 6
_SIGNIFICANT = 7
"""Digits of a number: those of a float32."""


def as_table(predictions: Sequence[Prediction], task: Task, *, top: int = 3, word: str = "image") -> str:
    """Return a table with a row per item: its name and the answer, or the reason why there is none.

    `word` is the word for an item (`Input.word`). Of classes and labels the likeliest `top` are shown.
    """
    form = _form_of(task)
    header = form.table_columns(top)
    rows: list[list[str]] = [[word, *header]]
    for item in predictions:
        if item.answer is None:
            cells = [NONE] * (len(header) - 1) + [_without_name(item)]
        else:
            cells = form.table_cells(item, item.answer, top)
        rows.append([shown(_name(item)), *(shown(cell) for cell in cells)])
    # The last column is free text of any length; it needs no width.
    widths = [max(_width(row[column]) for row in rows) for column in range(len(header))]
    lines = []
    for row in rows:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def as_json(predictions: Sequence[Prediction], task: Task, extra: Sequence[Mapping[str, Any]] | None = None) -> str:
    """Return a JSON list with one object per item; one that failed has only ``path`` and ``error``.

    Classes: ``label``, ``probability``, ``probabilities``, and, where the bundle can refuse items, ``unknown`` and
    the score ``known``; an item that looks like none of the classes has the label ``unknown`` and the likeliest
    class as ``nearest``, and null as its probability. Labels: ``labels``, ``probabilities``; numbers:
    ``values`` and, if the task predicts them, ``intervals`` of a lower and an upper bound. `extra` are further
    entries of each item.
    """
    form = _form_of(task)
    records = [
        {"path": _name(item)} | as_record(item, form) | dict(more)
        for item, more in zip(predictions, extra or [{}] * len(predictions), strict=True)
    ]
    return json.dumps(records, indent=2, ensure_ascii=False)


def as_dict(prediction: Prediction, task: Task, top: int | None = None) -> dict[str, Any]:
    """Return what `as_json` says of one item, without its name; of the outputs the `top` largest or all."""
    found = as_record(prediction, _form_of(task))
    if top is not None and "probabilities" in found:
        found["probabilities"] = {name: round(value, _DIGITS) for name, value in prediction.top(top)}
    return found


def as_record(prediction: Prediction, form: _Form) -> dict[str, Any]:
    """Return one item's answer, or its error, JSON-like."""
    if prediction.answer is None:
        return {"error": prediction.error}
    return form.record(prediction, prediction.answer)


def as_csv(predictions: Sequence[Prediction], task: Task) -> str:
    """Return CSV that starts with the UTF-8 byte order mark, by which spreadsheets recognise the encoding.

    Columns: ``path``, then ``label`` and ``probability`` of a class or ``labels``, ``error``, then one per class,
    label or number, and two per number for the bounds of its interval. A name that equals one of the first columns
    gets the prefix ``class:`` (or ``value:``). The label of an item that looks like none of the classes is
    ``unknown``, and has no probability. An item without an answer has a row with the
    reason. Spreadsheets read no cell as a formula (see `core.display_text.csv_cell`).
    """
    form = _form_of(task)
    fixed = ("path", *form.fixed, "error")
    names = [f"{form.prefix}:{name}" if name in fixed else name for name in form.csv_names(task.names)]
    rows = [[*fixed, *names]]
    for item in predictions:
        if item.answer is None:
            first, values = [""] * len(form.fixed), [""] * len(names)
        else:
            first, values = form.csv_cells(item, item.answer)
        rows.append([_name(item), *first, item.error or "", *values])
    return BOM + csv_text(rows)


def with_answers(columns: Mapping[str, Sequence[str]], predictions: Sequence[Prediction], task: Task) -> str:
    """Return a table again as CSV (see `as_csv`), with further columns for the answer of each row.

    Of a class they are ``label``, ``probability``, ``runner_up``, ``runner_up_probability``; else as in `as_csv`. A
    name that the table has already gets the prefix ``predicted_``, and again until the table has no such column;
    ``error`` is there where a row has one.
    """
    form = _form_of(task)
    added = form.added_names(task.names)
    rows: list[list[str]] = []
    failed = any(item.answer is None for item in predictions)
    if failed:
        added = [*added, "error"]
    header = list(columns)
    for name in added:
        while name in header:
            name = f"predicted_{name}"
        header.append(name)
    rows.append(header)
    for number, item in enumerate(predictions):
        width = len(added) - failed
        cells = [""] * width if item.answer is None else form.added_cells(item, item.answer)
        own = [column[number] for column in columns.values()]
        rows.append([*own, *cells, *([item.error or ""] if failed else [])])
    return BOM + csv_text(rows)


def output_name(task: Task, column: int) -> str:
    """Return the name of a task's output for messages: its class, label or column if it has one."""
    return f"'{shown(task.names[column])}'" if len(task.names) == task.outputs else f"output {column}"


class _Form(ABC):
    """Text form of the answers of one kind of task."""

    fixed: tuple[str, ...]
    """Columns of a CSV between path and error."""
    prefix = "class"

    @abstractmethod
    def table_columns(self, top: int) -> list[str]: ...

    @abstractmethod
    def table_cells(self, item: Prediction, answer: Answer, top: int) -> list[str]: ...

    @abstractmethod
    def record(self, item: Prediction, answer: Answer) -> dict[str, Any]: ...

    @abstractmethod
    def csv_cells(self, item: Prediction, answer: Answer) -> tuple[list[str], list[str]]: ...

    def csv_names(self, names: Sequence[str]) -> list[str]:
        return list(names)

    def added_names(self, names: Sequence[str]) -> list[str]:
        return [*self.fixed, *self.csv_names(names)]

    def added_cells(self, item: Prediction, answer: Answer) -> list[str]:
        fixed, values = self.csv_cells(item, answer)
        return [*fixed, *values]


class _Class(_Form):
    """One class and its probability."""

    fixed = ("label", "probability")

    def table_columns(self, top: int) -> list[str]:
        return ["label", "probability", "next" if top > 1 else ""]

    def table_cells(self, item: Prediction, answer: Answer, top: int) -> list[str]:
        # The likeliest class of an unknown item is one of the classes that it is not.
        first = 0 if item.unknown else 1
        rest = ", ".join(f"{name} {value:.4f}" for name, value in _ranked(answer)[first:top])
        probability = NONE if answer.score is None or item.unknown else f"{answer.score:.4f}"
        return [item.label or NONE, probability, rest]

    def record(self, item: Prediction, answer: Answer) -> dict[str, Any]:
        # That of an unknown item would be taken for how sure it is that the item is unknown.
        score = None if item.unknown else round(answer.score or 0.0, _DIGITS)
        found: dict[str, Any] = {"label": item.label, "probability": score}
        if item.known is not None:
            found |= {"unknown": item.unknown, "known": float(f"{item.known:.{_DIGITS}g}")}
        if item.unknown:
            found["nearest"] = item.nearest
        found["probabilities"] = {name: round(value, _DIGITS) for name, value in answer.values.items()}
        return found

    def csv_cells(self, item: Prediction, answer: Answer) -> tuple[list[str], list[str]]:
        score = "" if answer.score is None or item.unknown else f"{answer.score:.{_DIGITS}f}"
        return [item.label or "", score], [f"{value:.{_DIGITS}f}" for value in answer.values.values()]

    def added_names(self, names: Sequence[str]) -> list[str]:
        return [*self.fixed, "runner_up", "runner_up_probability"]

    def added_cells(self, item: Prediction, answer: Answer) -> list[str]:
        fixed, _ = self.csv_cells(item, answer)
        # The likeliest class of an unknown item is the nearest one that it is not.
        second = [*_ranked(answer), ("", 0.0)][0 if item.unknown else 1]
        return [*fixed, second[0], f"{second[1]:.{_DIGITS}f}"]


class _Labels(_Form):
    """Any number of labels."""

    fixed = ("labels",)

    def table_columns(self, top: int) -> list[str]:
        return ["labels", "probabilities"]

    def table_cells(self, item: Prediction, answer: Answer, top: int) -> list[str]:
        ranked = ", ".join(f"{name} {value:.4f}" for name, value in _ranked(answer)[:top])
        return [", ".join(answer.labels) or NONE, ranked]

    def record(self, item: Prediction, answer: Answer) -> dict[str, Any]:
        probabilities = {name: round(value, _DIGITS) for name, value in answer.values.items()}
        return {"labels": list(answer.labels), "probabilities": probabilities}

    def csv_cells(self, item: Prediction, answer: Answer) -> tuple[list[str], list[str]]:
        return [",".join(answer.labels)], [f"{value:.{_DIGITS}f}" for value in answer.values.values()]


class _Numbers(_Form):
    """Numbers, each with an interval if the task predicts it."""

    fixed = ()
    prefix = "value"

    def __init__(self, task: Task) -> None:
        self.task = task
        # The answer for arbitrary outputs shows whether there are intervals.
        self.bounded = bool(task.answer(np.zeros(task.outputs, np.float32)).interval)

    def table_columns(self, top: int) -> list[str]:
        return list(self.task.names)

    def table_cells(self, item: Prediction, answer: Answer, top: int) -> list[str]:
        cells = []
        for name, value in answer.values.items():
            lower, upper = answer.interval.get(name, (None, None))
            bounds = "" if lower is None or upper is None else f" [{_short(lower)}, {_short(upper)}]"
            cells.append(f"{_short(value)}{bounds}")
        return cells

    def record(self, item: Prediction, answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = {"values": {name: _number(value) for name, value in answer.values.items()}}
        if answer.interval:
            found["intervals"] = {
                name: [_number(bound) for bound in bounds] for name, bounds in answer.interval.items()
            }
        return found

    def csv_names(self, names: Sequence[str]) -> list[str]:
        if not self.bounded:
            return list(names)
        return [column for name in names for column in (name, f"{name} lower", f"{name} upper")]

    def csv_cells(self, item: Prediction, answer: Answer) -> tuple[list[str], list[str]]:
        cells = []
        for name, value in answer.values.items():
            cells += [_short(value), *(_short(bound) for bound in answer.interval.get(name, ()))]
        return [], cells


def _form_of(task: Task) -> _Form:
    activation = task.final.activation
    if activation == "softmax":
        return _Class()
    return _Labels() if activation == "sigmoid" else _Numbers(task)


def _ranked(answer: Answer) -> list[tuple[str, float]]:
    return list(answer.ranked) or sorted(answer.values.items(), key=lambda item: -item[1])


def _number(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT}g}")


def _short(value: float) -> str:
    return f"{value:.{_SIGNIFICANT}g}"


def _name(item: Prediction) -> str:
    return item.name or readable(item.path)


def _without_name(item: Prediction) -> str:
    return (item.error or "").removeprefix(f"{_name(item)}: ")


def _width(text: str) -> int:
    """Return the width in a terminal: two columns for a Chinese character, none for a combining mark."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
