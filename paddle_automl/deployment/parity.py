"""The parity check: does the bundle predict the same as the trained network?"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from paddle_automl.core.display_text import shown
from paddle_automl.core.errors import AutoMLError, ParityError
from paddle_automl.core.paths import readable
from paddle_automl.data.running import fitting_batch
from paddle_automl.data.splits import Split
from paddle_automl.deployment.network import as_trained, as_trained_with_score
from paddle_automl.deployment.output import output_name
from paddle_automl.deployment.parity_record import ParityRecord, Source, most_different
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.tasks.base import Task, spread
from paddle_automl.tasks.metrics.base import Predictions
from paddle_automl.tasks.metrics.spelling import drop_of, measure

BATCH_SIZE = 64
"""Most items of a batch."""
LENGTHS = 50
"""Items of different lengths that are also compared one at a time."""
LEAST_DEVIATION = 1e-3
"""Smallest deviation of rejection scores in which their differences are counted: all may be nearly equal."""
Kind = Literal["split", "alone", "file"]
"""An item of the split in its batch, the same alone, and as its file is read."""


@dataclass(frozen=True)
class ParityLimits:
    """Limits within which an export counts as equal to its network.

    `max_difference` of outputs, in units of their scale; None: any. `min_agreement`: fraction of items with the
    same answer. `max_drop` of the task's main metric on validation; None: not checked.
    """

    max_difference: float | None = 1e-5
    min_agreement: float = 1.0
    max_drop: float | None = None


EXACT = ParityLimits()
"""Limits of an export that equals its network up to rounding."""


def check_parity(
    model: Any, predictor: Predictor, split: Split, *, limits: ParityLimits = EXACT, raw_files: int = 20
) -> ParityRecord:
    """Compare the trained network with the bundle, on the whole of `split` and on files.

    `model` maps the arrays of the split's input to raw outputs of its task; it runs as a dynamic graph in
    evaluation mode on the batches of training. `predictor` gets raw items, or files, and uses only the bundle's own
    input and task. Outputs are compared by name. Up to `raw_files` items are read from files by the predictor: the
    split's own, or items of an array data set that are written to files.

    Raises ParityError if the bundle's task is not that of the data.
    """
    return compare(model, predictor, split, limits=limits, raw_files=raw_files).record


@dataclass(frozen=True)
class Compared:
    """The result of a parity check: its record, and what the bundle predicts for the whole split."""

    record: ParityRecord
    outputs: np.ndarray
    """Float32 [N, K], in the order of the split's task."""
    scores: np.ndarray | None
    """Rejection scores, float64 [N]; None if the bundle has none."""


def compare(
    model: Any, predictor: Predictor, split: Split, *, limits: ParityLimits = EXACT, raw_files: int = 20
) -> Compared:
    """Return the same as `check_parity` with the bundle's outputs and rejection scores.

    A `model` may return the rejection score as its second result (see `refusal.with_score`).
    """
    run = as_trained(model, split.task.final)
    comparison = _Comparison(split, predictor.task)
    comparison.compare_split(as_trained_with_score(model, split.task.final), predictor)
    comparison.compare_lengths(run, predictor)
    source = comparison.compare_files(run, predictor, raw_files)
    outputs = np.zeros((0, split.task.outputs), np.float32) if comparison.outputs is None else comparison.outputs[1]
    return Compared(comparison.record(limits, source), outputs, comparison.scores)


@dataclass(frozen=True)
class _Worst:
    difference: float
    index: int
    item: str | None
    text: str


