"""Texts on the command line and in files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import open_regular
from paddle_automl.core.paths import located, readable
from paddle_automl.inputs.base import Reader
from paddle_automl.inputs.folders import ItemFiles, items_below
from paddle_automl.inputs.text.decoding import decoded, mended

LARGEST = 64 << 20
"""Most bytes of a file with one text."""
_LONGEST_NAME = 1024
"""Longer words of a command line are texts, not names of files."""
SUFFIX = ".txt"


def is_text_name(name: str) -> bool:
    """Return whether a file's name is that of a text: it ends in .txt, and is not hidden."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() == SUFFIX


TEXTS = ItemFiles(f"{SUFFIX} files", is_text_name, hidden=(".", "__"))


@dataclass(frozen=True)
class TextReader(Reader):
    """Returns a text as it is, or the content of a file, as an object array ``[]``.

    `encoding` is that of all files and bytes; without it, `likely` is tried before others (see `decoded`).
    """

    encoding: str | None = None
    likely: str | None = None

    def __call__(self, source: Any) -> np.ndarray:
        """Return the text of a str, of bytes, or of the file of a Path."""
        if isinstance(source, np.ndarray) and source.shape == () and source.dtype == object:
            source = source.item()
        if isinstance(source, Path):
            source = read_file(source, self.encoding, self.likely)[0]
        elif isinstance(source, bytes):
            source = decoded(source, "the text", self.encoding, self.likely)[0]
        if not isinstance(source, str):
            raise DataError(f"must be a text or a file of one, got {type(source).__name__} {source!r}"[:300])
        return np.array(mended(source), dtype=object)

    def convert(self, items: np.ndarray) -> np.ndarray:
        """Return texts that a data set holds, as they would be read one by one."""
        converted = np.empty(len(items), dtype=object)
        converted[:] = [mended(item) if isinstance(item, str) else item for item in items]
        return converted

    def empty(self, count: int) -> np.ndarray:
        """Return room for texts, object ``[count]``."""
        return np.full(count, "", dtype=object)


def read_file(path: Path, encoding: str | None = None, likely: str | None = None) -> tuple[str, str]:
    """Return the text of a file, and its encoding, which is found as `decoded` does it; raises DataError."""
    try:
        with open_regular(path) as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise DataError(f"{readable(path)}: cannot read the file: {error.strerror or error}") from None
    if len(raw) > LARGEST:
        raise DataError(f"{readable(path)}: has more than {LARGEST >> 20} MB, which is no single text")
    return decoded(raw, readable(path), encoding, likely)


def find_texts(paths: Iterable[str | Path]) -> list[Any]:
    """Return the texts that words of a command line are, and the files that they name.

    A word that names a file stands for the text in it, a folder for the .txt files below it, as in a data set;
    every other word is a text itself. Raises DataError if nothing is given, and for a folder without such files.
    """
    found: list[Any] = []
    for word in paths:
        path = _named(word)
        if path is None:
            found.append(str(word))
        elif path.is_dir():
            found += items_below(path, TEXTS)
        else:
            found.append(path)
    if not found:
        raise DataError("no texts given; name texts, or .txt files with a text each")
    return found


def _named(word: str | Path) -> Path | None:
    """Return the file or folder that a word names, or None if it is a text."""
    if isinstance(word, Path):
        return located(word)
    if not word.strip() or len(word) > _LONGEST_NAME or "\n" in word or "\0" in word:
        return None
    path = located(word)
    try:
        return path if os.path.exists(path) else None
    except (OSError, ValueError):
        return None
