"""Checks of a bundle's formats on this machine: against each other, and against their recorded times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.core.runtime import processor_name
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.config import LatencyConfig
from paddle_automl.deployment.exporters.base import EXPORTERS
from paddle_automl.deployment.latency import measure_sessions
from paddle_automl.deployment.parity_record import most_different
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.records import FormatRecord, Latency
from paddle_automl.deployment.runtime import check_threads
from paddle_automl.tasks.base import Task

MOST_RUNS = 30
"""Most timed runs per batch size: enough for a median."""
MOST_NUMBERS = 250_000_000
"""Most numbers in a batch that is timed, 1 GB in float32: a changed record must not fill the memory."""


@dataclass(frozen=True)
class Pair:
    """How two formats of a bundle compare on the same items."""

    first: str
    second: str
    items: int
    agreement: float
    """Fraction of the items with the same answer."""
    largest_difference: float
    """Of two outputs of one item, in units of the outputs' scale; 1 for an output that is not finite."""
    allowed: float | None
    """Largest allowed difference; None: any, for a format in 8 bits."""
    required: float
    """Agreement that the parity checks of both together promise; of few items fewer may agree by chance."""

    @property
    def most_different(self) -> int:
        """Return how many of the items may have another answer."""
        return most_different(self.items, self.required)

    @property
    def passed(self) -> bool:
        """Whether both limits hold for some items."""
        close = self.allowed is None or self.largest_difference <= self.allowed
        different = round((1 - self.agreement) * self.items)
        return self.items > 0 and different <= self.most_different and close

    def describe(self) -> str:
        """Return one sentence for users."""
        limit = "any" if self.allowed is None else f"{self.allowed:g}"
        chance = f", so {self.most_different} may differ" if self.required < 1 else ""
        return (
            f"{self.first} and {self.second}: {self.items} items, agreement {self.agreement:.4f} (required "
            f"{self.required:g}{chance}), largest difference {self.largest_difference:.2e} (allowed {limit})"
        )


@dataclass(frozen=True)
class Run:
    """What one format gives for the items on which formats are compared."""

    name: str
    items: int = 0
    not_finite: int = 0
    """Items with an output that is NaN or infinite."""

    @property
    def passed(self) -> bool:
        """Whether there were items, and all their outputs are finite."""
        return self.items > 0 and not self.not_finite

    def describe(self) -> str:
        """Return one sentence for users."""
        if not self.items:
            return "no items to run"
        outputs = f"{self.not_finite} without finite outputs" if self.not_finite else "all outputs finite"
        return f"{self.items} items, {outputs}"


@dataclass(frozen=True)
class Speed:
    """The time of a format here, and as recorded, for one batch size."""

    name: str
    batch_size: int
    threads: int
    p50_ms: float
    recorded_ms: float
    processor: str
    """That of this machine."""
    recorded_processor: str
    runtime: str
    recorded_date: str

    @property
    def ratio(self) -> float:
        """Return the time here over the recorded one."""
        return self.p50_ms / self.recorded_ms if self.recorded_ms > 0 else float("inf")

    @property
    def same_processor(self) -> bool:
        """Return whether the name of the processor is the recorded one: only then the times should be alike."""
        return self.processor == self.recorded_processor

    def describe(self) -> str:
        """Return one sentence for users."""
        where = "the same processor" if self.same_processor else f"{self.processor}, recorded on another"
        return (
            f"{self.p50_ms:.3f} ms at batch {self.batch_size}, {self.threads} thread(s); recorded "
            f"{self.recorded_ms:.3f} ms ({self.recorded_processor}, {self.recorded_date[:10]}): "
            f"{self.ratio:.2f} times as long, {where}"
        )


