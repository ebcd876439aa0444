"""Prediction from a bundle alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paddle_automl.core.errors import AutoMLError, ConfigError, DataError
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.exporters.base import Session
from paddle_automl.deployment.formats import choose_format, warn_unless_verified
from paddle_automl.deployment.prediction import Prediction, unknown_word
from paddle_automl.deployment.runtime import check_threads, in_lasting_thread
from paddle_automl.inputs.base import Arrays, Input, Source
from paddle_automl.inputs.batching import too_large
from paddle_automl.tasks.base import Answer, Task

__all__ = ["Prediction", "Predictor", "Raw"]

if TYPE_CHECKING:
    from paddle_automl.data.splits import Split


@dataclass(frozen=True)
class Raw:
    """What a network gives for N items."""

    outputs: np.ndarray
    """Float32 ``[N, K]``, after the last step of the task."""
    known: np.ndarray | None = None
    """Rejection scores, float64 ``[N]``, larger for items that look like the known classes; None without one."""


class Predictor:
    """Predicts with an exported bundle for images or other sources.

    `bundle` is the bundle's folder; `device` is ``cpu``, ``gpu`` or ``gpu:N``; `threads` are used for the network's
    math and for reading files. `runtime` is the runtime of the network: ``auto``, the fastest verified one when the
    bundle was made, or Paddle with a warning if that one is not installed; ``paddle``; ``onnx``; or the name of one
    of the bundle's formats. `check_files` compares the files with their recorded hashes. With `reject` an item that
    looks like none of the classes is called unknown, if the bundle has a threshold for it. A format that failed its
    parity check is run with a warning.

    May be used from several threads: runs of the network wait for each other. A forked process loads the network
    again at its first prediction.

    Raises BundleError for a folder that is not an intact bundle, ConfigError for a runtime for which the bundle has
    no file, UnsupportedError for a requested one that is not installed.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        device: str = "cpu",
        threads: int = 1,
        runtime: str = "auto",
        check_files: bool = True,
        reject: bool = True,
    ) -> None:
        check_threads(threads)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle, check_files=check_files)
        self._device, self._threads = device, threads
        self.format = choose_format(self.bundle, runtime, device)
        """Name of the format that is run."""
        warn_unless_verified(self.bundle, self.format, chosen=runtime == "auto")
        self.unknown_word = unknown_word(self.task)
        """Label of an item that looks like none of the classes."""
        rejection = self.bundle.info.rejection if reject else None
        self._threshold = None if rejection is None else rejection.thresholds.get(self.format)
        self._session, self._process = self._load(), os.getpid()

    @property
    def task(self) -> Task:
        """Return the task, which turns outputs into answers."""
        return self.bundle.task

    @property
    def input(self) -> Input:
        """Return the input, which turns sources into the network's arrays."""
        return self.bundle.input

    @property
    def device(self) -> str:
        """Return where the network runs: ``cpu`` or ``gpu:N``."""
        return self._device

    @property
    def runtime_name(self) -> str:
        """Return the name of the runtime that runs the network, with its version if it is not Paddle's."""
        return str(getattr(self._session, "runtime_name", "Paddle Inference"))

    @property
    def names(self) -> tuple[str, ...]:
        """Return the classes, labels or columns of an answer."""
        return self.task.names

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the same as `names`."""
        return self.task.names

    def predict(self, sources: Source | Iterable[Source], *, batch_size: int = 32) -> list[Prediction]:
        """Return one prediction per item, in the given order; an item that cannot be read has an `error`.

        A source is a path, the bytes of a file, a Pillow image, pixels as an array (uint8, ``[H, W]`` or ``[H, W,
        3]``), or a text, as the input takes it. A folder means the items in it, a list file those in its lines, as
        on the command line. A single source needs no list around it.
        """
        return list(self.stream(sources, batch_size=batch_size))

    def stream(self, sources: Source | Iterable[Source], *, batch_size: int = 32) -> Iterator[Prediction]:
        """Yield predictions in the order of `sources`, with one batch of items in memory; see `predict`."""
        _at_least_one("batch_size", batch_size)
        if self._is_one(sources):
            sources = [sources]
        batch: list[Prediction] = []
        with ThreadPoolExecutor(self._threads) as pool:
            for source in sources:
                for item in self._found(source):
                    batch.append(item)
                    if len(batch) == batch_size:
                        yield from self._predict_batch(batch, pool)
                        batch = []
            yield from self._predict_batch(batch, pool)

    def read(self, source: Source) -> np.ndarray:
        """Return one item as `predict_read` takes it; raises DataError with the source and the reason."""
        try:
            return self.input.read(source)
        except OSError as error:
            raise DataError(f"{self.input.describe(source)}: {error.strerror or error}") from None

    def predict_read(self, items: Sequence[np.ndarray], names: Sequence[str] | None = None) -> list[Prediction]:
        """Return the predictions of items that `read` returned, computed in one batch; `names` are for messages."""
        if not len(items):
            return []
        found = self.answer(self.run_items(np.stack(items), batch_size=len(items)))
        if names is None:
            return found
        return [replace(item, source=name, name=name) for item, name in zip(found, names, strict=True)]

    def predict_items(self, items: np.ndarray, *, batch_size: int = 32) -> np.ndarray:
        """Return outputs, float32 [N, K], for items read by `Input.read`, such as pixels uint8 [N, C, H, W].

        Raises DataError if type or shape are not the input's.
        """
        return self.run_items(items, batch_size=batch_size).outputs

    def run_items(self, items: np.ndarray, *, batch_size: int = 32) -> Raw:
        """Return the same with the rejection scores."""
        _at_least_one("batch_size", batch_size)
        items = np.asarray(items)
        if not len(items):
            return Raw(np.zeros((0, self.task.outputs), np.float32))
        starts = range(0, len(items), batch_size)
        return joined(in_lasting_thread(lambda: [self._run(items[start : start + batch_size]) for start in starts]))

    def run(self, arrays: Arrays) -> Raw:
        """Return what the network gives for its own arrays, ``[N, ...]`` by name (see `check_arrays`)."""
        self.check_arrays(arrays)
        return in_lasting_thread(lambda: self._fed(arrays))

    def check_arrays(self, arrays: Arrays) -> None:
        """Raise DataError, with one sentence, unless these are the arrays that the network takes.

        They are those of `bundle.info.inputs`, by name, each with a batch axis of the same length in front.
        """
        specs = self.bundle.info.inputs
        names = [spec.name for spec in specs]
        if set(arrays) != set(names):
            raise DataError(f"arrays: must be {', '.join(names)}, got {', '.join(map(str, arrays)) or 'none'}")
        counts = {np.shape(array)[:1] for array in arrays.values()}
        if len(counts) != 1 or counts == {()} or counts == {(0,)}:
            raise DataError("arrays: need the same batch size, at least 1, as the length of their first axes")
        for spec in specs:
            if arrays[spec.name].dtype != np.dtype(spec.dtype):
                raise DataError(f"arrays: '{spec.name}' must be {spec.dtype}, got {arrays[spec.name].dtype}")
        self._check(arrays)
        self.input.check(arrays)

    def answer(self, raw: Raw) -> list[Prediction]:
        """Return the predictions for what the network gave."""
        known = [None] * len(raw.outputs) if raw.known is None else [float(value) for value in raw.known]
        return [
            Prediction(
                None,
                self.task.answer(row),
                name=self.input.word,
                known=score,
                # A score that is not a number belongs to an item that is like nothing seen before.
                unknown=self._threshold is not None and score is not None and not score >= self._threshold,
                unknown_label=self.unknown_word,
            )
            for row, score in zip(raw.outputs, known, strict=True)
        ]

    predict_arrays = predict_items

    def predict_split(self, split: Split, *, batch_size: int = 256) -> np.ndarray:
        """Return outputs, float32 [N, K], for a split of the data, with the items that training uses."""
        chunks = [np.arange(len(split))[start : start + batch_size] for start in range(0, len(split), batch_size)]
        found = [self.predict_items(split.raw(chunk)) for chunk in chunks]
        return np.concatenate(found) if found else np.zeros((0, self.task.outputs), np.float32)

    def answers(self, outputs: np.ndarray) -> list[Answer]:
        """Return the answers for outputs [N, K]."""
        return [self.task.answer(row) for row in outputs]

    def _load(self) -> Session:
        return self.bundle.session(device=self._device, threads=self._threads, name=self.format)

    def _session_here(self) -> Session:
        if self._process != os.getpid():
            self._session, self._process = self._load(), os.getpid()
        return self._session

    def _run(self, items: np.ndarray) -> Raw:
        try:
            arrays = self.input.batch(items)
        except ValueError as error:
            raise DataError(f"items: {error}") from None
        self._check(arrays)
        if len(items) > 1 and too_large(self.input, arrays):
            middle = len(items) // 2
            return joined([self._run(items[:middle]), self._run(items[middle:])])
        return self._fed(arrays)

    def _fed(self, arrays: Arrays) -> Raw:
        return self.raw_of(self._session_here().all_outputs(arrays))

    def raw_of(self, found: Sequence[np.ndarray]) -> Raw:
        """Return all outputs of a network as what it gives for its items."""
        rejection = self.bundle.info.rejection
        return Raw(found[0], None if rejection is None else rejection.scores(found))

    def _check(self, arrays: Arrays) -> None:
        for spec in self.bundle.info.inputs:
            got = arrays[spec.name].shape[1:]
            if len(got) != len(spec.shape) or any(
                need not in (None, size) for need, size in zip(spec.shape, got, strict=True)
            ):
                expected = _listed("any" if size is None else size for size in spec.shape)
                found = _listed(got)
                raise DataError(f"items: must give '{spec.name}' the shape [N, {expected}], got [N, {found}]")

    def _is_one(self, sources: Any) -> bool:
        """Return whether this is one source, and not several."""
        if isinstance(sources, np.ndarray) and sources.dtype.kind in "biuf":
            return sources.ndim <= len(self.bundle.info.inputs[0].shape)
        return isinstance(sources, (str, bytes, os.PathLike)) or not isinstance(sources, Iterable)

    def _found(self, source: Source) -> list[Prediction]:
        """Return the items that a source names, without answers."""
        if not isinstance(source, (str, os.PathLike)) or not str(source).strip():
            return [Prediction(source, name=self.input.describe(source))]
        try:
            found: list[Any] = self.input.find([Path(source) if isinstance(source, os.PathLike) else source])
        except (AutoMLError, OSError) as error:
            return [Prediction(source, error=str(error), name=self.input.describe(source))]
        texts = self.input.media is not None and self.input.media.kind == "text"
        if len(found) == 1 and str(found[0]) == str(Path(source)) and not texts:
            # A single file keeps its given spelling; among texts it would be taken for a text.
            found = [source]
        return [Prediction(item, name=self.input.describe(item)) for item in found]

    def _predict_batch(self, batch: list[Prediction], pool: ThreadPoolExecutor) -> list[Prediction]:
        read = list(pool.map(self._read, batch))
        found = iter(self.predict_read([item for item in read if isinstance(item, np.ndarray)]))
        return [
            replace(next(found), source=given.source, name=given.name)
            if isinstance(item, np.ndarray)
            else Prediction(given.source, error=item, name=given.name)
            for given, item in zip(batch, read, strict=True)
        ]

    def _read(self, given: Prediction) -> np.ndarray | str:
        if given.error is not None:
            return given.error
        try:
            return self.input.read(given.source)
        except (AutoMLError, OSError) as error:
            return str(error)


def joined(parts: Sequence[Raw]) -> Raw:
    """Return what a network gave for the items of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    known = [part.known for part in parts if part.known is not None]
    return Raw(np.concatenate([part.outputs for part in parts]), np.concatenate(known) if known else None)


def _listed(sizes: Iterable[int | str]) -> str:
    return ", ".join(str(size) for size in sizes)


def _at_least_one(option: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{option}: must be at least 1, got {value}")
