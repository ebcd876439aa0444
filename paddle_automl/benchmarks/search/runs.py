"""The runs of a comparison: in parallel over seeds, kept in a JSON file, continued where they stopped."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.benchmarks.kept import NOT_KNOWN, finite, maker, read_figures
from paddle_automl.benchmarks.search.catalogue import path_of, task
from paddle_automl.benchmarks.search.peers import PLANNED
from paddle_automl.benchmarks.search.replay import controller_of, play, result_of
from paddle_automl.core.errors import DataError
from paddle_automl.core.files import sha256_of, write_json
from paddle_automl.search.learning.columns import Array

FORMAT = 1
SAVE_EVERY_S = 20.0
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Run:
    """One controller on one task with one seed."""

    task: str
    controller: str
    seed: int

    @property
    def key(self) -> str:
        """The name in the JSON file; of the table in a file also a hash of it, for the file may change.

        Raises DataError for a file that cannot be read.
        """
        file = path_of(self.task)
        mark = "" if file is None else f"|{_content_of(file)}"
        return f"{self.task}|{self.controller}|{self.seed}{mark}"


def _content_of(file: Path) -> str:
    try:
        found = file.stat()
        return _hash_of(file, found.st_mtime_ns, found.st_size)
    except OSError as error:
        raise DataError(f"{file}: cannot read the table: {error.strerror}") from None


@lru_cache(maxsize=32)
def _hash_of(file: Path, changed_ns: int, size: int) -> str:
    del changed_ns, size
    return sha256_of(file)[:16]


@dataclass
class Results:
    """Results of runs, by key."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None) -> Results:
        """Return the results in a file, empty if there is none. Raises DataError for another file."""
        return cls(read_figures(path, "runs", format=FORMAT))

    def save(self, path: Path | None, summary: dict[str, Any] | None = None) -> None:
        """Write the results, and a summary of those that are printed."""
        if path is not None:
            shown = {"summary": summary} if summary else {}
            write_json(path, finite({"format": FORMAT, **shown, "runs": self.runs}))

    def has(self, run: Run, budgets: Sequence[int]) -> bool:
        """Return whether a run has results for all budgets."""
        return not self.missing(run, budgets)

    def missing(self, run: Run, budgets: Sequence[int]) -> tuple[int, ...]:
        """Return the budgets for which a run has no results."""
        known = self.runs.get(run.key, {}).get("budgets", {})
        return tuple(budget for budget in budgets if str(budget) not in known)

    def add(self, run: Run, found: dict[str, Any]) -> None:
        """Store the results of a run beside those of other budgets; curve and times are the longest's."""
        known = self.runs.get(run.key, {})
        budgets = {**known.get("budgets", {}), **found["budgets"]}
        longer = found if str(max(map(int, budgets))) in found["budgets"] else known
        made = sorted({maker(), *(known.get("made", [NOT_KNOWN]) if known else ())})
        self.runs[run.key] = {**longer, "budgets": budgets, "made": made}

    def figure(self, run: Run, budget: int, how: str, name: str) -> float:
        """Return a value of a run; NaN if the run has none."""
        value = self.runs[run.key]["budgets"][str(budget)][how].get(name)
        return math.nan if value is None else float(value)

    def regrets(
        self, tasks: Sequence[str], controllers: Sequence[str], seeds: int, budget: int, how: Callable[[str], str]
    ) -> Array:
        """Return the normalized regrets [T, S, C]; infinite if nothing usable was found."""
        regrets = [
            [[self.figure(Run(t, c, s), budget, how(c), "regret") for c in controllers] for s in range(seeds)]
            for t in tasks
        ]
        return np.nan_to_num(np.array(regrets, dtype=float), nan=np.inf, posinf=np.inf)


def make(run: Run, budgets: Sequence[int], data: Path | None) -> dict[str, Any]:
    """Return the results of a run."""
    problem = task(run.task, data)

    def played(trials: int, judged: Sequence[int]) -> dict[str, Any]:
        trace = play(problem, controller_of(run.controller, problem, run.seed, trials), trials, run.seed)
        return result_of(problem, trace, judged, run.seed)

    result = played(max(budgets), budgets)
    if run.controller in PLANNED:
        for budget in budgets:
            if budget < max(budgets):
                result["budgets"].update(played(budget, (budget,))["budgets"])
    return result


def make_all(
    runs: Sequence[Run],
    budgets: Sequence[int],
    data: Path | None,
    *,
    results: Results,
    path: Path | None,
    workers: int,
    tell: Callable[[int, int], None],
) -> None:
    """Make the runs that are missing in `results`, in `workers` processes; `path` is written from time to time.

    `tell(done, all)` is called after every run. Finished runs are kept when the command is interrupted.
    """
    missing = [run for run in runs if not results.has(run, budgets)]
    saved = time.monotonic()
    with _one_thread_each():
        pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            waiting = {pool.submit(make, run, results.missing(run, budgets), data): run for run in missing}
            for done, future in enumerate(as_completed(waiting), 1):
                results.add(waiting[future], future.result())
                tell(done, len(missing))
                if time.monotonic() - saved > SAVE_EVERY_S:
                    results.save(path)
                    saved = time.monotonic()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            results.save(path)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Make processes that are started inside compute with one thread, because they share the cores."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
