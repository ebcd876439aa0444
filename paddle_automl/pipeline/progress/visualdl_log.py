"""VisualDL: a log folder per trial, with its scalars per epoch and its choices for the comparison page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paddle_automl.core.display_text import shown
from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord
from paddle_automl.space import Integer, Real, SearchSpace
from paddle_automl.tasks.metrics.base import METRICS


class VisualDLLog(Listener):
    """Writes each trial to ROOT/trial_0007; every report is on disk before the next event.

    `compared` are the metrics of the hyper-parameter page.
    """

    def __init__(self, root: Path, space: SearchSpace | None = None, compared: Sequence[str] = ()) -> None:
        self.root = root
        self.space = space
        self.compared = tuple(compared)
        self._columns = _columns(space) if space is not None else {}
        self._writers: dict[str, Any] = {}
        # The costs of a network are the same after every epoch.
        self._constant = {"seconds", *(name for name in METRICS.names() if METRICS[name].when != "epoch")}

    def on_start(self, record: TrialRecord) -> None:
        """Open the trial's log and add its choices to the hyper-parameter page."""
        self.open(trial_name(record.number), self._row(record))

    def on_report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of one epoch."""
        self.write(trial_name(record.number), epoch, metrics)

    def on_end(self, record: TrialRecord) -> None:
        """Close the trial's log."""
        self.close(trial_name(record.number))

    def open(self, name: str, row: Mapping[str, Any] | None = None) -> None:
        """Open the log called `name`; `row` becomes its row on the hyper-parameter page."""
        # Imported here: a command that writes no logs need not load VisualDL.
        from visualdl import LogWriter

        writer = LogWriter(logdir=str(self.root / name), display_name=name)
        if row:
            # The row must come before the scalars that it names.
            writer.add_hparams(dict(row), [tag_of(name) for name in self.compared])
        writer.flush()
        self._writers[name] = writer

    def write(self, name: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the scalars of one epoch and hand them to the operating system."""
        writer = self._writers.get(name)
        if writer is None:
            return
        for tag, value in metrics.items():
            if tag not in self._constant:
                writer.add_scalar(tag=tag_of(tag), value=float(value), step=epoch)
        writer.flush()

    def close(self, name: str) -> None:
        """Close one log."""
        writer = self._writers.pop(name, None)
        if writer is not None:
            writer.close()

    def close_all(self) -> None:
        """Close every log that is still open."""
        for name in list(self._writers):
            self.close(name)

    def _row(self, record: TrialRecord) -> dict[str, Any]:
        """Return the same columns for every trial, a dash where a choice was not made."""
        if self.space is None:
            return {}
        chosen = self.space.overrides(record.params)
        row = {}
        for key, (name, is_number) in self._columns.items():
            value = chosen.get(key)
            row[name] = value if is_number else _text(value)
        return row


def trial_name(number: int) -> str:
    """Return the name of a trial's log folder."""
    return f"trial_{number:04d}"


def _columns(space: SearchSpace) -> dict[str, tuple[str, bool]]:
    """Return the column of each varied key: a name without dots (the page cannot show them), and if it is numeric.

    A column holds numbers only if every trial has one: the page does not mix numbers and texts.
    """
    keys = list(dict.fromkeys(decision.key for decision in space.decisions))
    tails = [key.rsplit(".", 1)[-1] for key in keys]
    columns = {}
    for key, tail in zip(keys, tails, strict=True):
        decisions = [decision for decision in space.decisions if decision.key == key]
        always = len(decisions) == 1 and decisions[0].condition is None and not decisions[0].repeated
        is_number = always and isinstance(decisions[0].domain, Integer | Real)
        name = tail if tails.count(tail) == 1 else "_".join(key.rsplit(".", 2)[-2:])
        columns[key] = (name, is_number)
    return columns


def tag_of(metric: str) -> str:
    """Return a metric's tag; VisualDL refuses a percent sign, which the name of a class can have."""
    return shown(metric).replace("%", "\N{FULLWIDTH PERCENT SIGN}")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return shown(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
