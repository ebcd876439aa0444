"""A split of the data (training, validation, test) and its batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.augment.base import Augmenter, BatchPosition
from paddle_automl.data.items import ItemList
from paddle_automl.data.sampling import balanced_order, bucketed
from paddle_automl.data.stores import Store
from paddle_automl.inputs import batching
from paddle_automl.inputs.base import Input, TensorSpec
from paddle_automl.inputs.batching import divided
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.tasks.base import RawTargets, Task


class Batch(NamedTuple):
    """Inputs of a network, and the targets for its outputs."""

    inputs: dict[str, np.ndarray]
    """Arrays ``[B, ...]`` by name, in the order of `Input.specs`."""

    targets: np.ndarray
    """``[B, K]`` float32, from `Task.dense`, or mixed by mixup and cutmix."""

    codes: np.ndarray
    """``[B, ...]``, codes of the items, never mixed."""

    rows: np.ndarray
    """``[B]`` int64, positions in the split."""


@dataclass(frozen=True)
class Everything:
    """The data that all splits of one data set share; arrays and tuples over all items."""

    store: Store
    targets: RawTargets
    codes: np.ndarray
    input: Input
    task: Task
    sources: tuple[Any, ...] | None = None
    items: ItemList | None = None
    """The items by content, with the split of each; of remembered data those that are remembered."""
    hashes: np.ndarray | None = None
    """The content of each item as it is now (`items.content_of`), uint64."""
    encoded: Mapping[str, Ragged] | None = None
    """The arrays of all items (`Input.encode`), by name; None for an input that makes them batch by batch."""


class Split:
    """Some items of the data set, by their indices (int64 ``[n]``) into the shared data."""

    def __init__(self, everything: Everything, indices: np.ndarray) -> None:
        self.everything = everything
        self.indices = indices
        self.codes = everything.codes[indices]
        """Codes of the items' targets, ``[n, ...]``."""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def input(self) -> Input:
        """Return the fitted input, which makes batches of the items."""
        return self.everything.input

    @property
    def task(self) -> Task:
        """Return the fitted task, which encoded the targets."""
        return self.everything.task

    @cached_property
    def sources(self) -> tuple[Any, ...] | None:
        """Return the source of each item, such as its file, or None for items that are only in memory."""
        sources = self.everything.sources
        return None if sources is None else tuple(sources[index] for index in self.indices)

    def raw(self, positions: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the items at `positions` of this split as read by the reader, ``[n, ...]``."""
        return self.everything.store.take(self.indices[np.asarray(positions, dtype=np.int64)])

    def with_indices(self, indices: np.ndarray) -> Split:
        """Return another split of the same data: the items at `indices` of the whole data set."""
        return Split(self.everything, indices)

    def with_task(self, task: Task) -> Split:
        """Return the same items with their targets encoded by another task, such as that of a bundle.

        Raises DataError if the data have names that `task` does not know.
        """
        if task is self.task:
            return self
        codes = task.encode(self.everything.targets)
        return Split(replace(self.everything, task=task, codes=codes), self.indices)

    def with_input(self, other: Input) -> Split:
        """Return the same items, batched by another input that reads them in the same way, such as a bundle's.

        Raises DataError if its arrays have another shape: the data must then be prepared with its options.
        """
        if other.name != self.input.name or other.specs != self.input.specs:
            raise DataError(
                f"data.input: the network takes {other.name} input {_shapes(other)}, but the data were read as "
                f"{self.input.name} input {_shapes(self.input)}; set data.input to the network's options"
            )
        encoded = self.everything.encoded if other.same_items(self.input) else None
        return Split(replace(self.everything, input=other, encoded=encoded), self.indices)

    def with_arrays(self, names: Sequence[str]) -> Split:
        """Return the same items with some of their arrays alone; raises ConfigError for one that they lack."""
        encoded, other = self.everything.encoded, self.input.only(names)
        if encoded is not None:
            wanted = [spec.name for spec in other.specs]
            encoded = {name: encoded[name] for name in wanted} if set(wanted) <= set(encoded) else None
        return Split(replace(self.everything, input=other, encoded=encoded), self.indices)

    def ragged(self, name: str) -> Ragged:
        """Return an array of the input for all items of this split, not padded.

        Raises ValueError for an input that does not encode its items (`Input.encode`).
        """
        encoded = self.everything.encoded
        found = self.input.encode(self.raw(np.arange(len(self)))) if encoded is None else encoded
        if found is None:
            raise ValueError(f"{self.input.name} input makes its arrays batch by batch")
        return found[name] if encoded is None else found[name].take(self.indices)

    def batches(
        self,
        batch_size: int,
        *,
        rng: np.random.Generator | None = None,
        augment: Augmenter | None = None,
        drop_last: bool = False,
        count: int | None = None,
        shrink: float = 1.0,
        epoch: int | None = None,
        balanced: bool = False,
        by_length: bool = False,
    ) -> Iterator[Batch]:
        """Yield one pass over the split, with `rng` in a random order that depends only on it.

        `augment` draws from `rng` too, so it needs one. `drop_last` leaves out an incomplete last batch, unless it
        is the only one. With `count` the pass has only that many items, the first in its order. With `shrink`
        below 1 the arrays have that fraction of their resolution (`Input.shrink`), after the augmentation of
        single items and before that of whole batches. `epoch` is the number of the pass, from 1, for an
        augmentation that depends on it. With `balanced` the pass has each class equally often (`balanced_order`);
        it needs `rng`, and a task with one class per item. Items of different lengths are batched with others of
        about their length: with `rng` among 16 batches, with `by_length` (and without `rng`) among all items.
        Batches with very long items would take much memory: without `rng` they have fewer items, with it these
        items are shortened (`Input.shortened`).
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if rng is None and (augment is not None or balanced):
            raise ValueError("augmentation or balancing needs a random generator: give rng")
        order = np.arange(len(self)) if rng is None else self._order(rng, balanced)
        order = order[:count]
        lengths = self.lengths if rng is not None or by_length else None
        if lengths is not None and rng is None:
            order = order[np.argsort(lengths[order], kind="stable")]
        rows = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        if drop_last and len(rows) > 1 and len(rows[-1]) < batch_size:
            rows.pop()
        if lengths is not None and rng is not None:
            rows = bucketed(rows, lengths, rng)
        if rng is None and self._extents is not None:
            rows = divided(rows, self._extents, batching.MOST_NUMBERS)
        return self._batches(rows, rng, augment, shrink, epoch)

    @cached_property
    def lengths(self) -> np.ndarray | None:
        """The length of each item (`Input.lengths`), int64 ``[n]``; None for items of one size."""
        encoded = self.everything.encoded
        return None if encoded is None else self.input.lengths(encoded)[self.indices]

    @cached_property
    def _extents(self) -> np.ndarray | None:
        """The length of each item in each array, int64 ``[A, n]``; None for items of one size."""
        encoded = self.everything.encoded
        if encoded is None:
            return None
        return np.stack([encoded[spec.name].lengths[self.indices] for spec in self.input.specs])

    def _order(self, rng: np.random.Generator, balanced: bool) -> np.ndarray:
        if not balanced:
            return rng.permutation(len(self))
        strata = self.task.strata(self.codes)
        if strata is None or strata.values.ndim != 1:
            raise ValueError(f"the task {self.task.name} has no single class per item to balance")
        return balanced_order(strata.values, rng)

    def _batches(
        self,
        rows: list[np.ndarray],
        rng: np.random.Generator | None,
        augment: Augmenter | None,
        factor: float,
        epoch: int | None,
    ) -> Iterator[Batch]:
        encoded = self.everything.encoded
        if encoded is not None and factor == 1 and (augment is None or not augment.changes_items):
            yield from self._encoded_batches(rows, encoded, rng, augment, epoch)
            return
        stream = self.everything.store.stream([self.indices[batch] for batch in rows])
        for batch, items in zip(rows, stream, strict=True):
            codes = self.codes[batch]
            targets = self.task.dense(codes)
            place = None if epoch is None else BatchPosition(self.indices[batch], epoch)
            if augment is not None and rng is not None:
                items, targets = augment.items(items, targets, rng, place)
            inputs = self.input.batch(items)
            if factor != 1:
                inputs = self.input.shrink(inputs, factor)
            if rng is not None:
                inputs = self.input.shortened(inputs, batching.MOST_NUMBERS)
            if augment is not None and rng is not None:
                inputs, targets = augment.batch(inputs, targets, rng, place)
            yield Batch(inputs, targets, codes, batch)

    def _encoded_batches(
        self,
        rows: list[np.ndarray],
        encoded: Mapping[str, Ragged],
        rng: np.random.Generator | None,
        augment: Augmenter | None,
        epoch: int | None,
    ) -> Iterator[Batch]:
        for batch in rows:
            codes, indices = self.codes[batch], self.indices[batch]
            targets = self.task.dense(codes)
            inputs = {spec.name: encoded[spec.name].padded(indices, spec.dtype) for spec in self.input.specs}
            if rng is not None:
                inputs = self.input.shortened(inputs, batching.MOST_NUMBERS)
            if augment is not None and rng is not None:
                place = None if epoch is None else BatchPosition(indices, epoch)
                inputs, targets = augment.batch(inputs, targets, rng, place)
            yield Batch(inputs, targets, codes, batch)


@dataclass(frozen=True)
class PreparedData:
    """Data ready for training: the splits, and the input and the task, which a bundle will contain.

    `skipped`: sources that were left out because they cannot be read, with the reason.
    """

    train: Split
    validation: Split
    test: Split
    input: Input
    task: Task
    skipped: tuple[tuple[Any, str], ...] = ()

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Return the arrays that a network takes."""
        return self.input.specs

    @property
    def items(self) -> ItemList | None:
        """Return all items by content, with the split of each."""
        return self.train.everything.items

    def joined(self) -> Split:
        """Return the training and the validation items as one split."""
        indices = np.sort(np.concatenate([self.train.indices, self.validation.indices]))
        return self.train.with_indices(indices)

    def with_task(self, task: Task) -> PreparedData:
        """Return the same data for another task; see `Split.with_task`."""
        return replace(self.with_items(self.train.with_task(task)), task=task)

    def with_input(self, other: Input) -> PreparedData:
        """Return the same data for another input that reads items in the same way; see `Split.with_input`."""
        return self.with_items(self.train.with_input(other))

    def with_arrays(self, names: Sequence[str] | None) -> PreparedData:
        """Return the same data with some of their arrays alone; see `Split.with_arrays`. None: with all."""
        return self if names is None else self.with_items(self.train.with_arrays(names))

    def with_items(self, train: Split) -> PreparedData:
        """Return the same splits of other items, of which `train` are those of the training split."""
        return replace(
            self,
            input=train.input,
            train=train,
            validation=train.with_indices(self.validation.indices),
            test=train.with_indices(self.test.indices),
        )


def _shapes(given: Input) -> str:
    return ", ".join(f"{spec.name} {list(spec.shape)}" for spec in given.specs)
