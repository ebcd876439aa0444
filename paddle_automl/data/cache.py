"""Data that take long to read, stored once and mapped into memory by every process that needs them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock

from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import replacing, write_json
from paddle_automl.data.items import CONTENT, packed, unpacked
from paddle_automl.data.packing import are_texts, packed_texts, unpacked_texts
from paddle_automl.data.samples import Samples
from paddle_automl.data.stores import Items, mended, read_all
from paddle_automl.inputs.base import Reader, Statistics
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.tasks.base import RawTargets

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")

VERSION = 3
"""Part of every key; raised with any change of what is stored."""


@dataclass(frozen=True)
class ReadSamples:
    """Samples in memory, converted by the reader, with the reader and with `copies` as in `Items`.

    `first` is the data set's first item before that, ``[1, ...]``, from which the reader can be made again.
    """

    samples: Samples
    reader: Reader
    first: np.ndarray
    copies: dict[int, int] = field(default_factory=dict)
    content: np.ndarray | None = None
    """The hash of each item before that (`data.items.contents_of`), uint64 ``[N]``."""


class Cache:
    """A folder of stored results that processes share.

    Each result has a key from `key`, a hash of everything it depends on. Processes that need the same result at the
    same time wait for the first; a file is complete or does not exist. Items are mapped, so many processes share
    one copy in memory. Only arrays of numbers and texts are stored; other items are read by every process. A folder
    that cannot be written leads to a warning and does not stop the run. Without a folder nothing is stored.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder

    @staticmethod
    def key(what: object, sources: Sequence[Any]) -> str:
        """Return a hash of `what`, and of each source: a file's path, time, size and permissions, or a value."""
        digest = hashlib.sha256(repr((VERSION, what)).encode("utf-8", "surrogateescape"))
        for source in sources:
            if isinstance(source, Path):
                digest.update(os.fsencode(os.path.abspath(source)) + b"\0" + _stamp(source) + b"\0")
            else:
                digest.update(repr(source).encode("utf-8", "backslashreplace") + b"\0")
        return digest.hexdigest()[:32]

    def read(self, key: str, sources: Sequence[Any], reader: Reader, word: str, *, keep: bool) -> Items:
        """Return the result of `read_all`, from the cache if possible; sources that failed are tried again."""

        def stored(folder: Path) -> Items:
            file, rest = folder / f"{key}.npy", folder / f"{key}.json"
            if rest.exists() and (file.exists() or not keep):
                known = _read_items(file if keep else None, rest)
                found = mended(known, sources, reader, word)
                if found is known:
                    return known
            else:
                found = read_all(sources, reader, word, keep=keep)
            if found.items is not None:
                found = replace(found, items=_mapped(found.items, file))
            assert found.content is not None
            facts = {"failures": _texts(found.failures), "copies": _texts(found.copies)}
            write_json(rest, {**facts, "content": packed(found.content, CONTENT)})
            return found

        def plain() -> Items:
            return read_all(sources, reader, word, keep=keep)

        return plain() if keep and not _is_plain(reader.empty(1)) else self._stored(key, stored, plain)

    def samples(
        self, key: str, load: Callable[[], ReadSamples], reader_of: Callable[[np.ndarray], Reader]
    ) -> ReadSamples:
        """Return the converted result of `load`, from the cache if possible; `reader_of` makes the reader."""
        if self.folder is not None and (self.folder / f"{key}.uncached").exists():
            return load()

        def stored(folder: Path) -> ReadSamples:
            file, rest = folder / f"{key}.npy", folder / f"{key}.npz"
            if not (rest.exists() and file.exists()):
                loaded = load()
                assert loaded.samples.items is not None
                stored = _is_plain(loaded.samples.items) or are_texts(loaded.samples.items)
                if not stored or reader_of(loaded.first) != loaded.reader:
                    (folder / f"{key}.uncached").touch()
                    return loaded
                _write_samples(loaded, file, rest)
            return _read_samples(file, rest, reader_of)

        return self._stored(key, stored, load)

    def statistics(self, key: str, indices: np.ndarray, measure: Callable[[], Statistics]) -> Statistics:
        """Return the result of `measure` for the items at `indices`, from the cache if possible."""
        name = f"{key[:16]}-{hashlib.sha256(indices.tobytes()).hexdigest()[:16]}"

        def stored(folder: Path) -> Statistics:
            file = folder / f"{name}.json"
            if not file.exists():
                write_json(file, measure())
            known: Statistics = json.loads(file.read_text("utf-8"))
            return known

        return Cache(self.folder and self.folder / "statistics")._stored(name, stored, measure)

    def encoded(
        self, key: str, make: Callable[[], Mapping[str, Ragged]], names: Sequence[str]
    ) -> dict[str, Ragged]:
        """Return the arrays of all items by name, from the cache if possible; `make` makes those in `names`."""

        def stored(folder: Path) -> dict[str, Ragged]:
            files = {name: (folder / f"{key}-{name}-offsets.npy", folder / f"{key}-{name}.npy") for name in names}
            if not all(file.exists() for pair in files.values() for file in pair):
                for name, found in make().items():
                    for array, file in zip((found.offsets, found.values), files[name], strict=True):
                        _mapped(array, file)
            return {
                name: Ragged(*(np.load(file, mmap_mode="r").view(np.ndarray) for file in pair))
                for name, pair in files.items()
            }

        return self._stored(key, stored, lambda: dict(make()))

    def _stored(self, key: str, stored: Callable[[Path], _Result], plain: Callable[[], _Result]) -> _Result:
        if self.folder is None:
            return plain()
        try:
            with _locked(self.folder, key):
                return stored(self.folder)
        except (OSError, OutputError) as error:
            log.warning("%s: data cannot be stored (%s) and will be read again", self.folder, error)
            return plain()


@contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{key}.lock"):
        yield


def _stamp(file: Path) -> bytes:
    try:
        status = os.stat(file)
    except (OSError, ValueError):  # names of files contain no NUL
        return b"missing"
    return f"{status.st_mtime_ns} {status.st_size} {status.st_mode}".encode()


def _is_plain(items: np.ndarray) -> bool:
    """Return whether items are fixed-size values, so that they can be mapped into memory."""
    return not items.dtype.hasobject


def _texts(rows: dict[int, Any]) -> dict[str, Any]:
    return {str(row): value for row, value in rows.items()}


def _mapped(items: np.ndarray, file: Path) -> np.ndarray:
    with replacing(file) as temporary:
        np.save(temporary, items)
    mapped: np.ndarray = np.load(file, mmap_mode="r")
    return mapped


def _read_items(file: Path | None, rest: Path) -> Items:
    known = json.loads(rest.read_text("utf-8"))
    failures = {int(row): reason for row, reason in known["failures"].items()}
    copies = {int(row): first for row, first in known["copies"].items()}
    items = None if file is None else np.load(file, mmap_mode="r")
    return Items(items, failures, copies, unpacked(known["content"], CONTENT))


_SPLIT, _COLUMN, _TEXTS, _LENGTHS = "split_", "column_", "texts_", "lengths_"


def _write_samples(loaded: ReadSamples, file: Path, rest: Path) -> None:
    """Write the items to `file`, and everything else to `rest`; of texts their bytes one after the other."""
    samples = loaded.samples
    assert loaded.content is not None
    assert samples.items is not None
    arrays = {
        "kind": np.array(samples.targets.kind),
        "values": samples.targets.values,
        "copies": np.array(list(loaded.copies.items()), dtype=np.int64).reshape(-1, 2),
        "content": loaded.content,
    }
    if are_texts(samples.items):
        content, arrays["items"] = packed_texts(samples.items)
        _mapped(content, file)
    else:
        _mapped(samples.items, file)
        arrays["first"] = loaded.first
    columns = {f"{_COLUMN}{name}": texts for name, texts in samples.columns.items()}
    known = {"names": samples.targets.names, "origins": samples.origins, "groups": samples.groups, **columns}
    for name, texts in known.items():
        if texts is not None:
            arrays[f"{_TEXTS}{name}"], arrays[f"{_LENGTHS}{name}"] = packed_texts(texts)
    arrays |= {f"{_SPLIT}{name}": indices for name, indices in samples.splits.items()}
    with replacing(rest) as temporary:
        np.savez(temporary, **arrays)


def _read_samples(file: Path, rest: Path, reader_of: Callable[[np.ndarray], Reader]) -> ReadSamples:
    items = np.load(file, mmap_mode="r").view(np.ndarray)
    with np.load(rest, allow_pickle=False) as known:
        if "items" in known.files:
            items = np.array([*unpacked_texts(items, known["items"]), None], dtype=object)[:-1]
        texts = {
            name.removeprefix(_TEXTS): unpacked_texts(known[name], known[_LENGTHS + name.removeprefix(_TEXTS)])
            for name in known.files
            if name.startswith(_TEXTS)
        }
        samples = Samples(
            targets=RawTargets(str(known["kind"]), known["values"], texts["names"]),
            items=items,
            splits={name.removeprefix(_SPLIT): known[name] for name in known.files if name.startswith(_SPLIT)},
            origins=texts.get("origins"),
            groups=texts.get("groups"),
            columns={name.removeprefix(_COLUMN): texts[name] for name in texts if name.startswith(_COLUMN)},
        )
        copies = {int(row): int(first) for row, first in known["copies"]}
        first = known["first"] if "first" in known.files else items[:1]
        return ReadSamples(samples, reader_of(first), first, copies, known["content"])
