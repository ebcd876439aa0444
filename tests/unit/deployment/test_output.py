"""Predictions as text: tables, JSON and CSV for every kind of task."""

import csv
import io
import json
import os

import numpy as np
import pytest

from paddle_automl.deployment.output import as_csv, as_json, as_table
from paddle_automl.deployment.predictor import Prediction
from paddle_automl.tasks.base import Answer
from paddle_automl.tasks.multi_label import MultiLabel
from paddle_automl.tasks.regression import Regression
from tests.unit.deployment.conftest import make_task

NAMES = ("菊花", "label", "c,d")
TASK = make_task(NAMES)
FAILED = Prediction("bad.jpg", error="bad.jpg: the file is empty (0 bytes)")
ESCAPES = "a\x1b[31m\nb\x07.png"


def answered(path, *outputs, task=TASK):
    return Prediction(path, task.answer(np.array(outputs, np.float32)), name=path)


PREDICTIONS = [answered("照片/a.png", 0.75, 0.2, 0.05), FAILED, answered("x y.png", 0.3, 0.5, 0.2)]


def test_table():
    assert as_table(PREDICTIONS, TASK, top=2).split("\n") == [
        "image       label  probability  next",
        "照片/a.png  菊花   0.7500       label 0.2000",
        "bad.jpg     -      -            the file is empty (0 bytes)",
        "x y.png     label  0.5000       菊花 0.3000",
    ]
    assert as_table(PREDICTIONS[:1], TASK, top=1).split("\n")[1] == "照片/a.png  菊花   0.7500"
    assert "c,d 0.0500" in as_table(PREDICTIONS[:1], TASK, top=99)


def test_json():
    assert json.loads(as_json(PREDICTIONS, TASK)) == [
        {
            "path": "照片/a.png",
            "label": "菊花",
            "probability": 0.75,
            "probabilities": {"菊花": 0.75, "label": 0.2, "c,d": 0.05},
        },
        {"path": "bad.jpg", "error": "bad.jpg: the file is empty (0 bytes)"},
        {
            "path": "x y.png",
            "label": "label",
            "probability": 0.5,
            "probabilities": {"菊花": 0.3, "label": 0.5, "c,d": 0.2},
        },
    ]
    assert "照片" in as_json(PREDICTIONS, TASK)


def test_csv():
    text = as_csv(PREDICTIONS, TASK)
    assert text.encode("utf-8").startswith(b"\xef\xbb\xbfpath,")
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert rows == [
        ["path", "label", "probability", "error", "菊花", "class:label", "c,d"],
        ["照片/a.png", "菊花", "0.750000", "", "0.750000", "0.200000", "0.050000"],
        ["bad.jpg", "", "", "bad.jpg: the file is empty (0 bytes)", "", "", ""],
        ["x y.png", "label", "0.500000", "", "0.300000", "0.500000", "0.200000"],
    ]


def test_names_that_are_no_unicode_can_be_written():
    path = os.fsdecode("菊花.png".encode("gbk"))
    items = [Prediction(path, error="lost")]
    for text in (as_table(items, TASK), as_json(items, TASK), as_csv(items, TASK)):
        text.encode("utf-8")
        assert "菊花.png" in text


def rows_of(text):
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


LABELS = MultiLabel(
    MultiLabel.Fitted(name="multi_label", names=("cat", "dog", "labels"), thresholds=(0.3, 0.5, 0.9))
)
LABELLED = [
    answered("a.png", 0.4, 0.7, 0.8, task=LABELS),
    answered("b.png", 0.1, 0.2, 0.3, task=LABELS),
    FAILED,
]


def test_labels():
    assert as_table(LABELLED, LABELS, top=2, word="photo").split("\n") == [
        "photo    labels    probabilities",
        "a.png    cat, dog  labels 0.8000, dog 0.7000",
        "b.png    -         labels 0.3000, dog 0.2000",
        "bad.jpg  -         the file is empty (0 bytes)",
    ]
    first, second, failed = json.loads(as_json(LABELLED, LABELS))
    assert first == {
        "path": "a.png",
        "labels": ["cat", "dog"],
        "probabilities": {"cat": 0.4, "dog": 0.7, "labels": 0.8},
    }
    assert second["labels"] == []
    assert set(failed) == {"path", "error"}
    assert rows_of(as_csv(LABELLED, LABELS)) == [
        ["path", "labels", "error", "cat", "dog", "class:labels"],
        ["a.png", "cat,dog", "", "0.400000", "0.700000", "0.800000"],
        ["b.png", "", "", "0.100000", "0.200000", "0.300000"],
        ["bad.jpg", "", "bad.jpg: the file is empty (0 bytes)", "", "", ""],
    ]


