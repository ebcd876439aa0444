"""VisualDL: a log folder per trial, with its scalars per epoch and its choices for the comparison page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle_automl.search.listener import Listener
from paddle_automl.search.records import TrialRecord

SCALARS = ("accuracy", "macro_f1", "loss", "train_loss", "learning_rate", "images_per_second")
COMPARED = ("accuracy", "macro_f1", "loss")


class VisualDLLog(Listener):
    """Writes each trial to ROOT/trial_0007; every report is on disk before the next event."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writers: dict[str, Any] = {}

    def on_start(self, record: TrialRecord) -> None:
        """Open the trial's log and enter its choices for the hyper-parameter page."""
        self.open(trial_name(record.number), record.params)

    def on_report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of one epoch."""
        self.write(trial_name(record.number), epoch, metrics)

    def on_end(self, record: TrialRecord) -> None:
        """Close the trial's log."""
        self.close(trial_name(record.number))

    def open(self, name: str, params: Mapping[str, Any]) -> None:
        """Open the log called `name`; `params` become its row on the hyper-parameter page."""
        # Imported here: a command that writes no logs need not load VisualDL.
        from visualdl import LogWriter

        writer = LogWriter(logdir=str(self.root / name), display_name=name)
        if params:
            # The row must come before the scalars that it names.
            writer.add_hparams({key: _plain(value) for key, value in params.items()}, list(COMPARED))
        writer.flush()
        self._writers[name] = writer

    def write(self, name: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write the scalars of one epoch and hand them to the operating system."""
        writer = self._writers.get(name)
        if writer is None:
            return
        for tag in SCALARS:
            if tag in metrics:
                writer.add_scalar(tag=tag, value=float(metrics[tag]), step=epoch)
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


def trial_name(number: int) -> str:
    """Return the name of a trial's log folder."""
    return f"trial_{number:04d}"


def _plain(value: Any) -> str | float | int:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float | str):
        return value
    return json.dumps(value, ensure_ascii=False)
