"""Listeners are told what a search does; logs, tables and pictures are made by them."""

from __future__ import annotations

from collections.abc import Mapping

from paddle_automl.search.records import TrialRecord


class Listener:
    """Is told what happens; all methods do nothing until overridden."""

    def on_start(self, record: TrialRecord) -> None:
        """Called when a trial was handed to the executor."""

    def on_report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """Called after each epoch of a trial."""

    def on_end(self, record: TrialRecord) -> None:
        """Called when a trial ended, whatever its state; also for a trial answered from the record."""

    def on_message(self, message: str) -> None:
        """Called with a sentence for the user."""
