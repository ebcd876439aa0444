"""From the `data` section to parts that are ready for training."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.paths import readable
from paddle_automl.data.cache import Cache, Statistics
from paddle_automl.data.config import DataConfig
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.parts import Batch, Part, PreparedData
from paddle_automl.data.preprocess import Preprocess
from paddle_automl.data.samples import Samples
from paddle_automl.data.splitting import split_indices
from paddle_automl.data.stores import ArrayStore, FileStore, PixelStore, from_arrays
from paddle_automl.inputs.image.decoding import Decoder, is_grey

__all__ = ["Batch", "Part", "PreparedData", "prepare"]

log = logging.getLogger(__name__)

FILE_IMAGE_SIZE = 64
"""Pixels of a side of image files when the configuration leaves the size open."""

GREY_SAMPLE = 64
STATISTICS_SAMPLE = 2000


@dataclass(frozen=True)
class _Pixels:
    store: PixelStore
    key: str
    """Of the store in the cache."""
    usable: np.ndarray
    skipped: tuple[tuple[Path, str], ...]


def prepare(config: DataConfig, *, seed: int, cache_dir: Path | None = None) -> PreparedData:
    """Load, check, decode and split the data.

    The result depends on the data, the configuration and `seed` alone. Decoded pixels, of files and of arrays,
    and their statistics are stored in `cache_dir`, where it is given, and shared by all processes. Raises
    DataError that names what is wrong.
    """
    cache = Cache(cache_dir)
    samples, key = _samples(config, cache)
    decoder = _decoder(config, samples)
    pixels = _pixels(config, samples, decoder, key, cache)
    given = {part: indices[pixels.usable[indices]].astype(np.int64) for part, indices in samples.parts.items()}
    # Images that cannot be read belong to no part.
    labels = np.where(pixels.usable, samples.labels, -1)
    parts = split_indices(labels, samples.class_names, given, config.split, seed=seed)
    _warn_of_shared_files(samples, parts)
    preprocess = _with_statistics(decoder, pixels, parts["train"], cache)
    train = Part(
        pixels.store,
        parts["train"],
        samples.labels,
        num_classes=len(samples.class_names),
        preprocess=preprocess,
        all_files=samples.files,
    )
    return PreparedData(
        train=train,
        validation=train.with_indices(parts["validation"]),
        test=train.with_indices(parts["test"]),
        class_names=samples.class_names,
        preprocess=preprocess,
        skipped=pixels.skipped,
    )


def _samples(config: DataConfig, cache: Cache) -> tuple[Samples, str]:
    """Return the samples, arrays in their final size, and their key in the cache; files have none yet."""
    dataset = DATASETS[config.dataset.name](config.dataset)
    sources = dataset.sources()
    if not sources:
        return _loaded(dataset), ""
    options = config.dataset
    # Their paths are among the sources, which are the same from any working directory.
    paths = set(options.path_options) if isinstance(options, DatasetConfig) else set()
    key = cache.key(
        (options.model_dump(mode="json", exclude=paths), config.size, config.fit, config.channels), sources
    )

    def load() -> Samples:
        samples = _loaded(dataset)
        assert samples.images is not None
        pixels = from_arrays(samples.images, _decoder(config, samples))
        return replace(samples, images=pixels.transpose(0, 2, 3, 1))

    return cache.samples(key, load), key


def _loaded(dataset: Dataset) -> Samples:
    samples = dataset.load()
    if len(samples) == 0:
        raise DataError("data.dataset: the data set holds no images")
    return samples


def _decoder(config: DataConfig, samples: Samples) -> Decoder:
    if samples.images is not None:
        native = samples.images.shape[1:3]
        height, width = config.size or native
        auto = 1 if samples.images.shape[3] == 1 else 3
    else:
        files = samples.files or ()
        height, width = config.size or (FILE_IMAGE_SIZE, FILE_IMAGE_SIZE)
        auto = 3
        if config.channels == "auto":
            step = max(1, len(files) // GREY_SAMPLE)
            auto = 1 if all(is_grey(file) for file in files[::step]) else 3
    channels = auto if config.channels == "auto" else config.channels
    return Decoder(height, width, config.fit, channels)


def _pixels(config: DataConfig, samples: Samples, decoder: Decoder, key: str, cache: Cache) -> _Pixels:
    if samples.images is not None:
        store: PixelStore = ArrayStore(from_arrays(samples.images, decoder))
        return _Pixels(store, key, np.ones(len(samples), dtype=bool), ())
    files = samples.files or ()
    keep = config.in_memory
    if keep == "auto":
        keep = len(files) * int(np.prod(decoder.shape)) <= config.in_memory_limit_mb * 2**20
    key = cache.key(decoder, files)
    images, failures = cache.decoded(key, files, decoder, keep=keep)
    if failures:
        _stop_or_warn(config, samples, failures)
    usable = np.ones(len(files), dtype=bool)
    usable[list(failures)] = False
    store = FileStore(files, decoder, config.loader_workers) if images is None else ArrayStore(images)
    skipped = ((files[row], reason.removeprefix(f"{readable(files[row])}: ")) for row, reason in failures.items())
    return _Pixels(store, key, usable, tuple(skipped))


def _stop_or_warn(config: DataConfig, samples: Samples, failures: dict[int, str]) -> None:
    total = len(samples)
    origins = samples.origins
    lines = [f"{origins[row]}: {reason}" if origins else reason for row, reason in failures.items()]
    listing = "\n".join(f"  {line}" for line in lines[:20])
    if len(lines) > 20:
        listing += f"\n  and {len(lines) - 20} more"
    summary = f"{len(lines)} of {total} images cannot be read"
    if len(lines) == total:
        raise DataError(f"data.dataset: none of the {total} images can be read:\n{listing}")
    if config.on_error == "stop":
        raise DataError(
            f"data.dataset: {summary}:\n{listing}\n"
            "repair or remove them, or leave them out with data.on_error: skip"
        )
    log.warning("%s and are left out:\n%s", summary, listing)


def _warn_of_shared_files(samples: Samples, parts: dict[str, np.ndarray]) -> None:
    if samples.files is None or not samples.parts:
        return
    training = {samples.files[index] for index in parts["train"]}
    for part in ("validation", "test"):
        shared = [samples.files[index] for index in parts[part] if samples.files[index] in training]
        if shared:
            log.warning(
                "%d images of the %s part are also in the training part, for example %s: "
                "its scores will be too good",
                len(shared),
                part,
                readable(shared[0]),
            )


def _with_statistics(decoder: Decoder, pixels: _Pixels, train: np.ndarray, cache: Cache) -> Preprocess:
    """Return the preprocessing with mean and standard deviation per channel of the training images."""
    if isinstance(pixels.store, FileStore) and len(train) > STATISTICS_SAMPLE:
        train = train[np.linspace(0, len(train) - 1, STATISTICS_SAMPLE).astype(np.int64)]

    def measure() -> Statistics:
        return _statistics(pixels.store, train)

    mean, std = cache.statistics(pixels.key, train, measure) if pixels.key else measure()
    return Preprocess(
        image_size=(decoder.height, decoder.width),
        fit=decoder.fit,
        channels=1 if decoder.channels == 1 else 3,
        mean=mean,
        std=std,
    )


def _statistics(store: PixelStore, indices: np.ndarray) -> Statistics:
    channels = store.shape[0]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(indices), 512):
        images = store.take(indices[start : start + 512])
        for channel in range(channels):
            counts[channel] += np.bincount(images[:, channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    # A constant channel has no deviation; one grey level is the smallest that makes sense.
    std = np.maximum(np.sqrt(np.maximum(share @ values**2 - mean**2, 0)), 1 / 255)
    return tuple(round(float(value), 6) for value in mean), tuple(round(float(value), 6) for value in std)
