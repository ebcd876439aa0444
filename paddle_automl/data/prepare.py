"""From the `data` section to splits that are ready for training."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.cache import Cache, ReadSamples
from paddle_automl.data.config import DataConfig
from paddle_automl.data.copies import report_copies
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.groups import groups_of, numbered
from paddle_automl.data.samples import Samples
from paddle_automl.data.splits import Batch, Everything, PreparedData, Split
from paddle_automl.data.splitting import Rows, fold_indices, split_indices
from paddle_automl.data.stores import ArrayStore, SourceStore, Store, copies_of
from paddle_automl.inputs.base import INPUTS, Input, Reader, Statistics, batched
from paddle_automl.tasks.base import TASKS, RawTargets, Task, check_readable, default_task

__all__ = ["Batch", "PreparedData", "Split", "find_task", "prepare", "read_all"]

log = logging.getLogger(__name__)

STATISTICS_SAMPLE = 2000
"""Most items that are measured if they have to be read for it."""


@dataclass(frozen=True)
class _Data:
    """The samples and the store of their items; `key` is the items' key in the cache."""

    samples: Samples
    reader: Reader
    store: Store
    key: str
    failures: dict[int, str] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)

    @property
    def usable(self) -> np.ndarray:
        usable = np.ones(len(self.samples), dtype=bool)
        usable[list(self.failures)] = False
        return usable

    @property
    def content(self) -> np.ndarray:
        """Return a number for each item, int64 ``[N]``; items with the same content have the same number."""
        content = np.arange(len(self.samples), dtype=np.int64)
        content[list(self.copies)] = list(self.copies.values())
        return content


def prepare(
    config: DataConfig, *, task: PluginConfig | None = None, seed: int, cache_dir: Path | None = None
) -> PreparedData:
    """Load, check, read and split the data.

    `task` holds the options of the task; with None the kind of the data set's targets decides. The result depends
    only on the data, the configuration and `seed`. Items and their statistics are stored in `cache_dir`, if given,
    and shared by all processes. Raises DataError that names what is wrong, and ConfigError if the data contradict
    the task.
    """
    cache = Cache(cache_dir)
    word = INPUTS[config.input.name].word
    data = _arrays(config, cache) or _sources(config, cache)
    samples = data.samples
    fitted = fit_task(task, samples.targets)
    codes = fitted.encode(samples.targets)
    indices = _split(config, data, fitted, codes, seed)
    report_copies(samples, data.copies, indices, word)
    fitted = fitted.with_training(codes[indices["train"]])
    everything = Everything(
        store=data.store,
        targets=samples.targets,
        codes=codes,
        input=_fit_input(config, data, indices["train"], cache),
        task=fitted,
        sources=samples.sources,
    )
    return PreparedData(
        train=Split(everything, indices["train"]),
        validation=Split(everything, indices["validation"]),
        test=Split(everything, indices["test"]),
        input=everything.input,
        task=fitted,
        skipped=_skipped(everything.input, samples, data.failures),
    )


def find_task(config: DataConfig, task: PluginConfig | None = None) -> Task:
    """Return the task that `prepare` fits to the targets, without reading the items.

    Raises DataError for a data set that is missing or wrong, ConfigError if it contradicts the task.
    """
    samples = _loaded(DATASETS[config.dataset.name](config.dataset), INPUTS[config.input.name].word)
    return fit_task(task, samples.targets)


def read_all(config: DataConfig, *, input: Input, task: Task, cache_dir: Path | None = None) -> Split:
    """Return all items of the data as one split, for an input and a task that were fitted to other data.

    Nothing is split, so a class may have one item. Raises as `prepare` does, and DataError if the data have names
    that the task does not know, or items with a shape that the input does not have.
    """
    cache = Cache(cache_dir)
    data = _arrays(config, cache) or _sources(config, cache)
    targets = data.samples.targets
    everything = Everything(data.store, targets, task.encode(targets), input, task, data.samples.sources)
    found = Split(everything, np.flatnonzero(data.usable))
    _check_shapes(input, found.raw([0]))
    return found


def _check_shapes(given: Input, items: np.ndarray) -> None:
    try:
        arrays = given.batch(items)
    except ValueError as error:
        raise DataError(f"data.input: the network cannot take these items: {error}") from None
    for spec in given.specs:
        shape = arrays[spec.name].shape[1:]
        if len(shape) != len(spec.shape) or any(
            need not in (None, size) for need, size in zip(spec.shape, shape, strict=True)
        ):
            raise DataError(
                f"data.input: the network takes '{spec.name}' of the shape {list(spec.shape)}, the data give "
                f"{list(shape)}; leave data.input out to read them as the training data were read"
            )


def fit_task(config: PluginConfig | None, targets: RawTargets) -> Task:
    """Return the task of these options, or the targets' default task; raises ConfigError if it does not fit."""
    name = default_task(targets.kind) if config is None else config.name
    cls = TASKS[name]
    if config is None:
        config = cls.Config(name=name)
    check_readable(cls, targets)
    return cls.fit(config, targets)


