"""The items of a data set by content, with the split of each: what a run remembers of its data.

A split is drawn from what is in a folder at that moment. When files were added, changed or removed since, the same
seed draws another split, and items that a network was trained on would count as its test. With the list of a
training every item keeps its split, wherever its file is now and whatever it is called.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import DataError
from paddle_automl.core.files import open_regular, write_text
from paddle_automl.core.paths import readable
from paddle_automl.data.class_names import composed
from paddle_automl.data.samples import SPLITS
from paddle_automl.tasks.base import RawTargets

FILE = "splits.json"
"""Name of the file with a list."""
VERSION = 1
NOWHERE = -1
"""In place of the number of a split, or of a fold: the item is in none."""
CONTENT = "<u8"
_TARGET, _SPLIT, _FOLD = "<u4", "i1", "<i2"
UNREADABLE = 0
"""Content of an item that could not be read."""


@dataclass(frozen=True)
class ItemList:
    """All N items of a data set, in its order.

    `content`, uint64 ``[N]``, and `targets`, uint32 ``[N]``, are hashes; `splits`, int8 ``[N]``, are positions in
    ``train, validation, test``; `folds`, int16 ``[N]``, the fold that each is in, with cross validation. `names`
    are paths below the data's folder, None where items have no names. `target_names` are the classes or columns;
    `key` is a hash of what the split was drawn by. `learned` are the splits that a network was trained on.
    """

    content: np.ndarray
    targets: np.ndarray
    splits: np.ndarray
    folds: np.ndarray | None
    names: tuple[str, ...] | None
    target_names: tuple[str, ...]
    key: str
    learned: tuple[str, ...] = ("train",)

    def __len__(self) -> int:
        return len(self.content)

    def without_names(self) -> ItemList:
        """Return the list without the names of the items, as a bundle carries it."""
        return replace(self, names=None)

    def indices(self, fold: int | None = None) -> dict[str, np.ndarray]:
        """Return the sorted rows of each split; with `fold` those where that fold is the validation split."""
        splits = self.splits
        if fold is not None and self.folds is not None:
            splits = splits.copy()
            drawn = self.folds != NOWHERE
            splits[drawn] = np.where(self.folds[drawn] == fold, SPLITS.index("validation"), SPLITS.index("train"))
        return {name: np.flatnonzero(splits == number).astype(np.int64) for number, name in enumerate(SPLITS)}

    # -- files -----------------------------------------------------------------------------------------------------
    def write(self, file: Path) -> None:
        """Write the list as JSON."""
        write_text(file, json.dumps(self.as_dict(), ensure_ascii=False) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """Return the list as JSON-like data."""
        return {
            "version": VERSION,
            "key": self.key,
            "learned": list(self.learned),
            "content": packed(self.content, CONTENT),
            "targets": packed(self.targets, _TARGET),
            "splits": packed(self.splits, _SPLIT),
            "folds": None if self.folds is None else packed(self.folds, _FOLD),
            "target_names": list(self.target_names),
            "names": None if self.names is None else list(self.names),
        }

    @classmethod
    def read(cls, file: Path) -> ItemList:
        """Read a list; raises DataError where the file holds none."""
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                raise DataError(f"{file}: has version {data['version']}, this program reads {VERSION}")
            return _checked(data)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"{shown(file)}: is no list of items as a training writes it: {error}") from None


@dataclass(frozen=True)
class Match:
    """Where the items of the data are in a remembered list.

    `rows`, int64 ``[M]``: for each item of the data its row in the list, or `NOWHERE` where it is not in it; no two
    items have the same row. `changed` are rows of the data whose content or target is another than remembered;
    `added` are rows of the data, `missing` rows of the list.
    """

    rows: np.ndarray
    changed: np.ndarray
    added: np.ndarray
    missing: np.ndarray

    def splits_of(self, remembered: ItemList) -> np.ndarray:
        """Return the split of each item of the data, int8 ``[M]``."""
        return _taken(remembered.splits, self.rows)

    def folds_of(self, remembered: ItemList) -> np.ndarray | None:
        """Return the fold of each item of the data, int16 ``[M]``."""
        return None if remembered.folds is None else _taken(remembered.folds, self.rows)


def content_of(source: Any, item: bytes) -> int:
    """Return the hash of an item: of the bytes of its file, or else of `item`, a hash of what was read.

    The bytes do not depend on how items are read: a run with other options knows the same files.
    """
    if isinstance(source, Path):
        try:
            with open_regular(source) as file:
                return hash_of(file.read())
        except OSError:
            # Read a moment ago, and gone.
            return UNREADABLE
    return hash_of(item)


def hash_of(content: bytes | memoryview) -> int:
    """Return 64 bits of a hash, never `UNREADABLE`."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") or 1


def contents_of(items: np.ndarray) -> np.ndarray:
    """Return the hash of each item of an array, uint64 ``[N]``."""
    if items.dtype.hasobject:
        # A text is the same in whichever Unicode form it is written.
        texts = (composed(item) if isinstance(item, str) else repr(item) for item in items)
        found = [hash_of(text.encode("utf-8", "surrogatepass")) for text in texts]
    else:
        found = [hash_of(np.ascontiguousarray(item).data.cast("B")) if item.size else 1 for item in items]
    return np.array(found, dtype=np.uint64)


