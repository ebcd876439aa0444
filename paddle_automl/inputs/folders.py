"""What a folder of data holds: the files that are items, other files, and outputs of this program."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paddle_automl.core.errors import DataError
from paddle_automl.core.locking import LOCK
from paddle_automl.core.paths import readable

log = logging.getLogger(__name__)

_IGNORED_FOLDERS = frozenset({"__macosx", "__pycache__", "@eadir", "$recycle.bin"})
_IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})
_RESULTS = ("study.db", "bundle.yaml", "metrics.jsonl", "best.pdparams", LOCK)
"""Files that this program writes: a folder with one of them holds results, and its items are not data."""
_BEGUN = "config.yaml"
"""The first file of a training, in a folder without other files. A folder of data may have one of this name."""


@dataclass(frozen=True)
class ItemFiles:
    """The files that are items of one kind of input."""

    word: str
    """Several of them in messages, such as ``images``."""
    is_item: Callable[[str], bool]
    """Whether a file's name is that of an item."""
    suffixes: str = ""
    """The best known suffixes, for messages, where `word` does not say them."""
    hidden: tuple[str, ...] = (".",)
    """How names of folders begin that are not looked into."""

    def sees(self, folder: str) -> bool:
        """Return whether a folder of this name is looked into."""
        return not folder.startswith(self.hidden) and folder.lower() not in _IGNORED_FOLDERS


@dataclass(frozen=True)
class Found:
    """The content of a folder at any depth: sorted items, counts of other files by suffix, result folders."""

    items: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    results: list[Path] = field(default_factory=list)


def mark_of_result(folder: str | Path) -> str | None:
    """Return what shows that a folder is an output of this program: of a search or a training, or a bundle."""
    for name in _RESULTS:
        if os.path.exists(os.path.join(folder, name)):
            return name
    stages = os.path.join(folder, "stages")
    if os.path.isdir(stages) and any(name.endswith(".json") for name in os.listdir(stages)):
        return "stages"
    return None


def why_left_out(folder: Path) -> str:
    """Return the reason why a folder of results is left out, for a message."""
    mark = mark_of_result(folder) or (_BEGUN if (folder / _BEGUN).exists() else None)
    return "it is an output of this program" + ("" if mark is None else f" (it holds '{mark}')")


def subfolders(folder: Path, files: ItemFiles) -> tuple[list[Path], list[Path]]:
    """Return the folders directly below, and those that are results; sorted, without hidden and system folders."""
    with os.scandir(folder) as entries:
        visible = [Path(entry.path) for entry in entries if entry.is_dir() and files.sees(entry.name)]
    found: tuple[list[Path], list[Path]] = ([], [])
    for path in sorted(visible, key=_order):
        found[_is_left_out(path, files)].append(path)
    return found


def look_into(folder: Path, files: ItemFiles) -> Found:
    """Return the content of `folder` at any depth; links are followed, each folder once.

    Results of this program below it are left out and listed.
    """
    found = Found()
    seen: set[str] = set()
    for base, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(base)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        visible = sorted(name for name in folders if files.sees(name))
        results = {name for name in visible if _is_left_out(os.path.join(base, name), files)}
        found.results.extend(Path(base, name) for name in sorted(results))
        folders[:] = [name for name in visible if name not in results]
        for name in names:
            if files.is_item(name):
                found.items.append(Path(base, name))
            elif not name.startswith(".") and name.lower() not in _IGNORED_FILES:
                found.others[os.path.splitext(name)[1].lower() or "no suffix"] += 1
    found.items.sort(key=_order)
    return found


def items_below(folder: Path, files: ItemFiles) -> list[Path]:
    """Return all items below a folder that a command line names, sorted; see `look_into`.

    What is left out is logged. Raises DataError where there are none.
    """
    found, where = look_into(folder, files), readable(folder)
    if not found.items:
        looked = f"; looked for {files.suffixes}" if files.suffixes else ""
        other = f"; it has other files: {counted(found.others)}" if found.others else ""
        raise DataError(f"{where}: has no {files.word} in it or below{looked}{other}")
    if found.others:
        log.warning("%s: left out, because they are not %s: %s", where, files.word, counted(found.others))
    for result in found.results:
        log.warning("%s: left out, because %s", readable(result), why_left_out(result))
    return found.items


def counted(others: Mapping[str, int]) -> str:
    """Return suffixes with their counts, most frequent first, for messages."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    more = f", and {len(ordered) - 8} others" if len(ordered) > 8 else ""
    return ", ".join(f"{count} {readable(suffix)}" for suffix, count in ordered[:8]) + more


def _is_left_out(folder: str | Path, files: ItemFiles) -> bool:
    if mark_of_result(folder) is not None:
        return True
    return os.path.exists(os.path.join(folder, _BEGUN)) and not any(map(files.is_item, os.listdir(folder)))


def _order(path: Path) -> tuple[str, bytes]:
    return readable(path), os.fsencode(path)
