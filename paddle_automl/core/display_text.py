"""Foreign text where people look at it: names of files, classes and columns in tables, logs, messages and CSV.

A name may hold what a terminal obeys (escape sequences that change colours or the window's title), what forges a
row of a table (newlines), what turns the order of letters round, or what a spreadsheet computes. `shown` makes such
characters visible, `csv_cell` and `csv_text` keep spreadsheets from computing; both leave all other text as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any

_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates of the writing direction: a name with them shows what it does not hold."""
_ESCAPED_KINDS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of characters (Python's form of bytes that are no text), separators of lines."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_FIRST_UNDECODABLE, _LAST_UNDECODABLE = 0xDC80, 0xDCFF

_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""What begins a formula in some spreadsheet, in ASCII and in full width."""
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan|infinity)", re.ASCII | re.IGNORECASE)
_QUOTED = re.compile(r'[",;\t\r\n|]|^\s|\s$')
"""Separators of any country's spreadsheets and blanks at the ends: cells that hold them are put in quotes."""


def shown(text: object) -> str:
    r"""Return a text for a terminal, a log or a message: what is not seen, or steers the terminal, is escaped.

    Escaped are control characters (newline as ``\n``, escape as ``\x1b``), the embeddings, overrides and isolates
    of the writing direction (``\u202e``), separators of lines and paragraphs, and bytes of a file's name that are
    no text (``\xff``). All else stays as it is, backslashes and brackets too, so the result is not to be read back.
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


def csv_cell(value: object) -> str:
    r"""Return a value for a cell of a CSV file that no spreadsheet takes for a formula.

    Numbers, as values or as texts (``-0.5``, ``1e-3``, ``nan``), stay as they are; ``None`` is empty. A text that
    begins with ``=``, ``+``, ``-``, ``@``, their full-width forms, a tab, a carriage return or a newline, after
    blanks and apostrophes, gets an apostrophe in front, by which spreadsheets know text. A program that reads the
    file gets the text back by taking one apostrophe away from such cells. Control characters but tab, carriage
    return and newline are escaped as by `shown`; those three are for the writer of the CSV to put in quotes.
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
    r"""Return rows as CSV (RFC 4180, lines end in ``\n``): cells by `csv_cell`, in quotes where they need them.

    A comma is not the only separator: where a spreadsheet splits at semicolons or tabs, a part of an unquoted cell
    would become a cell of its own, and perhaps a formula. So any separator puts a cell in quotes.
    """
    return "".join(",".join(map(_quoted, row)) + "\n" for row in rows)


def _quoted(value: object) -> str:
    cell = csv_cell(value)
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell
