"""Common code for lists and tables of files: paths, names of labels, targets."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paddle_automl.core.errors import DataError, did_you_mean
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.data.class_names import check_distinct, composed, in_order
from paddle_automl.tasks.base import RawTargets

_LONGEST = 600
"""Most characters of the message about one mistake, which repeats what a file holds."""
_LISTED = 10
"""Most mistakes that are listed one by one."""


class Listed(NamedTuple):
    """The labels of one item, or its flags, as texts; and their place, for messages."""

    labels: tuple[str, ...]
    origin: str


def listed_file(name: str, root: Path) -> Path:
    """Return the file that a path in a list names; if it does not exist, backslashes are read as separators."""
    path = located(name, root)
    if "\\" in name and not os.path.exists(path):
        other = located(name.replace("\\", "/"), root)
        return other if os.path.exists(other) else path
    return path


def targets_of(
    items: Sequence[Listed], form: str, *, training: int, names: Mapping[str, str] | None, source: str
) -> RawTargets:
    """Return the targets of all items, the first `training` of which are for training.

    `form`: single (a class each), several (labels) or flags (0 or 1 for each label). `names`: the name of each
    label, in order; without it they are the labels of the training items. `source` is the origin of the names, for
    messages. Raises DataError that names each line with an unknown label.
    """
    if form == "flags":
        return _flags(items, names, source)
    if names is None:
        found = {label for item in items[:training] for label in item.labels}
        check_distinct(sorted(found), source)
        names = {label: label for label in in_order(found)}
    index = {label: position for position, label in enumerate(names)}
    _check_known(items, index, source)
    if form == "single":
        classes = np.array([index[item.labels[0]] for item in items], dtype=np.int64)
        return RawTargets("classes", classes, tuple(names.values()))
    values = np.zeros((len(items), len(names)), dtype=np.uint8)
    for row, item in enumerate(items):
        values[row, [index[label] for label in item.labels]] = 1
    return RawTargets("labels", values, tuple(names.values()))


def read_label_file(path: Path) -> dict[str, str]:
    """Return the name of each id, in the order of the ids."""
    if not os.path.isfile(path):
        raise DataError(f"data.dataset.label_file: the file '{readable(path)}' does not exist")
    names: dict[str, str] = {}
    mistakes: list[str] = []
    lines = [(number, composed(line.strip())) for number, line in enumerate(read_lines(path), start=1)]
    lines = [(number, text) for number, text in lines if text]
    _check_order(path, [text for _, text in lines])
    for number, text in lines:
        label, name = id_and_name(text)
        if label in names:
            mistakes.append(f"{readable(path)}:{number}: the id '{label}' is given twice")
        elif name in names.values():
            mistakes.append(f"{readable(path)}:{number}: the name '{name}' is given twice")
        names[label] = name
    raise_all(mistakes)
    check_distinct(names.values(), readable(path))
    return {label: names[label] for label in in_order(names)}


def raise_all(mistakes: Sequence[str]) -> None:
    """Raise DataError for a list of mistakes, the first ones in full; do nothing for an empty list."""
    if not mistakes:
        return
    more = f"\n  and {len(mistakes) - _LISTED} more lines" if len(mistakes) > _LISTED else ""
    raise DataError("\n  ".join(map(_shortened, mistakes[:_LISTED])) + more)


def _shortened(mistake: str) -> str:
    half = _LONGEST // 2
    return mistake if len(mistake) <= _LONGEST else f"{mistake[:half]} ... {mistake[-half:]}"


def id_and_name(text: str) -> tuple[str, str]:
    """Return id and name of a line ``id name``, ``id: name``, ``id, name`` or ``id<tab>name``."""
    marked = re.match(r"(\d+)\s*(?:[:\t]|,(?!\d))\s*(.+)", text) or re.match(r"([^\s:]+):\s+(.+)", text)
    if marked:
        return marked.group(1), marked.group(2).strip()
    words = text.split(maxsplit=1)
    return words[0], words[-1]


def _check_order(path: Path, lines: Sequence[str]) -> None:
    """Raise DataError if each line ends with its number, from 0 or 1: ids and names are swapped."""
    words = [re.split(r"[\s,:]+", line) for line in lines]
    if any(len(line) < 2 or line[0].isdecimal() or not line[-1].isdecimal() for line in words):
        return
    numbers = sorted(int(line[-1]) for line in words)
    if numbers and numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        name, label = " ".join(words[0][:-1]), words[0][-1]
        raise DataError(
            f"{readable(path)}: the id comes first in each line, as in '{label} {name}', got '{lines[0]}'; "
            "swap id and name"
        )


def _check_known(items: Sequence[Listed], index: Mapping[str, int], source: str) -> None:
    mistakes = []
    for item in items:
        for label in item.labels:
            if label not in index:
                listing = ", ".join(list(index)[:10]) + (", ..." if len(index) > 10 else "")
                hint = did_you_mean(label, index)
                mistakes.append(f"{item.origin}: the label '{label}' is not in {source}{hint}; valid: {listing}")
    raise_all(mistakes)


def _flags(items: Sequence[Listed], names: Mapping[str, str] | None, source: str) -> RawTargets:
    width = len(items[0].labels) if names is None else len(names)
    mistakes = []
    for item in items:
        strange = [flag for flag in item.labels if flag not in ("0", "1")]
        if strange:
            mistakes.append(f"{item.origin}: must be 0 or 1 for each label, got '{strange[0]}'")
        elif len(item.labels) != width:
            what = f"{source} has {width} names" if names is not None else f"the first line has {width}"
            mistakes.append(f"{item.origin}: {len(item.labels)} flags, but {what}")
    raise_all(mistakes)
    values = np.array([[flag == "1" for flag in item.labels] for item in items], dtype=np.uint8)
    named = tuple(names.values()) if names is not None else tuple(str(number) for number in range(width))
    return RawTargets("labels", values, named)
