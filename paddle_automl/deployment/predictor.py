"""Prediction from a bundle alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import AutoMLError, ConfigError, DataError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.formats import choose_format
from paddle_automl.deployment.runtime import in_lasting_thread


@dataclass(frozen=True)
class Prediction:
    """What the network says about one file; with `error` set, why it could say nothing."""

    path: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the `count` likeliest classes (or all, if there are fewer), the likeliest first."""
        items = (self.probabilities or {}).items()
        return sorted(items, key=lambda item: -item[1])[:count]


class Predictor:
    """Class probabilities of images by an exported bundle.

    `bundle` is the bundle's folder; `device` is ``cpu``, ``gpu`` or ``gpu:N``; `threads` serve the network's
    math and the decoding of files. `runtime` is who runs the network: ``auto``, whoever was the fastest when the
    bundle was made, and Paddle with a warning where that one is not installed; ``paddle``; ``onnx``; or the name
    of one of the bundle's formats. May be used from several threads: runs of the network wait for each other.
    Raises BundleError for a folder that is no sound bundle, ConfigError for a runtime that the bundle has no file
    for, UnsupportedError for one that is asked for and not installed.
    """

    def __init__(
        self, bundle: str | Path | Bundle, *, device: str = "cpu", threads: int = 1, runtime: str = "auto"
    ) -> None:
        _at_least_one("threads", threads)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self._threads = threads
        self.format = choose_format(self.bundle, runtime, device)
        """Name of the format that is run."""
        self._session = self.bundle.session(device=device, threads=threads, name=self.format)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities' columns."""
        return self.bundle.class_names

    def predict(self, paths: Sequence[str | Path], *, batch_size: int = 32) -> list[Prediction]:
        """Return one prediction per file, in the order given; one that cannot be decoded has its `error`."""
        return list(self.stream(paths, batch_size=batch_size))

    def stream(self, paths: Iterable[str | Path], *, batch_size: int = 32) -> Iterator[Prediction]:
        """Yield predictions in the order of `paths`, holding one batch of images in memory."""
        _at_least_one("batch_size", batch_size)
        batch: list[str | Path] = []
        with ThreadPoolExecutor(self._threads) as pool:
            for path in paths:
                batch.append(path)
                if len(batch) == batch_size:
                    yield from self._predict_batch(batch, pool)
                    batch = []
            yield from self._predict_batch(batch, pool)

    def predict_arrays(self, images: np.ndarray, *, batch_size: int = 32) -> np.ndarray:
        """Return probabilities, float32 [N, K], of decoded pixels, uint8 [N, C, H, W].

        Raises DataError where type or shape are not the bundle's.
        """
        _at_least_one("batch_size", batch_size)
        images = np.asarray(images)
        shape = tuple(self.bundle.info.input_shape)
        if images.ndim != 4 or images.shape[1:] != shape:
            expected = ", ".join(str(size) for size in shape)
            raise DataError(f"images: must have the shape [N, {expected}], got {list(images.shape)}")
        if images.dtype != np.uint8:
            raise DataError(f"images: must be uint8 pixels from 0 to 255, got {images.dtype}")
        if not len(images):
            return np.zeros((0, len(self.class_names)), np.float32)
        starts = range(0, len(images), batch_size)
        return in_lasting_thread(
            lambda: np.concatenate([self._run(images[start : start + batch_size]) for start in starts])
        )

    def _run(self, images: np.ndarray) -> np.ndarray:
        return self._session(self.bundle.info.preprocess.normalize(images))

    def _predict_batch(self, paths: list[str | Path], pool: ThreadPoolExecutor) -> list[Prediction]:
        decoded = list(pool.map(self._decode, paths))
        images = [item for item in decoded if isinstance(item, np.ndarray)]
        rows = iter(self.predict_arrays(np.stack(images), batch_size=len(images)) if images else ())
        return [
            self._prediction(path, next(rows))
            if isinstance(item, np.ndarray)
            else Prediction(str(path), error=item)
            for path, item in zip(paths, decoded, strict=True)
        ]

    def _decode(self, path: str | Path) -> np.ndarray | str:
        try:
            pixels: np.ndarray = self.bundle.info.preprocess.decode(Path(path))
        except (AutoMLError, OSError) as error:
            return str(error)
        return pixels

    def _prediction(self, path: str | Path, row: np.ndarray) -> Prediction:
        best = int(row.argmax())
        probabilities = {name: float(value) for name, value in zip(self.class_names, row, strict=True)}
        return Prediction(str(path), self.class_names[best], float(row[best]), probabilities)


def _at_least_one(option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{option}: must be at least 1, got {value}")
