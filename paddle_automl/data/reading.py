"""From a data set to its items: in memory, in the cache, or in sources that are read when they are needed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.cache import Cache, ReadSamples
from paddle_automl.data.config import DataConfig
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.failures import stop_or_warn
from paddle_automl.data.items import contents_of
from paddle_automl.data.samples import Samples
from paddle_automl.data.stores import ArrayStore, SourceStore, Store, copies_of
from paddle_automl.inputs.base import INPUTS, Reader


@dataclass(frozen=True)
class Data:
    """The samples and the store of their items; `key` is the items' key in the cache."""

    samples: Samples
    reader: Reader
    store: Store
    key: str
    failures: dict[int, str] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    """The hash of each item (`data.items`), uint64 ``[N]``."""

    @property
    def usable(self) -> np.ndarray:
        """Return for each item whether it was read, bool ``[N]``."""
        usable = np.ones(len(self.samples), dtype=bool)
        usable[list(self.failures)] = False
        return usable

    @property
    def content(self) -> np.ndarray:
        """Return a number for each item, int64 ``[N]``; items with the same content have the same number."""
        content = np.arange(len(self.samples), dtype=np.int64)
        content[list(self.copies)] = list(self.copies.values())
        return content


def read_data(config: DataConfig, cache: Cache) -> Data:
    """Return the data with where its items are, read once; raises DataError for items that cannot be read."""
    return _arrays(config, cache) or _sources(config, cache)


def _arrays(config: DataConfig, cache: Cache) -> Data | None:
    """Return the data of a data set with samples in memory that its files determine; None for others."""
    dataset = DATASETS[config.dataset.name](config.dataset)
    files = dataset.sources()
    if not files:
        return None
    cls, options = INPUTS[config.input.name], config.dataset
    # Their paths are part of the files, which are the same for any working directory; what each file is for is not.
    paths = options.path_options if isinstance(options, DatasetConfig) else ()
    given = [name for name in paths if getattr(options, name) is not None]
    told = options.model_dump(mode="json", exclude=set(paths))
    key = cache.key((told, given, cls.reading_options(config.input)), files)

    def reader_of(items: np.ndarray) -> Reader:
        return cls.reader(config.input, sources=None, items=items)

    def load() -> ReadSamples:
        return _converted(loaded(dataset, cls.word), reader_of)

    known = cache.samples(key, load, reader_of)
    assert known.samples.items is not None
    assert known.content is not None
    return Data(
        known.samples, known.reader, ArrayStore(known.samples.items), key, copies=known.copies, hashes=known.content
    )


def _sources(config: DataConfig, cache: Cache) -> Data:
    """Return the data of a data set whose sources the input reads, or whose items are not stored."""
    cls = INPUTS[config.input.name]
    samples = loaded(DATASETS[config.dataset.name](config.dataset), cls.word)
    if samples.items is not None:
        known = _converted(samples, lambda items: cls.reader(config.input, sources=None, items=items))
        assert known.samples.items is not None
        assert known.content is not None
        return Data(
            known.samples,
            known.reader,
            ArrayStore(known.samples.items),
            "",
            copies=known.copies,
            hashes=known.content,
        )
    sources = samples.sources or ()
    reader = cls.reader(config.input, sources=sources, items=None)
    one = reader.empty(1)
    keep = config.in_memory
    if keep == "auto":
        keep = len(sources) * one.nbytes <= config.in_memory_limit_mb * 2**20
    # Items that are not arrays of numbers cannot be passed between processes in this way.
    keep = keep or one.dtype.hasobject
    key = cache.key((type(reader).version, repr(reader)), sources)
    found = cache.read(key, sources, reader, cls.word, keep=keep)
    if found.failures:
        stop_or_warn(config, samples, found.failures, cls.word)
        # They may be readable the next time.
        key = cache.key((key, tuple(found.failures)), ())
    store = SourceStore(sources, reader, config.loader_workers) if found.items is None else ArrayStore(found.items)
    assert found.content is not None
    return Data(samples, reader, store, key, found.failures, found.copies, found.content)


def loaded(dataset: Dataset, word: str) -> Samples:
    """Return the samples of a data set; raises DataError for one without any."""
    samples = dataset.load()
    if len(samples) == 0:
        raise DataError(f"data.dataset: the data set holds no {word}s")
    return samples


def _converted(samples: Samples, reader_of: Any) -> ReadSamples:
    assert samples.items is not None
    reader = reader_of(samples.items)
    items = reader.convert(samples.items)
    first, content = samples.items[:1], contents_of(samples.items)
    return ReadSamples(replace(samples, items=items), reader, first, copies_of(items), content)
