"""Finding image files: in folders, in lists, and from arguments of a command line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.inputs.folders import ItemFiles, items_below
from paddle_automl.inputs.image.formats import image_suffixes

SUFFIXES = ".jpg .png .gif .bmp .tif .webp .avif .jp2 .tga .ppm and others"
"""The best known of `image_suffixes`, for messages."""


def is_image_name(path: str | Path) -> bool:
    """Return whether a name looks like that of an image: a known suffix, and not hidden."""
    name = os.path.basename(path)
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in image_suffixes()


IMAGES = ItemFiles("images", is_image_name, SUFFIXES)


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
            files += items_below(place, IMAGES)
        elif place.suffix.lower() == ".txt" and os.path.exists(place):
            files += _of_list(place)
        else:
            files.append(place)
    if not files:
        raise DataError("no images given; name image files, folders of images, or .txt lists of paths")
    return files


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