class Comparison:
    """Statistics of all formats, and of all pairs of them, over batches of raw items."""

    def __init__(self, predictors: Mapping[str, Predictor], task: Task, *, max_difference: float) -> None:
        self.predictors, self.task = predictors, task
        self.runs = {name: Run(name) for name in predictors}
        self.pairs = {
            names: Pair(*names, 0, 1.0, 0.0, *_limits([predictors[name] for name in names], max_difference))
            for names in combinations(predictors, 2)
        }

    def run(self, batches: Iterable[np.ndarray]) -> list[Pair]:
        """Return the pairs after all batches of raw items ``[n, ...]``."""
        for items in batches:
            outputs = {name: predictor.predict_items(items) for name, predictor in self.predictors.items()}
            for name, found in outputs.items():
                broken = int((~np.isfinite(found)).any(axis=1).sum())
                run = self.runs[name]
                self.runs[name] = Run(name, run.items + len(found), run.not_finite + broken)
            for (first, second), pair in self.pairs.items():
                self.pairs[first, second] = self._added(pair, outputs[first], outputs[second])
        return list(self.pairs.values())

    def _added(self, pair: Pair, first: np.ndarray, second: np.ndarray) -> Pair:
        difference = np.abs(first.astype(np.float64) - second) / self.task.scales
        finite = np.isfinite(difference).all(axis=1)
        agreed = int(self.task.agree(first[finite], second[finite]).sum())
        count = pair.items + len(first)
        largest = float(np.nan_to_num(difference, nan=1.0, posinf=1.0).max())
        return replace(
            pair,
            items=count,
            agreement=(pair.agreement * pair.items + agreed) / count,
            largest_difference=max(pair.largest_difference, largest),
        )


def _limits(predictors: Iterable[Predictor], max_difference: float) -> tuple[float | None, float]:
    """Return the allowed difference of two formats and their required agreement.

    Formats that are exact must be equal. One in 8 bits may give other answers than the network where its own parity
    check allowed it; two of them differ from each other where one of them does.
    """
    records = [predictor.bundle.record_of(predictor.format) for predictor in predictors]
    exact = all(record.exact for record in records)
    return (max_difference if exact else None), max(0.0, round(1 - sum(map(_may_differ, records)), 9))


def _may_differ(record: FormatRecord) -> float:
    """Return the fraction of items for which a format may give another answer than the trained network."""
    if record.parity is None:
        return 0.0
    allowed = 1 - record.parity.min_agreement
    quantized = EXPORTERS[record.exporter.name].exact and not record.exact
    # Its parity check knows the network in 8 bits alone, which differs from the one in float by as much again.
    return 2 * allowed if quantized else allowed


def compare_speed(
    bundle: Bundle, names: Iterable[str], *, device: str = "cpu"
) -> tuple[list[Speed], dict[str, str]]:
    """Time formats of a bundle under the recorded conditions: batch sizes, threads, warm-up.

    A format without recorded times is left out. All are timed in turn, so that other load affects all of them.
    Conditions that this machine cannot repeat, such as more threads than it allows, are returned with the reason.
    """
    records = {name: tuple(bundle.record_of(name).latency) for name in bundle.formats}
    chosen = [name for name in names if any(item.device == device for item in records[name])]
    conditions = sorted({(item.threads, item.batch_size) for name in chosen for item in records[name]})
    found: list[Speed] = []
    skipped: dict[str, str] = {}
    for threads, size in conditions:
        known = {
            name: item
            for name in chosen
            for item in records[name]
            if (item.threads, item.batch_size, item.device) == (threads, size, device)
        }
        if not known:
            continue
        try:
            config = _conditions(bundle, next(iter(known.values())))
        except ConfigError as error:
            skipped[f"latency with {threads} threads at batch {size}"] = str(error)
            continue
        sessions = {name: bundle.session(threads=threads, name=name, device=device) for name in known}
        times = measure_sessions(sessions, bundle.input, config, device=device)
        found += [_speed(name, times[name][0], item) for name, item in known.items()]
    return found, skipped


def _conditions(bundle: Bundle, recorded: Latency) -> LatencyConfig:
    """Return how a recorded time was measured; raises ConfigError for what cannot be repeated on this machine."""
    check_threads(recorded.threads)
    numbers = recorded.batch_size * sum(math.prod(size or 1 for size in spec.shape) for spec in bundle.input.specs)
    if numbers > MOST_NUMBERS:
        raise ConfigError(f"batch_size: {recorded.batch_size} items are too many to be timed here")
    runs = min(recorded.runs, MOST_RUNS)
    conditions = {"batch_sizes": [recorded.batch_size], "warmup": min(recorded.warmup, MOST_RUNS), "runs": runs}
    return validate(LatencyConfig, {**conditions, "threads": recorded.threads})


def _speed(name: str, here: Latency, recorded: Latency) -> Speed:
    return Speed(
        name,
        recorded.batch_size,
        recorded.threads,
        here.p50_ms,
        recorded.p50_ms,
        here.processor or processor_name(),
        recorded.processor,
        here.runtime,
        recorded.date,
    )
