"""Features of changed copies of the items: augmentation for heads on a frozen backbone.

A head learns from features that were computed once, so its items cannot be changed in each epoch. With
`data.feature_views` the features of a few changed copies of each item, its views, are computed too, and a training
draws one of them, or the item itself, in each epoch. They are stored beside the features of the items.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import OutputError
from paddle_automl.core.files import write_json
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import Augmenter, BatchPosition, PlacedAugmentation, build_augmenter
from paddle_automl.data.splits import PreparedData
from paddle_automl.models.network import Network
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.feature_files import locked, part_of, parts_of, save
from paddle_automl.pipeline.frozen import Progress, content_now, features_key, forward, readable_rows

logger = logging.getLogger(__name__)

CHUNK = 64
"""Items that share a random generator, so that the views do not depend on how many workers compute them."""
MOST = 131_072
"""Vectors of all views together, above which there are fewer views: 1 GB with 2,048 features."""
SLOWER = 1.1
"""Factor of the time of a view in that of the one before it."""


class ViewChoice(PlacedAugmentation):
    """Replaces features by those of a view of the same item, drawn anew in each epoch; the item itself is one.

    `views` are float32 ``[V, N, F]``, in the order of the data set.
    """

    stage = "item"
    takes = frozenset({"features"})

    def __init__(self, views: Sequence[np.ndarray]) -> None:
        self.views = views

    def __call__(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return features of unknown items as they are."""
        return values, targets

    def placed(
        self, values: np.ndarray, targets: np.ndarray, rng: np.random.Generator, place: BatchPosition
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return features ``[B, F]`` of a random view of each item, and the same targets."""
        drawn, found = rng.integers(0, len(self.views) + 1, len(values)), values.copy()
        for number, view in enumerate(self.views, start=1):
            rows = drawn == number
            found[rows] = view[place.items[rows]]
        return found, targets


class ViewStore:
    """The views of one configuration's items, in the folder of their features; without a folder nothing is kept."""

    def __init__(self, folder: Path | None, config: RunConfig, data: PreparedData) -> None:
        self.folder = None if folder is None else folder / "features"
        self.config, self.data = config, data
        options = config.data.feature_views.model_dump_json(include={"augment"})
        # Test items are never trained on.
        self.rows = np.setdiff1d(readable_rows(data), data.test.indices)
        digest = hashlib.sha256(f"{features_key(config.model, data)} {options}".encode())
        digest.update(self.rows.tobytes())
        self.key = digest.hexdigest()[:32]

    def get(self, make: Callable[[], Network]) -> list[np.ndarray]:
        """Return the views that are stored if a search had time for no more, else all, each float32 ``[N, F]``."""
        if self.folder is None:
            alone = make()
            return [self._whole([self._part(alone, number, (0, 1))]) for number in self._numbers()]
        try:
            with locked(self.folder / f"{self.key}.npy"):
                found = list(self._stored())
                if not self._enough.exists():
                    missing = self._numbers()[len(found) :]
                    model = make() if missing else None
                    for number in missing:
                        assert model is not None
                        save(self._file(number), self._whole([self._part(model, number, (0, 1))]))
                    found = list(self._stored())
                return found
        except (OSError, OutputError) as error:
            logger.warning("%s: the views cannot be stored, and are left out (%s)", self.folder, error)
            return []

    def compute(
        self, model: Network, part: tuple[int, int], end: float | None, progress: Progress | None = None
    ) -> int:
        """Store a part, ``(index, number of parts)``, of as many views as can be done by `end`; return how many.

        `end` is on the monotonic clock; None: no limit. `progress` receives how many items of all views are done.
        """
        if self.folder is None:
            return 0
        done, took = 0, 0.0
        for number in self._numbers():
            began = time.monotonic()
            if end is not None and began + SLOWER * took > end:
                break
            file = self._file(number)
            if not (file.exists() or part_of(file, part).exists()):
                values = self._part(model, number, part, end, progress)
                if values is None:
                    break
                save(part_of(file, part), values)
            done, took = done + 1, time.monotonic() - began
        write_json(self._enough, {"views": done})
        return done

    def _numbers(self) -> range:
        """Return the numbers of the views, from 1; fewer where they would be too large."""
        count = min(self.config.data.feature_views.count, MOST // max(len(self.rows), 1))
        return range(1, count + 1)

    def _part(
        self,
        model: Network,
        number: int,
        part: tuple[int, int],
        end: float | None = None,
        progress: Progress | None = None,
    ) -> np.ndarray | None:
        """Return a part of a view's features, or None if the time was up."""
        chunks = np.array_split(self.rows, range(CHUNK, len(self.rows), CHUNK))
        own = np.array_split(np.arange(len(chunks)), part[1])[part[0]]
        augment = build_augmenter(self.config.data.feature_views.augment, self.data.input)
        found, done = [np.zeros((0, model.feature_dim), dtype=np.float32)], 0
        items = sum(len(chunks[chunk]) for chunk in own)
        for chunk in own:
            if end is not None and time.monotonic() > end:
                return None
            rng = generator(0, "feature views", number, int(chunk))
            found.append(forward(model, self.data, chunks[chunk], None, augment, rng))
            done += len(chunks[chunk])
            if progress is not None:
                progress((number - 1) * items + done, len(self._numbers()) * items)
        return np.concatenate(found)

    def _whole(self, parts: Sequence[np.ndarray | None]) -> np.ndarray:
        """Return a view of all items from its parts; rows of others are zero."""
        stored = np.concatenate([part for part in parts if part is not None])
        values = np.zeros((len(content_now(self.data)), stored.shape[1]), dtype=np.float32)
        values[self.rows] = stored
        return values

    def _stored(self) -> Iterator[np.ndarray]:
        """Yield the views that are whole, up to the first that is not."""
        for number in self._numbers():
            file = self._file(number)
            if not file.exists() and not self._joined(number):
                return
            try:
                values = np.load(file, mmap_mode="r")
            except (ValueError, EOFError):
                return
            if values.dtype != np.float32 or values.ndim != 2 or len(values) != len(content_now(self.data)):
                return
            yield values

    def _joined(self, number: int) -> bool:
        """Write a view from its parts; return whether they were all there."""
        with parts_of(self._file(number)) as parts:
            if not parts:
                return False
            try:
                save(self._file(number), self._whole([np.load(path) for path in parts]))
            except (ValueError, IndexError, EOFError):
                return False
        return True

    def _file(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{self.key}.view-{number}.npy"

    @property
    def _enough(self) -> Path:
        """A file that exists as soon as a search has computed the views that it had time for."""
        assert self.folder is not None
        return self.folder / f"{self.key}.views.json"


def has_views(config: RunConfig) -> bool:
    """Return whether heads of a configuration learn from views."""
    return config.model.freeze is not None and config.data.feature_views.count > 0


def with_views(augment: Augmenter | None, views: Sequence[np.ndarray], main: str) -> Augmenter | None:
    """Return an augmentation that first draws views; `main` is the name of the features' array."""
    if not views:
        return augment
    return Augmenter([ViewChoice(views), *(() if augment is None else augment.augmentations)], main)