class _Comparison:
    """Accumulated statistics of pairs of outputs, [n, K] each, aligned by name."""

    def __init__(self, split: Split, exported: Task) -> None:
        self.split = split
        self.task = split.task
        self.columns = _columns(self.task, exported)
        self.scales = self.task.scales
        self.not_finite = self.files = 0
        self.count: Counter[Kind] = Counter()
        self.agreed: Counter[Kind] = Counter()
        self.largest: dict[Kind, float] = {"split": 0.0, "alone": 0.0, "file": 0.0}
        self.outputs: tuple[np.ndarray, np.ndarray] | None = None
        """Outputs of network and bundle for the whole split."""
        self.scores: np.ndarray | None = None
        """Rejection scores of the bundle for the whole split, [N]."""
        self.score_difference: float | None = None
        self.worst: _Worst | None = None

    def compare_split(self, run: Any, predictor: Predictor) -> None:
        """Compare all items of the split in the form in which training uses them."""
        pairs, scores = [], []
        rejection = predictor.bundle.info.rejection
        for batch in self.split.batches(fitting_batch((spec.shape for spec in self.split.input.specs), BATCH_SIZE)):
            expected, further = run(batch.inputs)
            found = predictor.run_items(self.split.raw(batch.rows))
            got = found.outputs[:, self.columns]
            self.add(expected, got, batch.rows, "split")
            pairs.append((expected, got))
            if rejection is not None and found.known is not None:
                own = [expected] if further is None else [expected, further]
                scores.append((rejection.scores(own), found.known))
        if pairs:
            self.outputs = (np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs]))
        if scores:
            ours, self.scores = np.concatenate([a for a, _ in scores]), np.concatenate([b for _, b in scores])
            self.score_difference = _difference(ours, self.scores)

    def compare_lengths(self, run: Any, predictor: Predictor) -> None:
        """Compare items of different lengths alone, without padding, with what a batch gave, for both networks.

        Nothing is compared for items of one size. From the shortest to the longest, at most `LENGTHS` of them.
        """
        lengths = self.split.lengths
        if lengths is None or self.outputs is None:
            return
        _, first = np.unique(lengths, return_index=True)
        for row in first[np.unique(np.linspace(0, len(first) - 1, LENGTHS).astype(np.int64))]:
            position, item = np.array([row]), self.split.raw([row])
            expected = self.outputs[0][position]
            self.add(expected, predictor.predict_items(item)[:, self.columns], position, "alone")
            self.add(expected, run(self.split.input.batch(item)), position, "alone")

    def compare_files(self, run: Any, predictor: Predictor, limit: int) -> Source:
        """Compare up to `limit` items that the predictor reads from files; returns the kind of files."""
        split, sources = self.split, self.split.sources
        positions = spread(self.task.strata(split.codes), len(split), limit)
        if not len(positions):
            return "none"
        with tempfile.TemporaryDirectory(prefix="paddle_automl-parity-") as scratch:
            for chunk in _chunks(positions):
                items = split.raw(chunk)
                if sources is not None:
                    files = [sources[position] for position in chunk]
                else:
                    stems = [Path(scratch) / str(position) for position in chunk]
                    files = [split.input.write(item, stem) for stem, item in zip(stems, items, strict=True)]
                got = _read_by(predictor, files)[:, self.columns]
                fresh = np.stack([split.input.read(file) for file in files])
                # Training may have cached its items: both these and the file must give this answer.
                for given in (items,) if np.array_equal(items, fresh) else (items, fresh):
                    self.add(run(split.input.batch(given)), got, chunk, "file")
                self.files += len(chunk)
        return "original files" if sources is not None else "written files"

    def add(self, expected: np.ndarray, got: np.ndarray, positions: np.ndarray, kind: Kind) -> None:
        """Add the network's and the bundle's outputs for the items at `positions` of the split."""
        finite = np.isfinite(expected).all(axis=1) & np.isfinite(got).all(axis=1)
        # NaN agrees with nothing: it counts as a difference of the whole scale.
        differences = np.abs(expected.astype(np.float64) - got) / self.scales
        differences = np.nan_to_num(differences, nan=1.0, posinf=1.0)
        self.count[kind] += len(expected)
        self.not_finite += int((~finite).sum())
        self.agreed[kind] += int(self.task.agree(expected[finite], got[finite]).sum())
        largest = float(differences.max())
        self.largest[kind] = max(self.largest[kind], largest)
        if self.worst is None or largest > self.worst.difference:
            row, column = divmod(int(differences.argmax()), differences.shape[1])
            place, name = self._place(int(positions[row]), kind), output_name(self.task, column)
            text = f"{place}, {name}: network {expected[row, column]:.6f}, bundle {got[row, column]:.6f}"
            self.worst = _Worst(largest, int(positions[row]), self._item(int(positions[row])), text)

    def _item(self, position: int) -> str | None:
        if self.split.sources is None:
            return None
        source = self.split.sources[position]
        return _short_name(self.split.input.describe(source), source)

    def _place(self, position: int, kind: Kind) -> str:
        item = self._item(position)
        named = f" ({shown(item)})" if item else ""
        source = {"split": "", "alone": " given alone", "file": " read from its file"}[kind]
        return f"validation {self.split.input.word} {position}{named}{source}"

    def record(self, limits: ParityLimits, source: Source) -> ParityRecord:
        """Return the results of the check."""
        metric = self.task.metrics[0]
        expected, got = self._scores(metric)
        drop = None if expected is None or got is None else drop_of(metric, expected, got)
        worst = self.worst
        found = ParityRecord(
            samples=len(self.split),
            agreement=self._agreement(limits.min_agreement),
            largest_difference=max(self.largest["split"], self.largest["alone"]),
            not_finite=self.not_finite,
            raw_files=self.files,
            raw_source=source,
            raw_largest_difference=self.largest["file"] if self.files else None,
            scale=self.task.scale,
            max_difference=limits.max_difference,
            min_agreement=limits.min_agreement,
            worst_index=worst.index if worst else None,
            worst_item=worst.item if worst else None,
            worst=worst.text if worst else "no items to compare",
            metric=metric,
            score_difference=self.score_difference,
            value=got,
            network_value=expected,
            drop=drop,
            max_drop=limits.max_drop,
            verified=False,
        )
        return found.model_copy(update={"verified": found.within_limits})

    def _agreement(self, required: float) -> float:
        """Return the agreement on the split, or that of its items in another form if it is worse than by chance.

        These are some items of the split a second time: one fraction of both would count them twice.
        """
        count, agreed = self.count.total() - self.count["split"], self.agreed.total() - self.agreed["split"]
        again = agreed / count if count - agreed > most_different(count, required) else 1.0
        return min(self.agreed["split"] / self.count["split"], again) if self.count["split"] else 0.0

    def _scores(self, metric: str) -> tuple[float | None, float | None]:
        if self.outputs is None or self.not_finite:
            return None, None
        expected, got = (
            measure([metric], Predictions(outputs, self.split.codes, self.task))[metric] for outputs in self.outputs
        )
        return (expected, got) if np.isfinite([expected, got]).all() else (None, None)


def _columns(task: Task, exported: Task) -> list[int]:
    """Return for each output of `task` its column in the exported network's; raises ParityError."""
    columns = task.columns(exported)
    if columns is not None and len(columns) != task.outputs and task.names == exported.names:
        columns = list(range(task.outputs)) if task.outputs == exported.outputs else None
    if columns is None or len(columns) != task.outputs:
        raise ParityError(
            f"bundle.yaml: the bundle's task {exported.name} with {_listed(exported.names)} is not the data's "
            f"{task.name} with {_listed(task.names)}; export the bundle again"
        )
    return columns


def _difference(expected: np.ndarray, got: np.ndarray) -> float:
    """Return the largest difference of scores [N] in units of their standard deviation; 1 if one is not finite."""
    if not (np.isfinite(expected).all() and np.isfinite(got).all()):
        return 1.0
    return float(np.abs(expected - got).max() / max(float(expected.std()), LEAST_DEVIATION))


def _read_by(predictor: Predictor, files: Sequence[Any]) -> np.ndarray:
    """Return outputs, [n, K], for files that the bundle's own input reads; raises ParityError."""
    items = []
    for file in files:
        try:
            items.append(predictor.input.read(file))
        except (AutoMLError, OSError) as error:
            raise ParityError(f"the bundle cannot read an item of the validation split: {error}") from None
    return predictor.predict_items(np.stack(items))


def _short_name(name: str, source: Any) -> str:
    """Return a name without paths of the machine: for a file its own name and that of its folder."""
    return readable(Path(*Path(source).parts[-2:])) if isinstance(source, (str, Path)) else name


def _chunks(positions: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(positions), BATCH_SIZE):
        yield positions[start : start + BATCH_SIZE]


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(f"'{shown(name)}'" for name in names[:5])
    return f"{len(names)} names ({first}{', ...' if len(names) > 5 else ''})"
