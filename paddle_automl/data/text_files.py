"""Files with many texts, in any encoding."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import DataError
from paddle_automl.core.files import open_regular
from paddle_automl.core.log import TOLD
from paddle_automl.core.paths import readable
from paddle_automl.data.class_names import composed
from paddle_automl.data.listing import raise_all
from paddle_automl.data.tables import TextTable, table_of
from paddle_automl.inputs.text.decoding import decoded, mended

log = logging.getLogger(__name__)

LARGEST = 2 << 30
"""Most bytes of a file."""
LONGEST_TEXT = 1 << 30
"""Most characters of a cell."""
JSON_LINES = (".jsonl", ".ndjson", ".json")
_NULS = "%s: %d NUL characters are read as spaces"
_BINARY = {
    b"PK\x03\x04": "an Excel workbook or an archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "packed",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
}


def text_of(path: Path, option: str, encoding: str | None, likely: str | None = None) -> str:
    """Return the text of a file that `option` names, its line ends as ``\\n``, without NUL characters.

    Without `encoding` it is found, with the `likely` one before others (`decoded`). What was found, where it is not
    plain UTF-8, is logged. Raises DataError.
    """
    name = readable(path)
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "does not exist"
        raise DataError(f"{option}: the file '{name}' {what}")
    try:
        with open_regular(path) as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"{option}: cannot read '{name}': {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise DataError(f"{option}: '{name}' has more than {LARGEST >> 30} GB; divide it into several files")
    kind = next((kind for start, kind in _BINARY.items() if raw.startswith(start)), None)
    if kind is not None:
        raise DataError(f"{option}: '{name}' is {kind}, not a text file; save it as CSV (UTF-8), TSV or JSON lines")
    text, found = decoded(raw, name, encoding, likely)
    if found != "utf-8" and encoding is None:
        log.info("%s: is read as %s", shown(name), found, extra=TOLD)
    if "\0" in text:
        log.warning(_NULS, shown(name), text.count("\0"))
        text = text.replace("\0", " ")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def table_in(
    path: Path, option: str, encoding: str | None, likely: str | None = None, *, kept: Collection[str] = ()
) -> TextTable:
    """Return the table in a CSV, TSV or JSON-lines file that `option` names; raises DataError.

    The columns `kept` are those of texts, whose Unicode form is for the input to choose. For the encodings see
    `text_of`. Excel's line ``sep=;`` in front of a table is understood.
    """
    text, name = text_of(path, option, encoding, likely), readable(path)
    suffix = path.suffix.lower()
    lines = text.split("\n")
    if suffix in JSON_LINES:
        return _json_lines(lines, name, option, kept)
    delimiter = "\t" if suffix == ".tsv" else None
    first = lines[0].strip().strip('"')
    if first.lower().startswith("sep=") and len(first) == len("sep=") + 1:
        # A blank line, so that the numbers of lines stay right.
        delimiter, lines[0] = first[-1], ""
    return table_of(lines, name, option, delimiter, longest=LONGEST_TEXT, kept=kept)


def _json_lines(lines: list[str], name: str, option: str, kept: Collection[str]) -> TextTable:
    rows: list[Mapping[str, Any]] = []
    numbers: list[int] = []
    mistakes: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            mistakes.append(f"{name}:{number}: is not JSON: {error}")
            continue
        if not isinstance(row, dict) or any(isinstance(value, list | dict) for value in row.values()):
            mistakes.append(f'{name}:{number}: must be an object of texts and numbers, such as {{"text": "..."}}')
            continue
        named = {composed(_plain(key)): value for key, value in row.items()}
        if len(named) < len(row):
            mistakes.append(f"{name}:{number}: two of its keys look the same: {', '.join(map(ascii, row))}")
            continue
        rows.append(named)
        numbers.append(number)
    if mistakes and not rows:
        raise DataError(
            f"{option}: '{name}' is not a file of JSON lines, with an object in each line: {mistakes[0]}"
        )
    raise_all(mistakes)
    if not rows:
        raise DataError(f"{option}: the table '{name}' is empty")
    names = list(dict.fromkeys(key for row in rows for key in row))
    cells = {key: [_cell(row.get(key)) for row in rows] for key in names}
    # Escapes in JSON can stand for characters that no other text file has.
    everything = [text for column in cells.values() for text in column]
    nuls = sum(text.count("\0") for text in everything)
    halves = sum(mended(text).count("\ufffd") - text.count("\ufffd") for text in everything)
    if nuls:
        log.warning(_NULS, shown(name), nuls)
    if halves:
        log.warning("%s: %d halves of characters (lone surrogates) are read as U+FFFD", shown(name), halves)
    columns = {
        key: tuple(_plain(cell) if key in kept else composed(_plain(cell)) for cell in column)
        for key, column in cells.items()
    }
    return TextTable(name, columns, tuple(numbers))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(text: str) -> str:
    """Return a text of JSON as a table of another form has it."""
    return mended(text).replace("\0", " ").strip()


def as_items(texts: list[str] | tuple[str, ...]) -> np.ndarray:
    """Return texts as the items of a data set, an object array ``[N]``; empty ones are counted in a warning."""
    items = np.empty(len(texts), dtype=object)
    items[:] = texts
    empty = sum(not text.strip() for text in texts)
    if empty:
        log.warning("%d of %d texts are empty; a network can only learn how frequent classes are from them",
                    empty, len(texts))  # fmt: skip
    return items