def regression(*names, interval=None):
    count = len(names)
    return Regression(
        Regression.Fitted(name="regression", names=names, mean=(0,) * count, scale=(1,) * count, interval=interval)
    )


def test_numbers():
    task = regression("price", "path")
    items = [answered("a.png", 1234567.0, 0.00123456, task=task), FAILED]
    assert as_table(items, task).split("\n") == [
        "image    price    path",
        "a.png    1234567  0.00123456",
        "bad.jpg  -        the file is empty (0 bytes)",
    ]
    assert json.loads(as_json(items, task)) == [
        {"path": "a.png", "values": {"price": 1234567.0, "path": 0.00123456}},
        {"path": "bad.jpg", "error": "bad.jpg: the file is empty (0 bytes)"},
    ]
    assert rows_of(as_csv(items, task)) == [
        ["path", "error", "price", "value:path"],
        ["a.png", "", "1234567", "0.00123456"],
        ["bad.jpg", "bad.jpg: the file is empty (0 bytes)", "", ""],
    ]


def test_intervals():
    task = regression("x", "y", interval=0.9)
    # All columns' points, then all lower ends, then all upper ends.
    items = [answered("a.png", 1, 20, 0.5, 15, 2, 30, task=task), FAILED]
    assert as_table(items, task).split("\n")[:2] == ["image    x           y", "a.png    1 [0.5, 2]  20 [15, 30]"]
    first, _ = json.loads(as_json(items, task))
    assert first == {"path": "a.png", "values": {"x": 1, "y": 20}, "intervals": {"x": [0.5, 2], "y": [15, 30]}}
    assert rows_of(as_csv(items, task)) == [
        ["path", "error", "x", "x lower", "x upper", "y", "y lower", "y upper"],
        ["a.png", "", "1", "0.5", "2", "20", "15", "30"],
        ["bad.jpg", "bad.jpg: the file is empty (0 bytes)", *[""] * 6],
    ]


@pytest.mark.parametrize("task", [TASK, LABELS, regression("x")], ids=lambda task: task.name)
def test_nothing_was_predicted(task):
    assert json.loads(as_json([], task)) == []
    assert len(as_table([], task).split("\n")) == 1
    assert len(rows_of(as_csv([], task))) == 1
    assert len(rows_of(as_csv([FAILED], task))[1]) == len(rows_of(as_csv([], task))[0])


def test_control_characters_do_not_reach_the_terminal():
    items = [answered(ESCAPES, 0.1, 0.2, 0.7), Prediction(ESCAPES, error=f"{ESCAPES}: is broken", name=ESCAPES)]
    table = as_table(items, TASK)
    assert len(table.split("\n")) == 3
    assert "\x1b" not in table
    assert "\x07" not in table
    odd = make_task(("\x1b]0;title\x07", "b"))
    assert "\x1b" not in as_table([answered("a.png", 0.9, 0.1, task=odd)], odd)
    assert json.loads(as_json(items, TASK))[0]["path"] == ESCAPES


def test_a_task_without_a_ranking_is_shown():
    item = Prediction("a", Answer("b", {"a": 0.2, "b": 0.8}), name="a")
    assert as_table([item], make_task(("a", "b"))).split("\n")[1] == "a      b      -            a 0.2000"
    assert item.probability is None
    assert item.top(1) == [("b", 0.8)]
    assert Prediction("x", error="e").top(3) == []


def test_no_cell_is_a_formula():
    task = make_task(("=1+1", "b"))
    items = [answered("=cmd.png", 0.9, 0.1, task=task)]
    rows = rows_of(as_csv(items, task))
    assert rows[0][4] == "'=1+1"
    assert rows[1][:2] == ["'=cmd.png", "'=1+1"]
    assert rows_of(as_csv([answered("a.png", -0.5, task=regression("x"))], regression("x")))[1][2] == "-0.5"
