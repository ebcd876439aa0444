"""Finding image files in folders."""

from __future__ import annotations

import os
from pathlib import Path

from paddle_automl.core.paths import readable

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
