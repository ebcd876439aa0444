"""From what stands on a command line to image files: files, folders, lists."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import located, read_lines, readable
from paddle_automl.inputs.image.files import IMAGE_SUFFIXES, find_images, is_image_name


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
