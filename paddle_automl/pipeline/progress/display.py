"""Display of a running search: a live table on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from paddle_automl.core.display_text import shown
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.search.configurations import Configuration, ranked_configurations
from paddle_automl.search.objective import Objective, excess_of
from paddle_automl.search.records import INTERRUPTED, TrialRecord
from paddle_automl.tasks.answers import float_text

_SHOWN = 8
_STATE_STYLE = {"complete": "green", "pruned": "yellow", "failed": "red", "running": "cyan"}


class Display(Observer):
    """Shows the progress with an estimated end: a live table, or lines if there is no terminal."""

    def __init__(self, console: Console, config: RunConfig) -> None:
        self.console = console
        self.begin(config)
        self.describe: Callable[[TrialRecord], str] = lambda record: ""
        self.time_left: Callable[[], float | None] = lambda: None
        self.started = time.monotonic()
        self.finished: list[TrialRecord] = []
        self.running: dict[int, tuple[TrialRecord, int, float | None]] = {}
        self.known = 0
        self.task: tuple[str, str] | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    @classmethod
    def of_job(cls, console: Console) -> Display:
        """Return the display of a single job: nothing of a configuration is shown."""
        return cls(console, RunConfig())

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def begin(self, config: RunConfig) -> None:
        """Receive the objectives and the number of trials."""
        self.objectives: Sequence[Objective] = config.search.objectives
        self.metric = config.epoch_metric()
        self.planned = config.search.trials

    def plan(
        self,
        records: Sequence[TrialRecord],
        describe: Callable[[TrialRecord], str],
        time_left: Callable[[], float | None],
    ) -> None:
        """Receive the trials of an earlier start, so that the best of them are shown."""
        self.describe, self.time_left = describe, time_left
        self.finished = [record for record in records if record.counted]
        self.known = len(self.finished)
        self.started = time.monotonic()
        self.task = None
        if self.known:
            self.on_message(f"continuing: {self.known} trials are already done")

    def on_start(self, record: TrialRecord) -> None:
        """Show a trial as running."""
        self.running[record.number] = (record, 0, None)
        self._line(f"trial {record.number} started: {self.describe(record)}")

    def on_report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show a running trial's newest value."""
        value = metrics.get(self.metric)
        self.running[record.number] = (record, epoch, value)

    def on_end(self, record: TrialRecord) -> None:
        """Move a trial to the finished ones."""
        self.running.pop(record.number, None)
        if record.counted:
            self.finished.append(record)
        best = next(iter(self._ranked()), None)
        new = best is not None and best.first is record and excess_of(best.values, self.objectives) == 0
        self._line(
            f"trial {record.number} {outcome_text(record, self.objectives)}{'  <- best so far' if new else ''}"
        )

    def on_message(self, text: str) -> None:
        """Print a message above the live table."""
        self.console.print(Text(shown(text), style="dim"))

    def job(self, name: str, epochs: int | None = None) -> Callable[[int, Mapping[str, float]], None]:
        """Announce a job that is not a trial (a check, the refit, the export)."""
        self.task = (name, "")
        self._line(name)
        started = time.monotonic()

        def on_report(epoch: int, metrics: Mapping[str, float]) -> None:
            items = metrics.get("items")
            whole = epochs if items is None else int(items)
            if whole is None or epoch < 1:
                return
            left = (time.monotonic() - started) / epoch * max(whole - epoch, 0)
            left = min(left, metrics.get("most_s", left))
            value = metrics.get(self.metric)
            done = f"epoch {epoch} of {whole}" if items is None else f"{epoch:,} of {whole:,} items"
            text = f"{done}, about {_clock(left)} left"
            self.task = (name, text + (f", {self.metric} {float_text(value)}" if value is not None else ""))

        return on_report

    def _line(self, text: str) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(shown(f"{datetime.now():%H:%M:%S} {text}")))

    def _ranked(self) -> list[Configuration]:
        return ranked_configurations(self.finished, self.objectives)

    def _render(self) -> Group:
        parts: list[Any] = [Text(shown(self._headline()), style="bold")]
        if self.running:
            parts.append(self._running_table())
        if self.finished:
            parts.append(self._best_table())
        return Group(*parts)

    def _headline(self) -> str:
        if self.task is not None:
            return " ".join(part for part in (self.task[0], self.task[1]) if part)
        done = len(self.finished)
        failed = sum(record.state == "failed" for record in self.finished)
        text = f"{done} of {self.planned} trials"
        if failed:
            text += f" ({failed} failed)"
        best = next(iter(self._ranked()), None)
        if best is not None:
            runs = f", mean of {len(best.runs)} runs" if len(best.runs) > 1 else ""
            runs += f", {best.folds_text}" if best.folds_text else ""
            text += f" | best {self.objectives[0].metric} {best.values[0]:.4g} (trial {best.first.number}{runs})"
        text += f" | {_clock(time.monotonic() - self.started)} passed"
        left = self._estimate()
        return text + (f" | trials end in about {_clock(left)}" if left is not None else "")

    def _estimate(self) -> float | None:
        passed, done = time.monotonic() - self.started, len(self.finished) - self.known
        guesses = []
        if done > 0:
            guesses.append(passed / done * max(0, self.planned - len(self.finished)))
        limit = self.time_left()
        if limit is not None:
            guesses.append(max(0.0, limit))
        return min(guesses) if guesses else None

    def _running_table(self) -> Table:
        table = Table(title="running", title_justify="left", box=None, pad_edge=False)
        for name in ("trial", "epoch", self.objectives[0].metric, "choices"):
            table.add_column(Text(shown(name)), overflow="fold" if name == "choices" else "ellipsis")
        for record, epoch, value in list(self.running.values()):
            table.add_row(
                str(record.number),
                str(epoch),
                "" if value is None else float_text(value),
                Text(shown(self.describe(record))),
            )
        return table

    def _best_table(self) -> Table:
        return best_table(self._ranked()[:_SHOWN], self.objectives, self.describe, "best trials")


