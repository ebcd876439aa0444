"""Untrusted text (names of files, classes and columns) made safe for tables, logs, messages and CSV.

A name may contain escape sequences that a terminal obeys (colors, the window's title), newlines that forge a row
of a table, characters that reverse the writing direction, or a formula that a spreadsheet computes. `shown` makes
such characters visible, `csv_cell` and `csv_text` keep spreadsheets from computing; other text is unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates of the writing direction: they make a name look like another one."""
_ESCAPED_KINDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, lone surrogates (Python's form of bytes that are not text), separators of lines."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_UNDECODABLE, _LAST_UNDECODABLE = 0xDC80, 0xDCFF

_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""Characters that begin a formula in some spreadsheet, in ASCII and full-width forms."""
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan|infinity)", re.ASCII | re.IGNORECASE)
_QUOTED = re.compile(r'[",;\t\r\n|]|^\s|\s$')
"""Separators used by spreadsheets of any locale, and blanks at the ends: cells that contain them are quoted."""


def shown(text: object) -> str:
    r"""Return a text for a terminal, a log or a message: characters that are invisible or control it are escaped.

    Escaped are control characters (newline as ``\n``, escape as ``\x1b``), the embeddings, overrides and isolates
    of the writing direction (``\u202e``), separators of lines and paragraphs, and bytes of a file's name that are
    not text (``\xff``). All else is unchanged, including backslashes and brackets, so the result cannot be parsed
    back.
    """
    plain = str(text)
    # Nearly all names pass here.
    if plain.isprintable() and not _TURNING.intersection(plain):
        return plain
    return "".join(map(_visible, plain))


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _ESCAPED_KINDS and character not in _TURNING:
        return character
    code = ord(character)
    if _FIRST_UNDECODABLE <= code <= _LAST_UNDECODABLE:
        code -= _FIRST_UNDECODABLE - 0x80
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def by_name(values: Mapping[str, float], text: Callable[[float], str]) -> str:
    """Return ``0.91`` for a single value, for several ``width 0.91, height 0.88``."""
    if len(values) == 1:
        return text(next(iter(values.values())))
    return ", ".join(f"{shown(name)} {text(value)}" for name, value in values.items())


def plot_text(text: object) -> str:
    r"""Return a text for a plot: as by `shown`, and ``$`` begins no formula (``$x_1$`` stays as it is)."""
    return shown(text).replace("$", r"\$")


def csv_cell(value: object) -> str:
    r"""Return a value for a cell of a CSV file, so that no spreadsheet takes it for a formula.

    Numbers, as values or as texts (``-0.5``, ``1e-3``, ``nan``), are unchanged; ``None`` is empty. A text that
    begins with ``=``, ``+``, ``-``, ``@``, their full-width forms, a tab, a carriage return or a newline, after
    blanks and apostrophes, gets an apostrophe in front, which marks text for spreadsheets. A program that reads the
    file recovers the text by removing one apostrophe from such cells. Control characters except tab, carriage
    return and newline are escaped as by `shown`; cells with those three have to be quoted by the writer of the CSV.
    """
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, int | float) or _NUMBER.fullmatch(text.strip(" ")):
        return text
    text = "".join(character if character in _SHORT else _visible(character) for character in text)
    start = text.lstrip(" \u00a0'")[:1]
    return f"'{text}" if start and (start in _FORMULA or start in _SHORT) else text


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    r"""Return rows as CSV (RFC 4180, lines end in ``\n``): cells by `csv_cell`, quoted where necessary.

    A spreadsheet may also split at semicolons or tabs; then a piece of an unquoted cell would become a cell of its
    own, perhaps a formula. So a cell with any of these separators is quoted.
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(value: object) -> str:
    cell = csv_cell(value)
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell
