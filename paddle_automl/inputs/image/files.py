"""Finding image files: in folders, in lists, and behind the words of a command line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, read_lines, readable

IMAGE_SUFFIXES = frozenset(
    f".{format}"
    for format in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "bmp", "dib", "gif", "tif", "tiff", "webp"),
        *("ppm", "pgm", "pbm", "pnm"),
    )
)
_IGNORED_FOLDERS = frozenset({"__macosx", "__pycache__", "@eadir", "$recycle.bin"})


def is_image_name(path: str | Path) -> bool:
    """Return whether a name looks like that of an image: a known suffix, and not hidden."""
    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly below, sorted by name; hidden and system folders are left out."""
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if entry.is_dir() and _is_visible(entry.name)]
    return sorted(found, key=_order)


def find_images(folder: Path) -> list[Path]:
    """Return all image files below `folder`, at any depth, sorted; links are followed, each folder once."""
    found: list[Path] = []
    seen: set[str] = set()
    for base, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(base)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if _is_visible(name))
        found += [Path(base, name) for name in names if is_image_name(name)]
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[str, bytes]:
    return readable(path), os.fsencode(path)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _IGNORED_FOLDERS


def expand(paths: Iterable[str | Path]) -> list[Path]:
    """Return the image files that `paths` stand for, in the order given.

    A folder stands for all image files below it, sorted; a ``.txt`` file for the files in its lines, ``path``
    or ``path label``, relative to the list. Any other path stands for itself, whether it exists or not: the
    prediction then says what is wrong with it. Raises DataError for a folder without images, and for a list
    that is empty or no text.
    """
    files: list[Path] = []
    for path in paths:
        place = located(path)
        if place.is_dir():
            files += _of_folder(place)
        elif place.suffix.lower() == ".txt" and place.exists():
            files += _of_list(place)
        else:
            files.append(place)
    if not files:
        raise DataError("no images given; name image files, folders of images, or .txt lists of paths")
    return files


def _of_folder(folder: Path) -> list[Path]:
    files = find_images(folder)
    if not files:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"{readable(folder)}: has no image files in it or below; looked for {known}")
    return files


def _of_list(file: Path) -> list[Path]:
    lines = [line.strip() for line in read_lines(file)]
    files = [_of_line(line, file.parent) for line in lines if line]
    if not files:
        raise DataError(f"{readable(file)}: is an empty list; write one image path per line")
    return files


def _of_line(line: str, root: Path) -> Path:
    """Return the file of one line: all of it where that exists, else what stands before the last space."""
    whole = located(line, root)
    head = line.rsplit(maxsplit=1)[0]
    without_label = located(head, root)
    if whole.is_file():
        return whole
    if without_label.is_file() or (is_image_name(head) and not is_image_name(line)):
        return without_label
    return whole