def best_table(
    found: Sequence[Configuration],
    objectives: Sequence[Objective],
    describe: Callable[[TrialRecord], str],
    title: str,
) -> Table:
    """Return a table with a row per configuration: its first trial, objectives, seconds, choices.

    If any was repeated, the objectives are means, and two columns give the number of runs and the range of the
    first objective. With cross-validation the title tells the number of folds.
    """
    repeated = any(len(item.runs) + item.failed > 1 for item in found)
    folds = next((item.first.folds[1] for item in found if item.first.folds), None)
    if folds is not None:
        title += f"; values are means over {folds} folds"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("trial", justify="right")
    table.add_column("state")
    for number, objective in enumerate(objectives):
        table.add_column(Text(shown(f"mean {objective.metric}" if repeated else objective.metric)), justify="right")
        if repeated and number == 0:
            table.add_column("runs", justify="right")
            table.add_column("from - to", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("choices", overflow="fold")
    for item in found:
        first, cells = item.first, [f"{value:.4g}" for value in item.values]
        if repeated:
            failed = f", {item.failed} failed" if item.failed else ""
            low, high = item.spread
            cells[1:1] = [f"{len(item.runs)}{failed}", f"{low:.4g} - {high:.4g}" if len(item.runs) > 1 else ""]
        state = Text(first.state, style=_STATE_STYLE.get(first.state, ""))
        if item.folds_text:
            state.append(f", {item.folds_text}")
        table.add_row(str(first.number), state, *cells, f"{first.seconds:.1f}", Text(shown(describe(first))))
    return table


def outcome_text(record: TrialRecord, objectives: Sequence[Objective]) -> str:
    """Return one line on how a trial ended."""
    if record.reason == INTERRUPTED:
        return "interrupted; it will be run again"
    if record.infeasible:
        return record.reason
    if record.state == "failed":
        return f"failed: {record.reason}"
    values = " ".join(f"{o.metric} {v:.4g}" for o, v in zip(objectives, record.values or (), strict=False))
    if record.duplicate_of is not None:
        return f"repeats trial {record.duplicate_of}: {values}"
    epochs = f" after {max(record.curve)} epochs" if record.curve else ""
    if record.folds_text:
        epochs += f", {record.folds_text},"
    return f"{record.state}: {values}{epochs} in {record.seconds or 0:.1f} s"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
