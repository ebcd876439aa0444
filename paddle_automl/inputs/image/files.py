"""Finding image files: in folders, in lists, and from arguments of a command line."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paddle_automl.core.errors import DataError
from paddle_automl.core.locking import LOCK
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.inputs.image.formats import image_suffixes

log = logging.getLogger(__name__)

_IGNORED_FOLDERS = frozenset({"__macosx", "__pycache__", "@eadir", "$recycle.bin"})
_IGNORED_FILES = frozenset({"thumbs.db", "desktop.ini"})
_RESULTS = frozenset({"study.db", "bundle.yaml", "metrics.jsonl", "best.pdparams", LOCK})
_BEGUN = "config.yaml"
"""The first file of a training; a data folder may contain a file of this name, but no class folder does."""
"""Files that this program writes: a folder with one of them holds results, and its images are not data."""
SUFFIXES = ".jpg .png .gif .bmp .tif .webp .avif .jp2 .tga .ppm and others"
"""The best known of `image_suffixes`, for messages."""


@dataclass(frozen=True)
class Found:
    """The content of a folder at any depth: sorted image files, counts of other files by suffix, result folders."""

    images: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    results: list[Path] = field(default_factory=list)


def is_image_name(path: str | Path) -> bool:
    """Return whether a name looks like that of an image: a known suffix, and not hidden."""
    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in image_suffixes()


def is_result(folder: str | Path) -> bool:
    """Return whether a folder is an output of this program: of a search or a training, or a bundle."""
    if any(os.path.exists(os.path.join(folder, name)) for name in _RESULTS):
        return True
    stages = os.path.join(folder, "stages")
    return os.path.isdir(stages) and any(name.endswith(".json") for name in os.listdir(stages))


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly below, sorted by name, without hidden, system and result folders."""
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if entry.is_dir() and _is_visible(entry.name)]
    return sorted((path for path in found if not _is_left_out(path)), key=_order)


def find_images(folder: Path) -> list[Path]:
    """Return all image files below `folder`, at any depth, sorted; see `look_into`."""
    return look_into(folder).images


def look_into(folder: Path) -> Found:
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
        visible = sorted(name for name in folders if _is_visible(name))
        results = {name for name in visible if _is_left_out(os.path.join(base, name))}
        found.results.extend(Path(base, name) for name in sorted(results))
        folders[:] = [name for name in visible if name not in results]
        for name in names:
            if is_image_name(name):
                found.images.append(Path(base, name))
            elif not name.startswith(".") and name.lower() not in _IGNORED_FILES:
                found.others[os.path.splitext(name)[1].lower() or "no suffix"] += 1
    found.images.sort(key=_order)
    return found


def counted(others: Mapping[str, int]) -> str:
    """Return suffixes with their counts, most frequent first, for messages."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    more = f", and {len(ordered) - 8} others" if len(ordered) > 8 else ""
    return ", ".join(f"{count} {readable(suffix)}" for suffix, count in ordered[:8]) + more


def _is_left_out(folder: str | Path) -> bool:
    return is_result(folder) or os.path.exists(os.path.join(folder, _BEGUN))


def _order(path: Path) -> tuple[str, bytes]:
    return readable(path), os.fsencode(path)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _IGNORED_FOLDERS


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Return the image files that `paths` name, in the order given.

    A folder names all image files below it, sorted; a ``.txt`` file the files in its lines, ``path`` or ``path
    label``, relative to the list. Any other path is returned as it is, even if it does not exist: prediction then
    reports what is wrong with it. Raises DataError for a folder without images, and for a list that is empty or not
    a text file.
    """
    files: list[Path] = []
    for path in paths:
        place = located(path)
        if os.path.isdir(place):
            files += _of_folder(place)
        elif place.suffix.lower() == ".txt" and os.path.exists(place):
            files += _of_list(place)
        else:
            files.append(place)
    if not files:
        raise DataError("no images given; name image files, folders of images, or .txt lists of paths")
    return files


def _of_folder(folder: Path) -> list[Path]:
    found = look_into(folder)
    if not found.images:
        other = f"; it has other files: {counted(found.others)}" if found.others else ""
        raise DataError(f"{readable(folder)}: has no image files in it or below; looked for {SUFFIXES}{other}")
    _say_left_out(folder, found)
    return found.images


def _say_left_out(folder: Path, found: Found) -> None:
    if found.others:
        log.warning("%s: left out, because they are not images: %s", readable(folder), counted(found.others))
    for result in found.results:
        log.warning("%s: left out, because it is an output of this program", readable(result))


def _of_list(file: Path) -> list[Path]:
    lines = [line.strip() for line in read_lines(file)]
    files = [_of_line(line, file.parent) for line in lines if line]
    if not files:
        raise DataError(f"{readable(file)}: is an empty list; write one image path per line")
    return files


def _of_line(line: str, root: Path) -> Path:
    """Return the file of one line: the whole line if that exists, else the text before the last space."""
    whole = located(line, root)
    head = line.rsplit(maxsplit=1)[0]
    without_label = located(head, root)
    if os.path.isfile(whole):
        return whole
    if os.path.isfile(without_label) or (is_image_name(head) and not is_image_name(line)):
        return without_label
    return whole
