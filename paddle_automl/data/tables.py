"""Text tables (CSV and TSV), read row by row with the place of each row."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddle_automl.core.errors import DataError, did_you_mean
from paddle_automl.core.paths import read_lines, readable
from paddle_automl.data.class_names import composed

log = logging.getLogger(__name__)

_DELIMITERS = ",\t;|"
LONGEST_CELL = 131_072
"""Characters of a cell in a table of paths and values: a longer one is a quote that is not closed."""


@dataclass(frozen=True)
class TextTable:
    """A table's columns, each a text per row; `lines` are the numbers of the rows' lines in the file."""

    name: str
    columns: dict[str, tuple[str, ...]]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def origin(self, row: int) -> str:
        """Return the place of a row: ``table.csv:12``."""
        return f"{self.name}:{self.lines[row]}"

    def column(self, name: str, option: str) -> tuple[str, ...]:
        """Return a column; raises DataError with the nearest name if it does not exist; `option` names it."""
        if name not in self.columns:
            hint = did_you_mean(name, self.columns)
            raise DataError(
                f"{option}: the table '{self.name}' has no column '{name}'{hint}; "
                f"columns: {', '.join(self.columns)}"
            )
        return self.columns[name]


def read_table(path: Path, option: str) -> TextTable:
    """Read a CSV or TSV file whose first row names the columns; `option` names the file in messages.

    The first column may be without a name, as the numbers of rows are that pandas writes.

    A ``.tsv`` file has tabs between its cells; for others the first row shows whether it is a comma, a semicolon, a
    tab or a bar. Texts are trimmed, in UTF-8, UTF-16 or GBK. Raises DataError for rows of another length.
    """
    name = readable(path)
    if not os.path.isfile(path):
        raise DataError(f"{option}: the table '{name}' does not exist")
    return table_of(read_lines(path), name, option, "\t" if path.suffix.lower() == ".tsv" else None)


def table_of(
    lines: Sequence[str],
    name: str,
    option: str,
    delimiter: str | None = None,
    *,
    longest: int = LONGEST_CELL,
    kept: Collection[str] = (),
) -> TextTable:
    """Return the table in the lines of the file `name`; `option` names the file in messages.

    Without `delimiter` the first row shows it. Cells are put into Unicode's composed form, as names are, but for
    those of the columns `kept`. Raises DataError for rows of another length and for cells of more than `longest`
    characters.
    """
    if delimiter is None:
        delimiter = _delimiter(next((line for line in lines if line.strip()), ""))
    rows, numbers = _rows(lines, delimiter, name, longest)
    if not rows:
        raise DataError(f"{option}: the table '{name}' is empty; its first row must name the columns")
    header = [composed(cell.strip()) for cell in rows[0]]
    wrong = [
        f"{name}:{number}: {len(row)} values for {len(header)} columns"
        for row, number in zip(rows[1:], numbers[1:], strict=True)
        if len(row) != len(header)
    ]
    if wrong:
        more = f"\n  and {len(wrong) - 10} more rows" if len(wrong) > 10 else ""
        raise DataError("\n  ".join(wrong[:10]) + more)
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(header)
    texts = [
        tuple(cell.strip() if title in kept else composed(cell.strip()) for cell in column)
        for title, column in zip(header, columns, strict=True)
    ]
    # Delimiters at the ends of all lines make columns without names and values.
    used = [place for place, cells in enumerate(texts) if header[place] or any(cells) or not cells]
    _check_header(header, used, name, option)
    return TextTable(name, {header[place]: texts[place] for place in used}, tuple(numbers[1:]))


def _delimiter(line: str) -> str:
    """Return the most frequent delimiter of the first row; a comma for a single column."""
    counts = {delimiter: line.count(delimiter) for delimiter in _DELIMITERS}
    return max(_DELIMITERS, key=lambda delimiter: counts[delimiter])


def _rows(lines: Sequence[str], delimiter: str, name: str, longest: int) -> tuple[list[list[str]], list[int]]:
    """Return the rows that are not empty, and the number of each one's last line.

    With tabs, quotes may be marks of the texts themselves: they are if they contradict lines that are rows as they
    are.
    """
    plain = _plain_rows(lines, longest) if delimiter == "\t" else []
    try:
        rows, numbers = _quoted_rows(lines, delimiter, name, longest)
    except DataError:
        if not plain:
            raise
    else:
        if not plain or len(rows) == len(plain):
            return rows, numbers
    log.warning(
        "%s: some quotation marks are not closed in their lines; all of them are read as parts of the texts", name
    )
    return [cells for _, cells in plain], [number for number, _ in plain]


def _plain_rows(lines: Sequence[str], longest: int) -> list[tuple[int, list[str]]]:
    """Return number and cells of each line with more than spaces and quotes, cut at tabs; none where they differ in
    length."""
    numbered = enumerate(lines, start=1)
    rows = [(number, line.split("\t")) for number, line in numbered if line.replace('"', "").strip()]
    widths = {len(cells) for _, cells in rows}
    fits = len(widths) == 1 and widths != {1} and all(len(line) <= longest for line in lines)
    return rows if fits else []


def _quoted_rows(
    lines: Sequence[str], delimiter: str, name: str, longest: int
) -> tuple[list[list[str]], list[int]]:
    rows, numbers = [], []
    reader = csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True)
    before = csv.field_size_limit(longest)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: is not a row of a table: {error}") from None
    finally:
        csv.field_size_limit(before)
    return rows, numbers


def _check_header(header: Sequence[str], used: Sequence[int], name: str, option: str) -> None:
    """Raise DataError for names that are given twice, or missing, in the `used` places of the first row."""
    titles = [header[place] for place in used if header[place]]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise DataError(f"{option}: the table '{name}' has duplicate columns: {', '.join(map(repr, twice))}")
    # pandas writes the numbers of rows first, without a name.
    nameless = next((place for place in used[1:] if not header[place]), None)
    if nameless is not None:
        raise DataError(f"{option}: column {nameless + 1} of the table '{name}' has no name in the first row")
