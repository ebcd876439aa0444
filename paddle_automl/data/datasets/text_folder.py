"""A folder of text files with one subfolder per class."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import DataError
from paddle_automl.core.log import TOLD
from paddle_automl.core.parallel import in_threads
from paddle_automl.core.paths import readable
from paddle_automl.data.class_names import in_order
from paddle_automl.data.datasets._layout import BySplit, Layout, Reading, read_classes
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.text_files import as_items
from paddle_automl.inputs.text.decoding import CANDIDATES
from paddle_automl.inputs.text.files import SUFFIX, TEXTS, read_file
from paddle_automl.tasks.base import RawTargets

log = logging.getLogger(__name__)


@DATASETS.register("text_folder")
class TextFolder(Dataset):
    """A folder with one subfolder of .txt files per class; a file is a text, the subfolder's name the class's name.

    When the subfolders are splits, such as ``train``, ``val`` and ``test``, each with class folders inside, they
    are used as splits; so are folders of splits inside each class. Files may lie deeper inside a class folder, and
    each may have its own encoding, which is logged. Hidden files, other files and outputs of this program
    are ignored.
    """

    input = "text"

    class Config(DatasetConfig):
        """The folder and the meaning of its subfolders."""

        path_options: ClassVar[tuple[str, ...]] = ("root",)

        root: str
        """The folder."""

        layout: Layout = "auto"
        """What the subfolders are: classes, or splits with class folders inside; auto decides by their names and
        contents."""

        encoding: str | None = None
        """Encoding of the files, such as cp1252; null finds that of each."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @cached_property
    def _found(self) -> BySplit:
        """Return the files of each class in each split; without splits those of the split ""."""
        _, found = read_classes(self.config.root, "root", Reading(TEXTS, self.config.layout, lenient=True))
        return {split: {name: sorted(files) for name, files in classes.items()} for split, classes in found.items()}

    def sources(self) -> tuple[Path, ...]:
        """Return all files."""
        return tuple(file for classes in self._found.values() for files in classes.values() for file in files)

    def load(self) -> Samples:
        """Return the texts of each folder, sorted by split, class name and path."""
        found = self._found
        training = found.get("train", found.get("", {}))
        if not training:
            raise DataError(
                f"data.dataset.root: '{self.config.root}' holds no folders with {SUFFIX} files; make one folder of "
                f"{SUFFIX} files per class in it"
            )
        names = in_order(training)
        strangers = sorted({name for classes in found.values() for name in classes} - set(names))
        if strangers:
            raise DataError(
                f"data.dataset.root: the class '{strangers[0]}' has no folder in the training split; every class "
                "needs texts for training"
            )
        listed = [
            (split, names.index(name), file)
            for split in ("", *SPLITS)
            for name in names
            for file in found.get(split, {}).get(name, ())
        ]
        files = [file for _, _, file in listed]
        texts, encodings = [""] * len(files), [""] * len(files)

        def read(row: int) -> None:
            text, encodings[row] = read_file(files[row], self.config.encoding)
            texts[row] = text.replace("\0", " ").strip()

        in_threads(read, range(len(files)))
        if self.config.encoding is None:
            _tell(files, encodings)
        given = {split: np.flatnonzero([split == own for own, _, _ in listed]) for split in SPLITS}
        return Samples(
            RawTargets("classes", np.array([number for _, number, _ in listed], np.int64), tuple(names)),
            items=as_items(texts),
            splits={split: rows.astype(np.int64) for split, rows in given.items() if split in found},
            origins=tuple(map(readable, files)),
        )


def _tell(files: Sequence[Path], encodings: Sequence[str]) -> None:
    """Log which files were not read as UTF-8; a warning where their encodings differ, so that some may be wrong."""
    counts = Counter(name for name in encodings if name != "utf-8")
    if not counts:
        return
    parts = [
        f"{count} as {name} (for example {shown(readable(files[encodings.index(name)]))})"
        for name, count in counts.most_common()
    ]
    told = f"of {len(files)} files, not in UTF-8, are read {', '.join(parts)}"
    if sum(name in CANDIDATES for name in counts) > 1:
        log.warning("%s; if they have one encoding, state it as data.dataset.encoding", told)
    else:
        log.info("%s", told, extra=TOLD)
