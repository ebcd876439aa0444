"""Paths and texts in the encoding of a system, an archive or an editor.

A configuration and a bundle hold Unicode text. A file system holds bytes: names unpacked from a Chinese Windows
archive are GBK, most others UTF-8, and Python reads both by the locale. These functions convert between the two, so
that the same configuration works in every locale.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from paddle_automl.core.errors import DataError
from paddle_automl.core.files import open_regular

ENCODINGS = ("utf-8", "gb18030")


def located(path: str | Path, root: str | Path | None = None) -> Path:
    """Return the existing path that `path` (below `root`) names, or the plain path if there is none.

    The name is tried as the locale encodes it, then as UTF-8 and as GB18030 bytes, then in other Unicode forms:
    a name may be composed in a list and decomposed on the disk (NFC and NFD). ``~`` is the home folder.
    """
    text = os.path.expanduser(str(path))
    plain = os.path.join(root, text) if root is not None else text
    if text.isascii() or os.path.lexists(plain):
        return Path(plain)
    for encoding in ENCODINGS:
        try:
            raw = text.encode(encoding, "surrogateescape")
            name = os.fsdecode(os.path.join(os.fsencode(root), raw) if root is not None else raw)
        except UnicodeEncodeError:
            continue
        if os.path.lexists(name):
            return Path(name)
    return _in_another_form(text, root) or Path(plain)


def _in_another_form(text: str, root: str | Path | None) -> Path | None:
    """Return the existing path whose names are canonically equivalent to those of `text`, or None."""
    place = Path("" if root is None else root)
    for part in Path(text).parts:
        plain = place / part
        if not os.path.lexists(plain) and not part.isascii():
            wanted = unicodedata.normalize("NFC", part)
            try:
                names = sorted(os.listdir(place))
            except OSError:
                return None
            same = [name for name in names if unicodedata.normalize("NFC", readable(name)) == wanted]
            plain = place / same[0] if same else plain
        if not os.path.lexists(plain):
            return None
        place = plain
    return place


def readable(path: str | Path) -> str:
    """Return a path or a name as proper Unicode text, fit for messages, labels and UTF-8 files."""
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        return str(path)
    separator = os.fsencode(os.sep)
    return os.sep.join(_decoded(part) for part in raw.split(separator))


def absolute_path(path: str) -> str:
    """Return `path` made absolute against the working directory, as proper Unicode text."""
    return os.path.normpath(os.path.join(readable(os.getcwd()), readable(os.path.expanduser(path))))


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file in UTF-8 (with or without BOM), UTF-16 with BOM, or GB18030.

    Raises DataError when the file cannot be read or is in none of these encodings.
    """
    try:
        with open_regular(path) as file:
            raw = file.read()
    except OSError as error:
        raise DataError(f"{readable(path)}: cannot read the file: {error.strerror}") from None
    encodings = ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    raise DataError(f"{readable(path)}: is not a text file in UTF-8 or GBK; save it as UTF-8")


def _decoded(raw: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("utf-8", "backslashreplace")


def without_folders(value: Any, bases: Iterable[str | Path] = ()) -> Any:
    """Return JSON-like data in which no path tells where the files are on this machine.

    An absolute path that exists becomes relative to the first of `bases` that it is in, or else only its last part;
    all other texts are unchanged. `with_folders` is the inverse.
    """
    roots = [os.path.abspath(base) for base in bases]
    if isinstance(value, Mapping):
        return {key: without_folders(item, roots) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(item, roots) for item in value]
    if not isinstance(value, str) or not os.path.isabs(value) or not os.path.lexists(located(value)):
        return value
    path = os.path.normpath(value)
    for root in roots:
        if path != root and os.path.commonpath([path, root]) == root:
            return os.path.relpath(path, root)
    return os.path.basename(path) or value


def with_folders(value: Any, known: Any) -> Any:
    """Return the result of `without_folders` with the absolute paths of `known`, similar data that has them."""
    if isinstance(value, Mapping):
        near = known if isinstance(known, Mapping) else {}
        return {key: with_folders(item, near.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(known, list | tuple) and len(value) == len(known):
        return [with_folders(item, other) for item, other in zip(value, known, strict=True)]
    if isinstance(value, str) and isinstance(known, str) and os.path.isabs(known):
        return known if os.path.basename(known) == value else value
    return value