def targets_of(targets: RawTargets) -> np.ndarray:
    """Return the hash of each item's target, uint32 ``[N]``: of its class by name, whatever its number is."""
    if targets.kind == "classes":
        known = np.array(
            [_short(name.encode("utf-8", "surrogateescape")) for name in targets.names], dtype=np.uint32
        )
        return known[targets.values]
    rows = np.ascontiguousarray(targets.values)
    return np.array([_short(repr(row.tolist()).encode()) for row in rows], dtype=np.uint32)


def names_of(sources: Sequence[Any] | None) -> tuple[str, ...] | None:
    """Return the names of files below the folder that holds all of them; None for items that are no files."""
    if not sources or not all(isinstance(source, Path) for source in sources):
        return None
    paths = [os.fspath(source) for source in sources]
    if not all(map(os.path.isabs, paths)):
        paths = [os.path.abspath(path) for path in paths]
    root = os.path.commonpath({os.path.dirname(path) for path in paths})
    start = len(root) if root.endswith(os.sep) else len(root) + 1
    return tuple(path[start:] if path.isascii() else readable(path[start:]) for path in paths)


def match(now: ItemList, remembered: ItemList) -> Match:
    """Return where the items of the data as they are now are in a remembered list.

    An item is the same by its content; among copies the one of the same name comes first. A file of the same name
    with other content is the same item, changed.
    """
    if _same(now, remembered):
        nothing = np.empty(0, dtype=np.int64)
        return Match(np.arange(len(now)), nothing, nothing, nothing)
    rows = np.full(len(now), NOWHERE, dtype=np.int64)
    free = dict.fromkeys(range(len(remembered)))
    contents, olds = now.content.tolist(), remembered.content.tolist()
    by_name = {name: row for row, name in enumerate(remembered.names or ())}
    names: Sequence[str | None] = now.names or (None,) * len(now)
    for row, name in enumerate(names):
        old = by_name.get(name) if name is not None else None
        if old is not None and olds[old] == contents[row] != UNREADABLE:
            rows[row] = old
            free.pop(old, None)
    waiting: dict[int, list[int]] = {}
    for old in reversed(free):
        waiting.setdefault(olds[old], []).append(old)
    for row, content in enumerate(contents):
        if rows[row] == NOWHERE and content != UNREADABLE and waiting.get(content):
            rows[row] = waiting[content].pop()
            free.pop(int(rows[row]))
    for row, name in enumerate(names):
        old = by_name.get(name) if name is not None and rows[row] == NOWHERE else None
        if old is not None and old in free and contents[row] != UNREADABLE:
            rows[row] = old
            free.pop(old)
    known = np.flatnonzero(rows != NOWHERE)
    old_rows = rows[known]
    changed = (now.content[known] != remembered.content[old_rows]) | (
        now.targets[known] != remembered.targets[old_rows]
    )
    gone = np.array([row for row in free if olds[row] != UNREADABLE], dtype=np.int64)
    new = np.flatnonzero((rows == NOWHERE) & (now.content != UNREADABLE))
    return Match(rows, known[changed], new, gone)


def _same(now: ItemList, remembered: ItemList) -> bool:
    return (
        len(now) == len(remembered)
        and np.array_equal(now.content, remembered.content)
        and np.array_equal(now.targets, remembered.targets)
        and (now.names == remembered.names or now.names is None or remembered.names is None)
    )


def _taken(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    found = np.full(len(rows), NOWHERE, dtype=values.dtype)
    known = rows != NOWHERE
    found[known] = values[rows[known]]
    return found


def _short(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=4).digest(), "little")


def packed(values: np.ndarray, dtype: str) -> str:
    """Return numbers as text for JSON."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode("ascii")


def unpacked(text: Any, dtype: str) -> np.ndarray:
    """Return the numbers of a text made by `packed`; raises ValueError where it is none."""
    return np.frombuffer(base64.b64decode(str(text).encode("ascii"), validate=True), dtype=dtype).copy()


def _checked(data: Mapping[str, Any]) -> ItemList:
    found = ItemList(
        content=unpacked(data["content"], CONTENT).astype(np.uint64),
        targets=unpacked(data["targets"], _TARGET).astype(np.uint32),
        splits=unpacked(data["splits"], _SPLIT).astype(np.int8),
        folds=None if data["folds"] is None else unpacked(data["folds"], _FOLD).astype(np.int16),
        names=None if data["names"] is None else _texts(data["names"]),
        target_names=_texts(data["target_names"]),
        key=str(data["key"]),
        learned=_texts(data["learned"]),
    )
    lengths = {
        len(values) for values in (found.targets, found.splits, found.folds, found.names) if values is not None
    }
    if lengths != {len(found)}:
        raise ValueError("its columns have different lengths")
    if not set(found.learned) <= set(SPLITS):
        raise ValueError(f"learned: {found.learned}")
    if len(found) and not (found.splits.min() >= NOWHERE and found.splits.max() < len(SPLITS)):
        raise ValueError("a split out of range")
    return found


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("names must be a list of texts")
    return tuple(values)
