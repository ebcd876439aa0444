"""Listeners receive the events of a search and make logs, tables and plots from them."""

from __future__ import annotations

from collections.abc import Mapping

from paddle_automl.search.records import TrialRecord


class Listener:
    """Receives events; all methods do nothing until overridden."""

    def on_start(self, record: TrialRecord) -> None:
        """Called when a trial was submitted to the executor."""

    def on_report(self, record: TrialRecord, epoch: int, metrics: Mapping[str, float]) -> None:
        """Called after each epoch of a trial."""

    def on_end(self, record: TrialRecord) -> None:
        """Called when a trial has ended in any state; also for a trial whose results were copied."""

    def on_message(self, message: str) -> None:
        """Called with a sentence for the user."""