def _arrays(config: DataConfig, cache: Cache) -> _Data | None:
    """Return the data of a data set with samples in memory that its files determine; None for others."""
    dataset = DATASETS[config.dataset.name](config.dataset)
    files = dataset.sources()
    if not files:
        return None
    cls, options = INPUTS[config.input.name], config.dataset
    # Their paths are part of the files, which are the same for any working directory.
    paths = set(options.path_options) if isinstance(options, DatasetConfig) else set()
    key = cache.key((options.model_dump(mode="json", exclude=paths), _dumped(config.input)), files)

    def reader_of(items: np.ndarray) -> Reader:
        return cls.reader(config.input, sources=None, items=items)

    def load() -> ReadSamples:
        return _converted(_loaded(dataset, cls.word), reader_of)

    known = cache.samples(key, load, reader_of)
    assert known.samples.items is not None
    return _Data(known.samples, known.reader, ArrayStore(known.samples.items), key, copies=known.copies)


def _sources(config: DataConfig, cache: Cache) -> _Data:
    """Return the data of a data set whose sources the input reads, or whose items are not stored."""
    cls = INPUTS[config.input.name]
    samples = _loaded(DATASETS[config.dataset.name](config.dataset), cls.word)
    if samples.items is not None:
        known = _converted(samples, lambda items: cls.reader(config.input, sources=None, items=items))
        assert known.samples.items is not None
        return _Data(known.samples, known.reader, ArrayStore(known.samples.items), "", copies=known.copies)
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
        _stop_or_warn(config, samples, found.failures, cls.word)
    store = SourceStore(sources, reader, config.loader_workers) if found.items is None else ArrayStore(found.items)
    return _Data(samples, reader, store, key, found.failures, found.copies)


def _loaded(dataset: Dataset, word: str) -> Samples:
    samples = dataset.load()
    if len(samples) == 0:
        raise DataError(f"data.dataset: the data set holds no {word}s")
    return samples


def _converted(samples: Samples, reader_of: Any) -> ReadSamples:
    assert samples.items is not None
    reader = reader_of(samples.items)
    items = reader.convert(samples.items)
    return ReadSamples(replace(samples, items=items), reader, samples.items[:1], copies_of(items))


def _dumped(config: PluginConfig) -> Any:
    return config.model_dump(mode="json")


def _stop_or_warn(config: DataConfig, samples: Samples, failures: dict[int, str], word: str) -> None:
    total = len(samples)
    origins = samples.origins
    lines = [f"{origins[row]}: {reason}" if origins else reason for row, reason in failures.items()]
    listing = "\n".join(f"  {line}" for line in lines[:20])
    if len(lines) > 20:
        listing += f"\n  and {len(lines) - 20} more"
    summary = f"{len(lines)} of {total} {word}s cannot be read"
    if len(lines) == total:
        raise DataError(f"data.dataset: none of the {total} {word}s can be read:\n{listing}")
    if config.on_error == "stop":
        raise DataError(
            f"data.dataset: {summary}:\n{listing}\nrepair or remove them, or ignore them with data.on_error: skip"
        )
    more = f", and {len(lines) - 3} more" if len(lines) > 3 else ""
    log.warning("%s and are left out: %s%s", summary, "; ".join(lines[:3]), more)


def _split(config: DataConfig, data: _Data, task: Task, codes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    samples = data.samples
    texts = groups_of(samples, config.group)
    groups, names = numbered(texts) if texts is not None else (None, ())
    rows = Rows(
        strata=task.strata(codes),
        usable=data.usable,
        copies=data.content,
        groups=groups,
        group_names=names,
        word=INPUTS[config.input.name].word,
    )
    given = {name: indices.astype(np.int64) for name, indices in samples.splits.items()}
    if config.folds is None or config.fold is None:
        return split_indices(rows, given, config.split, seed=seed)
    return fold_indices(rows, given, config.split, folds=config.folds, fold=config.fold, seed=seed)


def _fit_input(config: DataConfig, data: _Data, train: np.ndarray, cache: Cache) -> Input:
    """Return the input fitted to the statistics of the training items."""
    cls = INPUTS[config.input.name]
    if isinstance(data.store, SourceStore) and len(train) > STATISTICS_SAMPLE:
        train = train[np.linspace(0, len(train) - 1, STATISTICS_SAMPLE).astype(np.int64)]

    def measure() -> Statistics:
        return cls.measure(config.input, data.reader, batched(data.store.take, train))

    if not data.key:
        return cls.fit(config.input, data.reader, measure())
    key = cache.key((cls.name, _dumped(config.input), data.key), ())
    return cls.fit(config.input, data.reader, cache.statistics(key, train, measure))


def _skipped(given: Input, samples: Samples, failures: dict[int, str]) -> tuple[tuple[Any, str], ...]:
    sources = samples.sources or ()
    return tuple(
        (sources[row], reason.removeprefix(f"{given.describe(sources[row])}: ")) for row, reason in failures.items()
    )
